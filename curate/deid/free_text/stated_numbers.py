"""Numbers in a data set's descriptions stay where the instance's own attributes state the same value.

`TE 30`, `5mm`, `b1000` and the numbers in a pulse sequence's name are held against the clean attributes of the
instance, rounded as the description states them. What nothing states goes: it may be anybody's number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache

from curate.deid import private_attributes, sequence_names
from curate.deid.free_text import descriptions
from curate.deid.grammar import data, even
from curate.deid.vendor import forms
from curate.dicom import attributes, tags
from curate.dicom.dictionary import TEXT
from curate.dicom.io.character_sets import decode_text
from curate.dicom.model import Element, Item

_LENGTHS = (
    tags.SliceThickness,
    tags.SpacingBetweenSlices,
    tags.PixelSpacing,
    tags.ImagerPixelSpacing,
    tags.NominalScannedPixelSpacing,
    tags.SingleCollimationWidth,
    tags.TotalCollimationWidth,
    tags.ReconstructionDiameter,
    tags.DataCollectionDiameter,
    tags.FocalSpots,
    tags.ReconstructionFieldOfView,
    tags.TableFeedPerRotation,
    tags.ScanLength,
    tags.BodyPartThickness,
    tags.FieldOfViewDimensions,
    tags.PercentSampling,
    tags.DistanceSourceToDetector,
)
_MILLISECONDS = (
    tags.RepetitionTime,
    tags.EchoTime,
    tags.InversionTime,
    tags.TriggerTime,
    tags.FrameTime,
    tags.ExposureTime,
    tags.ActualFrameDuration,
    tags.FrameReferenceTime,
    tags.EffectiveEchoTime,
    tags.InversionTimes,
)
_SECONDS = (tags.RevolutionTime, tags.AcquisitionDuration)
_DEGREES = (
    tags.FlipAngle,
    tags.GantryDetectorTilt,
    tags.PositionerPrimaryAngle,
    tags.PositionerSecondaryAngle,
    tags.DetectorPrimaryAngle,
    tags.DetectorSecondaryAngle,
)
_BVALUES = (tags.DiffusionBValue,)
_Source = tuple[tuple[int, ...], float]

# Which attributes state a quantity of each unit, or of each name before a number, and the factor to its unit.
_SOURCES: dict[str, tuple[_Source, ...]] = {
    "mm": ((_LENGTHS, 1),),
    "cm": ((_LENGTHS, 0.1),),
    "m": ((_LENGTHS, 0.001),),
    "iso": ((_LENGTHS, 1),),
    "ms": ((_MILLISECONDS, 1), (_SECONDS, 1000)),
    "s": ((_MILLISECONDS, 0.001), (_SECONDS, 1)),
    "sec": ((_MILLISECONDS, 0.001), (_SECONDS, 1)),
    "min": ((_MILLISECONDS, 1 / 60_000), (_SECONDS, 1 / 60)),
    "T": (((tags.MagneticFieldStrength,), 1),),
    "kv": (((tags.KVP,), 1),),
    "kvp": (((tags.KVP,), 1),),
    "ma": (((tags.XRayTubeCurrent, tags.XRayTubeCurrentInmA), 1),),
    "mas": (((tags.Exposure, tags.ExposureInmAs), 1), ((tags.ExposureInuAs,), 0.001)),
    "hz": (((tags.PixelBandwidth,), 1),),
    "khz": (((tags.PixelBandwidth,), 0.001), ((tags.TransducerFrequency,), 1)),
    "mhz": (((tags.ImagingFrequency, tags.TransmitterFrequency), 1), ((tags.TransducerFrequency,), 0.001)),
    "deg": ((_DEGREES, 1),),
    "ml": (((tags.ContrastBolusVolume, tags.RadiopharmaceuticalVolume), 1),),
    "mbq": (((tags.RadionuclideTotalDose,), 1e-6),),
    "mci": (((tags.RadionuclideTotalDose,), 1 / 3.7e7),),
    "gy": (((tags.TargetPrescriptionDose, tags.DeliveryMaximumDose), 1),),
    "cgy": (((tags.TargetPrescriptionDose, tags.DeliveryMaximumDose), 100),),
    "ph": (((tags.CardiacNumberOfImages, tags.NumberOfTemporalPositions), 1),),
    "x": (((tags.NumberOfAverages, tags.ParallelReductionFactorInPlane, tags.EchoTrainLength), 1),),
    "TE": (((tags.EchoTime, tags.EffectiveEchoTime), 1),),
    "TR": (((tags.RepetitionTime,), 1),),
    "TI": (((tags.InversionTime, tags.InversionTimes), 1),),
    "FA": (((tags.FlipAngle,), 1),),
    "B": ((_BVALUES, 1),),
    "#": (((tags.AcquisitionNumber, tags.InstanceNumber), 1), ((tags.TagAngleSecondAxis,), 1)),
    "": (((tags.EchoTrainLength, tags.NumberOfPhaseEncodingSteps, tags.AcquisitionMatrix, tags.EchoTime), 1),),
}
_SAID = re.compile(r"(?:([A-Z]+) )?(b?)(\d+(?:\.\d+)?)([A-Za-z]*)")
_COIL = tags.ReceiveCoilName
_DIGIT = re.compile(rb"\d")


@cache
def _kinds() -> dict[int, str]:
    """The attributes whose numbers are held against others, by the grammar of their words."""
    entries = ((int(entry["tag"], 16), entry["grammar"]) for entry in data("allow.json"))
    return {tag: grammar for tag, grammar in entries if grammar in ("terms", "sequence")}


_PRIVATE = {"B": "b-value", "s": "rotation", "sec": "rotation"}


@cache
def _private(about: str) -> frozenset[tuple[str, int, int]]:
    """The private attributes that state a b-value, or a time of rotation in seconds."""
    return frozenset(key for key, known in private_attributes.safe().items() if known.states == about)


def concerns(element: Element) -> bool:
    """Whether what stays of an element rests on what the others state; a vendor's comment states itself."""
    return element.vr in TEXT and element.tag in _kinds() and _has_digit(element) and not forms.is_comment(element)


def _has_digit(element: Element) -> bool:
    return isinstance(element.value, bytes) and _DIGIT.search(element.value) is not None


def described(item: Item) -> Iterator[tuple[int, bytes]]:
    """The descriptions of a data set that have numbers which nothing states, without them."""
    for tag in [tag for tag, element in item.items() if concerns(element)]:
        raw, states = item.raw(tag), _States(item)
        new = _sequence(raw, states) if _kinds()[tag] == "sequence" else _description(item, tag, states)
        if new.strip(b" ") != raw.strip(b" "):
            yield tag, new


def _description(item: Item, tag: int, states: _States) -> bytes:
    raw, vr = item.raw(tag), item[tag].vr
    said = frozenset(
        one for part in decode_text(raw, item.encodings).split("\\") for one in descriptions.quantities(part)
    )
    stated = frozenset(one for one in said if states.quantity(one))
    return raw if stated == said else descriptions.rebuild(vr, raw, item.encodings, frozenset(), stated)


def _sequence(raw: bytes, states: _States) -> bytes:
    values = raw.decode("ascii", "replace").strip(" \0").split("\\")
    return even("\\".join(sequence_names.without_numbers(value, states.number) for value in values).encode(), b" ")


class _States:
    """What the attributes of a data set state, looked up where it is asked for."""

    def __init__(self, item: Item) -> None:
        self._item = item
        self._inner: dict[int, list[float]] | None = None

    def quantity(self, said: str) -> bool:
        """Whether a quantity as `descriptions.quantities` writes it is stated, rounded as it is written."""
        match = _SAID.fullmatch(said)
        if match is None:
            return False
        name, b, number, unit = match.groups()
        if unit == "ch":
            return number in re.findall(r"\d+", self._item.text(_COIL))
        decimals = len(number.partition(".")[2])
        return self._is_stated("B" if b else name or unit, float(number), decimals)

    def number(self, kind: str, number: int) -> bool:
        """Whether a number in a pulse sequence's name is stated; a direction follows the image before it."""
        return self._is_stated(kind, number, 0) or (kind == "#" and self._is_stated(kind, number + 1, 0))

    def _is_stated(self, kind: str, number: float, decimals: int) -> bool:
        room = 0.5 * 10**-decimals * (1 + 1e-9)
        return any(
            abs(value * factor - number) <= room
            for tags, factor in _SOURCES.get(kind, ())
            for tag in tags
            for value in self._values(tag)
        ) or any(abs(value - number) <= room for value in self._private(_PRIVATE.get(kind, "")))

    def _values(self, tag: int) -> list[float]:
        """The numbers of an attribute: the data set's own, else those in its sequences."""
        self._item.raw(tag)  # noted as what this rests on
        if tag in self._item:
            return _numbers(self._item[tag], self._item.encodings)
        if self._inner is None:
            self._inner = {}
            wanted = {tag for sources in _SOURCES.values() for tags, _ in sources for tag in tags}
            for outer, element in self._item.items():
                if element.items:
                    self._item.items_of(outer)
                    self._gather(element.items, wanted, self._inner)
        return self._inner.get(tag, [])

    def _gather(self, items: Iterable[Item], wanted: set[int], found: dict[int, list[float]]) -> None:
        for item in items:
            for tag, element in item.items():
                if element.items:
                    self._gather(element.items, wanted, found)
                elif tag in wanted:
                    known = found.setdefault(tag, [])
                    known += [value for value in _numbers(element, item.encodings) if value not in known]

    def _private(self, about: str) -> list[float]:
        item, found = self._item, []
        for tag in [tag for tag in item if about and tag & 0x10000 and tag & 0xFFFF >= 0x1000]:
            if (item.creator(tag) or "", tag >> 16, tag & 0xFF) in _private(about):
                item.raw(tag)
                found += _numbers(item[tag], item.encodings)[:1]
        return found


def _numbers(element: Element, encodings: tuple[str, ...]) -> list[float]:
    value = attributes.typed(element, encodings)
    values = value if isinstance(value, list) else [value]
    return [float(one) for one in values if isinstance(one, int | float)]
