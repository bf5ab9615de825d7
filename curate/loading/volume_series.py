"""`curate.volume_series`: a series of several volumes as one array, with what each of them is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from curate.core.errors import InputError
from curate.dicom.geometry import mosaics, regular_grid
from curate.dicom.geometry.regular_grid import Plane, group
from curate.dicom.geometry.volume_parts import Scale, part_of
from curate.loading.images import Row, datasets_of, pixels
from curate.loading.volume import scaled, tiling_and_size

_HINT = "Give the rows of one of them, chosen by a header attribute, to curate.volume."
# What tells the volumes of a series apart (PS3.3 C.7.6.16, C.8.3.1, C.8.9.4), with the functional group it stands in.
_KINDS = (
    ("EchoTime", ""),
    ("EffectiveEchoTime", "MREchoSequence"),
    ("InversionTime", ""),
    ("ComplexImageComponent", ""),
    ("b_value", ""),
    ("TemporalPositionIdentifier", ""),
    ("TemporalPositionIndex", "FrameContentSequence"),
    ("AcquisitionNumber", ""),
    ("FrameReferenceTime", ""),
)
# Private attributes (group, creator, element), each of which states a b-value first.
_B_VALUES = (
    (0x19, "SIEMENS MR HEADER", 0x0C),
    (0x43, "GEMS_PARM_01", 0x39),
    (0x2001, "Philips Imaging DD 001", 0x03),
    (0x65, "Image Private Header", 0x09),
)
_ORDER = ("TriggerTime", "AcquisitionDateTime", "AcquisitionDate", "AcquisitionTime", "InstanceNumber")


@dataclass(frozen=True, slots=True, eq=False)
class VolumeSeries:
    """Several volumes on one grid.

    `array` is (t, z, y, x): volume, slice, row, column. `affine` (4 x 4) maps (z, y, x, 1) to LPS millimetres, the same
    for all. `volumes` says of each t what tells it from the others: `EchoTime` (ms), `b_value` (s/mm2),
    `TemporalPositionIdentifier`, `FrameReferenceTime` (ms) and the like; empty mappings where nothing but their
    order does. `instances` are the SOPInstanceUIDs of each t along z.
    """

    array: npt.NDArray[np.floating[Any]]
    affine: npt.NDArray[np.float64]
    unit: str
    modality: str
    volumes: tuple[Mapping[str, Any], ...]
    instances: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class _Frame:
    plane: Plane
    scale: Scale
    kinds: tuple[Any, ...]
    order: tuple[Any, ...]


def volume_series(rows: Row | Iterable[Row]) -> VolumeSeries:
    """The volumes of a series' rows of `images`, in any order; mosaics and multi-frame rows too, and a single volume.

    Frames at the same place are of different volumes, in the order of echo, b-value, temporal position and time.
    Values are rescaled as those of `curate.volume`.

    Raises:
        InputError: the places do not repeat evenly, the slices of one volume differ in what tells volumes apart, or
            the rows form no regular grid (see `curate.volume`).
    """
    found = datasets_of(rows)
    frames = _frames(found)
    stacks = _stacks(frames)
    grids = [regular_grid.ordered([frame.plane for frame in stack]) for stack in stacks]
    affine = grids[0][1]
    if any(not np.allclose(other, affine, atol=1e-3) for _, other in grids):
        raise InputError("The volumes of the series lie on several grids.", hint=_HINT)
    units = {frame.scale.unit for frame in frames}
    if len(units) != 1:
        raise InputError(f"The rows have {len(units)} units.", hint=_HINT)
    scales = {(frame.plane.source, frame.plane.frame): frame.scale for frame in frames}
    planes = [order for order, _ in grids]
    return VolumeSeries(
        _filled(found, planes, scales),
        affine,
        units.pop(),
        str(found[0].get("Modality") or ""),
        _labels(stacks),
        tuple(tuple(str(found[plane.source].SOPInstanceUID) for plane in order) for order in planes),
    )


def _frames(found: Sequence[Dataset]) -> list[_Frame]:
    frames = []
    if len({str(dataset.get("SeriesInstanceUID")) for dataset in found}) != 1:
        raise InputError("The rows are not of one series.", hint="Give the rows of one series.")
    for source, dataset in enumerate(found):
        part = part_of(dataset)
        if part.refusal is not None:
            raise InputError(part.refusal[0], hint=part.refusal[1])
        stated = _b_value(dataset)
        for plane, scale in zip(part.planes, part.scales, strict=True):
            here = Plane(source, plane.frame, plane.position, plane.orientation, plane.spacing, plane.thickness)
            frame = 0 if mosaics.is_mosaic(dataset) else plane.frame
            kinds = tuple(_stated(dataset, frame, name, within, stated) for name, within in _KINDS)
            order = tuple(str(dataset.get(name) or "") for name in _ORDER[:-1])
            frames.append(_Frame(here, scale, kinds, (*order, int(dataset.get("InstanceNumber") or 0), frame)))
    return frames


def _b_value(dataset: Dataset) -> float | None:
    """What the top of an MR image states, by the public attribute or its vendor's own."""
    if (public := dataset.get("DiffusionBValue")) is not None:
        return float(public)
    for place in _B_VALUES:
        found = mosaics.private(dataset, place)
        found = found[0] if isinstance(found, Sequence) and not isinstance(found, str) else found
        if isinstance(found, int | float):
            return float(found)
    stated = mosaics.csa_numbers(dataset, (b"B_value",)).get(b"B_value", [])
    return stated[0] if stated else None


def _stated(dataset: Dataset, frame: int, name: str, within: str, b_value: float | None) -> Any:
    if name == "b_value":
        diffusion = group(dataset, frame, "MRDiffusionSequence")
        found = diffusion.get("DiffusionBValue") if diffusion is not None else None
        return float(found) if found is not None else b_value
    item = group(dataset, frame, within) if within else dataset
    found = item.get(name) if item is not None else None
    return None if found in (None, "") else float(found) if isinstance(found, int | float) else str(found)


def _stacks(frames: Sequence[_Frame]) -> list[list[_Frame]]:
    """The frames of each volume: of each place the first, the second, and so on."""
    places: dict[tuple[float, ...], list[_Frame]] = {}
    for frame in frames:
        places.setdefault(frame.plane.place, []).append(frame)
    counts = {len(stack) for stack in places.values()}
    if len(counts) != 1:
        raise InputError(
            f"Some slices are there {min(counts)} times, others {max(counts)} times: no whole volumes.", hint=_HINT
        )
    ordered = [sorted(stack, key=lambda frame: (_sortable(frame.kinds), frame.order)) for stack in places.values()]
    stacks = [list(stack) for stack in zip(*ordered, strict=True)]
    for number, stack in enumerate(stacks):
        for place, (name, _) in enumerate(_KINDS):
            if len({frame.kinds[place] for frame in stack}) > 1:
                raise InputError(f"The slices of volume {number} differ in {name}.", hint=_HINT)
    return stacks


def _sortable(kinds: tuple[Any, ...]) -> tuple[tuple[bool, float, str], ...]:
    return tuple((k is not None, k if isinstance(k, float) else 0.0, k if isinstance(k, str) else "") for k in kinds)


def _labels(stacks: Sequence[Sequence[_Frame]]) -> tuple[Mapping[str, Any], ...]:
    kinds = [stack[0].kinds for stack in stacks]
    differing = [place for place in range(len(_KINDS)) if len({one[place] for one in kinds}) > 1]
    return tuple({_KINDS[place][0]: one[place] for place in differing} for one in kinds)


def _filled(
    found: Sequence[Dataset], orders: Sequence[Sequence[Plane]], scales: Mapping[tuple[int, int], Scale]
) -> npt.NDArray[np.floating[Any]]:
    """The array; each instance is decoded once, and only one is held beside it."""
    first = found[0]
    tiling, size = tiling_and_size(first)
    array = np.empty((len(orders), len(orders[0]), *size), np.float32)
    places: dict[int, list[tuple[int, int, int]]] = {}
    for t, order in enumerate(orders):
        for z, plane in enumerate(order):
            places.setdefault(plane.source, []).append((t, z, plane.frame))
    for source, targets in places.items():
        stored = pixels(found[source])
        if stored.shape[-2:] != (int(first.Rows), int(first.Columns)):
            raise InputError("The images of the series have several sizes.", hint=_HINT)
        decoded = tiling.cut(stored) if tiling else stored.reshape(-1, *size)
        for t, z, frame in targets:
            array[t, z] = scaled(decoded[frame], scales[source, frame], found[source])
    return array
