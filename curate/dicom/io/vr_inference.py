"""What can be said of an element only when its data set is known: an open VR, the order of pixel bytes."""

from __future__ import annotations

from curate.dicom import tags
from curate.dicom.dictionary import allowed_vrs
from curate.dicom.model import PIXEL_DATA, Bytes, Element, Item


def infer_vrs(dataset: Item, ambiguous: list[tuple[Item, int]], *, little: bool) -> None:
    """Give the attributes whose VR another one decides their VR, and swap big-endian pixels."""
    signed = dataset.raw(tags.PixelRepresentation)[:1] == b"\x01"
    for item, tag in ambiguous:
        element = item.get(tag)
        if element is None or not isinstance(element.value, bytes | memoryview):
            continue
        own = item.raw(tags.PixelRepresentation)
        choice = _choose_vr(tag, own[:1] == b"\x01" if own else signed, item)
        if choice != element.vr:
            item[tag] = Element(tag, choice, element.value)
    pixels = dataset.get(PIXEL_DATA)
    if not little and pixels is not None and isinstance(pixels.value, memoryview):
        bits = int.from_bytes(dataset.raw(tags.BitsAllocated)[:2], "little")
        unit = 1 if pixels.vr == "OB" else max(2, bits // 8)
        if len(pixels.value) % unit == 0:
            dataset[PIXEL_DATA] = Element(PIXEL_DATA, pixels.vr, memoryview(swapped(pixels.value, unit)))


def _choose_vr(tag: int, signed: bool, item: Item) -> str:
    """Which of several VRs an implicit element has (PS3.5 A.1, PS3.3 C.7.6.3.1)."""
    allowed = allowed_vrs(tag)
    if "SS" in allowed and "US" in allowed and tag != tags.GrayLookupTableData:
        return "SS" if signed else "US"
    if tag == tags.LUTData:
        descriptor = item.raw(tags.LUTDescriptor)
        return "US" if descriptor[:2] == b"\x01\0" else "OW"
    return "OW" if "OW" in allowed else allowed[0]


def swapped(value: Bytes, unit: int) -> bytes:
    """A value with the bytes of each of its units reversed."""
    if unit == 1:
        return bytes(value)
    result = bytearray(len(value))
    for place in range(unit):
        result[place::unit] = value[unit - 1 - place :: unit]
    return bytes(result)
