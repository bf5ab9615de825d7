"""Lookup tables and palettes: kept byte for byte, unless they contain text.

Pixels are read through these tables, so one that cannot stay is a refusal, never an empty table. What is asked:

- of every table: that nothing in it spells. Its bytes are read one by one, by every second to fourth (UTF-16, UTF-32,
  the low or high bytes of 16-bit entries), and each bit plane of its entries as bytes. A run of letters or of digits
  that is longer than chance gives (6 to 11, by the table's length) is text, unless the entries around it are a curve.
- of LUT Data: as many entries as the descriptor says, within its bits, in one direction (PS3.3 C.11.1.1, C.11.2.1.1).
- of the three palettes together: the same, and that their colours, entry by entry, do not spell (C.7.6.3.1.5).

What remains: a palette of free colours, as label maps have them, has 24 bits an entry. Words shorter than that run,
and what is enciphered or spread over entries in other ways, can stand in it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from curate.core.findings import Finding
from curate.deid.grammar import reads_as_text
from curate.dicom import tags
from curate.dicom.dictionary import keyword
from curate.dicom.model import Bytes, Item, MalformedError
from curate.policies import Policy

Entries = npt.NDArray[np.int64]

MODALITY_LUT, VOI_LUT = tags.ModalityLUTSequence, tags.VOILUTSequence
LUT_DATA, _LUT_DESCRIPTOR = tags.LUTData, tags.LUTDescriptor
_PHYSICAL = frozenset(
    (MODALITY_LUT, tags.PixelIntensityRelationshipLUTSequence)
)  # tables that say what pixel values mean
_PALETTES = (
    (tags.RedPaletteColorLookupTableDescriptor, tags.RedPaletteColorLookupTableData),
    (tags.GreenPaletteColorLookupTableDescriptor, tags.GreenPaletteColorLookupTableData),
    (tags.BluePaletteColorLookupTableDescriptor, tags.BluePaletteColorLookupTableData),
)
_SEGMENTED = (
    tags.SegmentedRedPaletteColorLookupTableData,
    tags.SegmentedGreenPaletteColorLookupTableData,
    tags.SegmentedBluePaletteColorLookupTableData,
)
_COLOURS = (*(data for _, data in _PALETTES), *_SEGMENTED)
_PHOTOMETRIC = tags.PhotometricInterpretation
_REFUSED = "LOOKUP_TABLE_REFUSED"
_MOST_ENTRIES = 1 << 16
_MOST_BYTES = 4 * _MOST_ENTRIES  # 16 bits each, and as much for the heads of segments (PS3.3 C.7.9.2)
_STRIDES = (1, 2, 3, 4)
_LEAST, _CHANCE = 6, 10_000  # letters of a text; of so many readings of random bytes one may find as many
_ROUNDING = 2  # units by which second differences of a curve go up and down
_PRINTABLE = bytes(chr(code) in " ^" or (code < 128 and chr(code).isalnum()) for code in range(256))
_WORD = 4  # bytes
_FAR, _LEAST_FAR = re.compile(rb"[H-Zh-z]"), 3  # letters that no exponent of an ordinary number looks like
_AROUND = 4  # entries on each side of a run of letters
_LEAST_OF_A_CURVE = 8  # different entries
_LONG = 64  # different entries, too many for a curve by chance
_MOST_TURNS = 0.25  # of the entries that differ from the one before: more, and it is no curve
_DIFFERENT, _REPEATED = 4, re.compile(rb"(.)\1{2,}", re.DOTALL)  # letters of a text


def plain(_argument: str, _vr: str, raw: bytes) -> bytes | None:
    """A lookup table of no more entries than one can have, in which nothing spells; None of any other."""
    return None if len(raw) > _MOST_BYTES or reads_as_text(raw) or spells(raw) else raw


def spells(raw: bytes) -> bool:
    """Whether a table's bytes hold text, by any of the readings."""
    table = np.frombuffer(raw, "u1").astype(np.int64)
    if len(raw) % 2:
        return _spells_in(table, None)
    words = np.frombuffer(raw, "<u2").astype(np.int64)
    low, high = words & 255, words >> 8
    if np.array_equal(low, high) or not low.any():
        return _spells_in(high, None)  # 8 bits stored in 16
    if not high.any():
        return _spells_in(low, None)
    return _spells_in(table, words)


def _spells_in(table: Entries, words: Entries | None) -> bool:
    """Whether bytes spell, or their bit planes; they may be the low and high ones of `words`."""
    return _bytes_spell(table, words) or _any_plane_spells(table, words)


def wide_spells(raw: Bytes, width: int) -> bool:
    """Whether numbers of four or eight bytes spell: as they lie, by halves, by every second byte, by one of each.

    The two highest bytes by themselves are left out: exponents of ordinary numbers are letters again and again.
    """
    table = np.frombuffer(raw, "u1").reshape(-1, width)
    half, even, odd = width // 2, slice(0, width, 2), slice(1, width, 2)
    lanes = [slice(None), slice(0, half), even, *(slice(place, place + 1) for place in range(width - 2))]
    lanes += [slice(half, width), odd] if width > _WORD else []
    least = _least(2 * len(raw) * len(lanes) // 10)
    for lane in lanes:
        for order in (1, -1):
            whole = table[:, lane][:, ::order].tobytes()
            if any(_is_varied(match) and _is_no_exponent(match.group()) for match in _runs(whole, least)):
                return True
    return False


def _runs(whole: bytes, least: int) -> Iterator[re.Match[bytes]]:
    """The runs of text in many bytes: looked for where as many bytes in a row are printable at all."""
    printable = whole.translate(_PRINTABLE)
    at = printable.find(b"\1" * least)
    while at >= 0:
        stop = printable.find(b"\0", at)
        stop = len(whole) if stop < 0 else stop
        yield from _text(least).finditer(whole, at, stop)
        at = printable.find(b"\1" * least, stop)


def _is_no_exponent(letters: bytes) -> bool:
    """Whether letters are not what the exponents of ordinary numbers look like: A to G, one of them again and again."""
    return len(_FAR.findall(letters)) >= _LEAST_FAR and 3 * max(map(letters.count, set(letters))) <= len(letters)


def refuse_spelling(value: Bytes, width: int) -> None:
    """Raises MalformedError PIXELS_HOLD_TEXT where numbers of so many bytes spell: no look at the picture shows it."""
    if wide_spells(value[: len(value) // width * width], width):
        raise MalformedError("PIXELS_HOLD_TEXT", "PixelData")


def _bytes_spell(table: Entries, words: Entries | None) -> bool:
    turns = min(_turns(table), _turns(words)) if words is not None else _turns(table)
    if turns <= 1 and len(_steps(table)) >= _LONG:
        return False  # a curve from end to end
    least = _least(2 * len(_STRIDES) * (turns + 2))
    for stride in _STRIDES:
        if any(_reads(table, words, np.arange(phase, len(table), stride), least) for phase in range(stride)):
            return True
    if _reads(table, words, _steps(table), least):
        return True
    return words is not None and any(_reads(table, words, 2 * _steps(words) + place, least) for place in (0, 1))


def _any_plane_spells(table: Entries, words: Entries | None) -> bool:
    if words is None:
        return _planes_spell(table, 8)
    bytes_too = _is_curved(table) or not _is_curved(words)
    return _planes_spell(words, 16) or (bytes_too and _planes_spell(table, 8))


def _is_curved(entries: Entries) -> bool:
    """Whether entries are a curve for the most part."""
    return _turns(entries) <= _MOST_TURNS * len(_steps(entries))


def _planes_spell(entries: Entries, bits: int) -> bool:
    """Whether a bit plane spells, read as bytes, where the entries are no curve but for their rounding."""
    if _is_rounded(entries):
        return False
    least = _least(2 * bits * len(entries))
    for plane, phase in _planes(entries, bits):
        for match in _text(least).finditer(plane):
            part = entries[phase + 8 * match.start() : phase + 8 * match.end()]
            if _is_varied(match) and not _is_rounded(part) and not _is_rounded(part[_steps(part)]):
                return True
    return False


def _is_rounded(entries: Entries) -> bool:
    """Whether entries bend all by the same, but for the unit that rounding adds or takes."""
    steps = np.diff(entries)
    bends = np.diff(steps // max(int(np.gcd.reduce(steps)), 1)) if len(steps) else steps
    return not len(bends) or int(np.abs(bends - int(np.median(bends))).max()) <= 1


def _reads(table: Entries, words: Entries | None, places: Entries, least: int) -> bool:
    """Whether the bytes at `places` make a run of text, around which neither bytes nor words are a curve."""
    for match in _text(least).finditer(table[places].astype(np.uint8).tobytes()):
        if not _is_varied(match):
            continue
        first, last = int(places[match.start()]), int(places[match.end() - 1])
        curved = _is_curve(table, first, last)
        if not curved and (words is None or not _is_curve(words, first // 2, last // 2)):
            return True
    return False


def _is_varied(match: re.Match[bytes]) -> bool:
    """Whether a run is more than a pattern that repeats one letter."""
    letters = _REPEATED.sub(rb"\1", match.group())
    return len(letters) >= _LEAST and len(set(letters)) >= _DIFFERENT


def _turns(entries: Entries) -> int:
    """How often entries begin to bend the other way, rounding apart: hardly in a curve, all the time in a text."""
    steps = np.diff(entries[_steps(entries)])
    if len(steps) < 2:
        return 0
    bends = np.diff(steps // max(int(np.gcd.reduce(steps)), 1))
    signs = np.sign(bends[np.abs(bends) > _ROUNDING])
    return int(np.count_nonzero(np.diff(signs)))


def _steps(entries: Entries) -> Entries:
    """The places of entries that are not the repetition of the one before: steps, not plateaus."""
    return np.flatnonzero(np.concatenate(([True], np.diff(entries) != 0))[: len(entries)])


def _is_curve(entries: Entries, first: int, last: int) -> bool:
    """Whether entries from `first` to `last` and around go as a curve does: bent the other way once at most."""
    part = entries[max(0, first - _AROUND) : last + 1 + _AROUND]
    return len(_steps(part)) >= _LEAST_OF_A_CURVE and _turns(part) <= 1


def _planes(entries: Entries, bits: int) -> Iterator[tuple[bytes, int]]:
    """Each bit plane of entries as bytes, the first bit at each place of a byte, in both orders; and that place."""
    for bit in range(bits):
        plane = (entries >> bit & 1).astype(np.uint8)
        if not plane.any():
            continue
        for phase in range(8):
            for order in ("little", "big"):
                yield np.packbits(plane[phase:], bitorder=order).tobytes(), phase


def _least(readings: int) -> int:
    """The length of a run of one alphabet's letters that random bytes give in one of `_CHANCE` tables."""
    return max(_LEAST, math.ceil(math.log(_CHANCE * max(readings, 1)) / math.log(256 / 28)))


@lru_cache(maxsize=64)
def _text(least: int) -> re.Pattern[bytes]:
    """Letters of one case, digits, or both, so many and more."""
    return re.compile(
        rb"[A-Z^ ]{%d,}|[A-Z]?[a-z ]{%d,}|[0-9]{%d,}|[A-Z0-9^]{%d,}" % (least, least - 1, least, least + 1)
    )


def stays(parent: int, item: Item) -> bool:
    """Whether the lookup table of an item is what its descriptor says; one that is only for display may go.

    Raises:
        MalformedError: LOOKUP_TABLE_REFUSED where pixels mean something else without it.
    """
    if LUT_DATA not in item or _is_sound(item.raw(_LUT_DESCRIPTOR), item.raw(LUT_DATA)):
        return True
    if parent in _PHYSICAL:
        raise MalformedError(_REFUSED, keyword(LUT_DATA))
    return False


@lru_cache(maxsize=64)
def _is_sound(descriptor: bytes, data: bytes) -> bool:
    """Whether LUT Data are what their descriptor says, and go in one direction."""
    values = _entries(descriptor, data)
    if values is None:
        return False
    steps = np.diff(values)
    return bool((steps >= 0).all() or (steps <= 0).all())


def _entries(descriptor: bytes, data: bytes) -> Entries | None:
    """The entries of a table (PS3.3 C.7.6.3.1.5, C.11.1.1); None where they are not as many, or have more bits."""
    if len(descriptor) != 6:
        return None
    count, _, bits = np.frombuffer(descriptor, "<u2").tolist()
    count = count or _MOST_ENTRIES
    if not 8 <= bits <= 16:
        return None
    if len(data) == 2 * count:
        values = np.frombuffer(data, "<u2").astype(np.int64)
        stored_high = bits == 8 and (not (values & 255).any() or _is_doubled(values))
        fits = stored_high or int(values.max()) < 1 << bits
        return values if fits else None
    if bits == 8 and len(data) == count + count % 2 and not any(data[count:]):
        return np.frombuffer(data[:count], "u1").astype(np.int64)
    return None


def _is_doubled(values: Entries) -> bool:
    return bool(np.array_equal(values >> 8, values & 255))


def palette_fault(_policy: Policy, item: Item) -> Finding | None:
    """Why pixels that are indices of colours cannot be read: their palette is missing, or not what it claims."""
    if item.text(_PHOTOMETRIC) != "PALETTE COLOR":
        return None
    if all(item.raw(tag) for tag in _SEGMENTED) and all(len(item.raw(tag)) == 6 for tag, _ in _PALETTES):
        return None
    sound = _is_palette(*((item.raw(first), item.raw(second)) for first, second in _PALETTES))
    return None if sound else Finding(_REFUSED, tag=keyword(_COLOURS[0]))


def removed(before: Item, after: Item) -> Finding | None:
    """That a table for display did not stay: it is not what its descriptor says, or holds text."""
    fewer = len(after.items_of(VOI_LUT)) < len(before.items_of(VOI_LUT))
    colours = any(before.raw(tag) and not after.raw(tag) for tag in _COLOURS)
    tag = keyword(VOI_LUT if fewer else _COLOURS[0])
    return Finding("LOOKUP_TABLE_REMOVED", tag=tag) if fewer or colours else None


@lru_cache(maxsize=16)
def _is_palette(*tables: tuple[bytes, bytes]) -> bool:
    channels = [_entries(descriptor, data) for descriptor, data in tables]
    known = [channel for channel in channels if channel is not None]
    if len(known) < len(channels) or len({len(channel) for channel in known}) != 1:
        return False
    eight = [channel >> 8 if int(channel.max()) > 255 else channel for channel in known]
    colours = np.stack(eight, 1)
    coloured = colours[(colours != colours[:, :1]).any(axis=1)]
    least = _least(3 * len(coloured))
    for match in _text(least).finditer(coloured.astype(np.uint8).tobytes()):
        first, last = match.start() // 3, (match.end() - 1) // 3
        if not _is_varied(match):
            continue
        if not all(_is_curve(coloured[:, channel], first, last) for channel in range(3)):
            return False
    return True
