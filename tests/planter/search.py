"""Whether anything planted is still there: raw, inflated, in any encoding, joined over separators."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator
from functools import lru_cache

from tests.planter.places.place import Plant
from tests.planter.tokens import forms

KEYED = re.compile(rb"2\.25\.\d{30,39}")  # the new UIDs: their digits are random
LETTERS = re.compile(rb"QZJ[A-Z]{7}")
SEPARATED = re.compile(rb"[A-Za-z](?:[^A-Za-z0-9]{1,2}[A-Za-z]){9,}")


@lru_cache(maxsize=200_000)
def _forms(needle: bytes) -> tuple[bytes, ...]:
    return forms(needle)


def inflated(data: bytes) -> Iterator[bytes]:
    """The data and every deflate stream in it that opens."""
    yield data
    for match in re.finditer(rb"\x78[\x01\x5e\x9c\xda]|\x1f\x8b\x08", data):
        for wbits in (47,):
            try:
                opened = zlib.decompressobj(wbits=wbits).decompress(data[match.start() :], 1 << 20)
            except zlib.error:
                continue
            if len(opened) > 8:
                yield opened
    if len(data) > 144 and b"1.2.840.10008.1.2.1.99" in data[:1024]:
        size = int.from_bytes(data[140:144], "little")
        try:
            yield zlib.decompressobj(wbits=-15).decompress(data[144 + size :])
        except zlib.error:
            return


def _blob(data: bytes) -> bytes:
    """Everything to search: streams opened, keyed UIDs masked, letters that stand apart joined."""
    streams = [KEYED.sub(b"", stream) for stream in inflated(data)]
    joined = [re.sub(rb"[^A-Za-z0-9]", b"", match) for stream in streams for match in SEPARATED.findall(stream)]
    return b"\n\n".join([*streams, *joined])


def survivors(data: bytes, plants: Iterable[Plant], before: bytes = b"") -> list[str]:
    """The places whose identifier is still in the data, and was not there before the planting."""
    blob = _blob(data)
    upper = blob.upper()
    letters = set(LETTERS.findall(upper))
    found = []
    for plant in plants:
        if plant.token.text.encode() in letters:
            found.append(plant.place)
            continue
        needles = [form for needle in plant.needles for form in _forms(needle)]
        if any(form in blob and form not in before for form in needles):
            found.append(plant.place)
    return found
