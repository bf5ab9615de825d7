"""Lookup tables and palettes: real ones stay byte for byte, letters in any of their readings do not."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from curate.deid.pixeldata import lookup_tables
from curate.dicom.io.reader import parse
from curate.dicom.model import Item, MalformedError
from tests import synth
from tests.dicom import real
from tests.planter.places.pixels import RAMP, TABLES
from tests.planter.system import attack

LETTERS = b"QZJHTNBKRD"
LEVELS, INPUTS = np.arange(256), np.arange(4096)
CURVES = {
    "ramp of 8 bits": LEVELS.astype("u1"),
    "ramp stored twice": LEVELS.astype("<u2") * 257,
    "ramp in high bytes": LEVELS.astype("<u2") << 8,
    "identity of 16 bits": np.arange(65536).astype("<u2"),
    "inverse": (65535 - 16 * INPUTS).astype("<u2"),
    "gamma": ((INPUTS / 4095) ** 0.45 * 65535).astype("<u2"),
    "sigmoid": (65535 / (1 + np.exp(-4 * (INPUTS - 2000) / 1500))).round().astype("<u2"),
    "sigmoid of 256": (65535 / (1 + np.exp(-4 * (LEVELS - 120) / 100))).round().astype("<u2"),
    "logarithm": (65535 * np.log1p(INPUTS) / np.log(4096)).round().astype("<u2"),
    "stairs": np.repeat(np.arange(0, 256, 12, dtype="u1"), 12),
    "stairs of 16 bits": np.round(np.arange(1024) * 65535 / 1023).astype("<u2").repeat(4),
}


@pytest.mark.parametrize("name", CURVES)
def test_curves_do_not_spell(name: str) -> None:
    """What scanners and viewers compute passes, whatever letters its bytes happen to be."""
    raw = CURVES[name].tobytes()
    assert lookup_tables.plain("", "OW", raw) == raw


@pytest.mark.parametrize("name", [name for name, _ in TABLES])
def test_letters_in_a_ramp_spell(name: str) -> None:
    """In low bytes, as UTF-16 of either order, as every second entry, as a bit plane."""
    table = dict(TABLES)[name](LETTERS)
    assert lookup_tables.spells(struct.pack(f"<{len(table)}H", *table))


@pytest.mark.parametrize("at", [0, 40, 100])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("base", ["ramp", "zeros", "colours"])
def test_letters_in_a_table_of_bytes_spell(base: str, stride: int, at: int) -> None:
    """As they lie, or with other entries between them; in a ramp, in nothing, among free colours."""
    colours = np.random.default_rng(8).integers(0, 256, 256).astype("u1")
    table = {"ramp": LEVELS.astype("u1"), "zeros": np.zeros(256, "u1"), "colours": colours}[base].copy()
    assert not lookup_tables.spells(table.tobytes())
    table[at : at + stride * len(LETTERS) : stride] = np.frombuffer(LETTERS, "u1")
    assert lookup_tables.spells(table.tobytes())


def test_free_colours_hardly_ever_spell() -> None:
    """Of 300 tables of random entries two are refused at most: label maps have such palettes."""
    random = np.random.default_rng(1)
    made = [random.integers(0, 256, count).astype("u1") for count in (16, 64, 256) for _ in range(100)]
    assert sum(lookup_tables.spells(one.tobytes()) for one in made) <= 2


def palette(reds: np.ndarray, bits: int = 16) -> bytes:
    """A CT slice whose pixels are indices of a palette."""
    ds = synth.load_instance(rows=8, columns=8)
    ds.PhotometricInterpretation, ds.BitsAllocated, ds.BitsStored, ds.HighBit = "PALETTE COLOR", 8, 8, 7
    ds.PixelRepresentation, ds.PixelData = 0, bytes(range(64))
    ds["PixelData"].VR = "OW"
    for colour in ("Red", "Green", "Blue"):
        setattr(ds, f"{colour}PaletteColorLookupTableDescriptor", [len(reds), 0, bits])
        other = reds if colour == "Red" else np.sort(reds)
        setattr(ds, f"{colour}PaletteColorLookupTableData", other.tobytes())
    return synth.to_bytes(ds)


def test_a_ramp_with_sixteen_colours_stays() -> None:
    """A grey ramp and 16 free colours, 8 bits stored twice, as ultrasound scanners write them: byte for byte."""
    free = np.array([207, 21, 45, 60, 46, 205, 222, 149, 10, 24, 85, 110, 159, 122, 67, 40])
    reds = (np.concatenate((np.arange(240), free)) * 257).astype("<u2")
    data = palette(reds)
    outcome = attack(data)
    assert outcome.released is not None, outcome.refusal
    before, after = parse(data).dataset, parse(outcome.released).dataset
    for tag in (0x00281201, 0x00281202, 0x00281203):
        assert before.raw(tag) == after.raw(tag) != b""


def test_a_palette_that_spells_refuses_the_pixels() -> None:
    """Pixels without their palette would be shown otherwise, so they are not written with an empty one."""
    table = np.array(dict(TABLES)["low bytes"](LETTERS), "<u2")
    assert attack(palette(table)).refusal == "LOOKUP_TABLE_REFUSED"
    short = palette(np.array(RAMP, "<u2"))
    short = short.replace(struct.pack("<3H", 128, 0, 16), struct.pack("<3H", 250, 0, 16))
    assert attack(short).refusal == "LOOKUP_TABLE_REFUSED"


def test_colours_that_spell_together_refuse_the_pixels() -> None:
    """Letters entry by entry over red, green and blue."""
    colours = np.random.default_rng(3).integers(128, 256, (32, 3)).astype("u1")
    channels = [channel.tobytes() for channel in colours.T]
    descriptor = struct.pack("<3H", 32, 0, 8)
    assert lookup_tables._is_palette(*((descriptor, channel) for channel in channels))
    colours.reshape(-1)[30:40] = np.frombuffer(LETTERS, "u1")
    channels = [channel.tobytes() for channel in colours.T]
    assert not any(lookup_tables.spells(channel) for channel in channels)
    assert not lookup_tables._is_palette(*((descriptor, channel) for channel in channels))


def lut(values: list[int], bits: int = 16, entries: int | None = None) -> Item:
    item = Item()
    item.put(0x00283002, "US", struct.pack("<3H", entries or len(values), 0, bits))
    item.put(0x00283006, "OW", struct.pack(f"<{len(values)}H", *values))
    return item


@pytest.mark.parametrize(
    "item",
    [lut([0, 5, 3, 9]), lut([0, 5, 9], entries=4), lut([0, 256, 4096], bits=12)],
    ids=["two directions", "another length", "more bits"],
)
def test_a_lookup_table_is_what_its_descriptor_says(item: Item) -> None:
    """As many entries, within their bits, in one direction; else it goes, or refuses pixels that it gives a meaning."""
    sound = lut([0, 5, 9, 4095], bits=12)
    assert lookup_tables.stays(lookup_tables.VOI_LUT, sound) and lookup_tables.stays(lookup_tables.MODALITY_LUT, sound)
    assert not lookup_tables.stays(lookup_tables.VOI_LUT, item)
    with pytest.raises(MalformedError) as caught:
        lookup_tables.stays(lookup_tables.MODALITY_LUT, item)
    assert caught.value.rule == "LOOKUP_TABLE_REFUSED"


def test_a_table_for_display_that_goes_is_told() -> None:
    """A VOI LUT that does not stay is a warning, and the instance is released without it."""
    ds = synth.load_instance(rows=8, columns=8)
    table = synth.Dataset()
    table.LUTDescriptor, table.LUTData = [4, 0, 16], struct.pack("<4H", 0, 9, 3, 7)
    table["LUTDescriptor"].VR, table["LUTData"].VR = "US", "OW"
    ds.VOILUTSequence = [table]
    outcome = attack(synth.to_bytes(ds))
    assert outcome.released is not None
    assert "LOOKUP_TABLE_REMOVED" in {finding.rule for finding in outcome.findings}
    assert lookup_tables.VOI_LUT not in parse(outcome.released).dataset


@pytest.mark.parametrize("kind", ["VOI LUT", "palette"])
def test_a_table_that_pixels_are_not_read_through_goes_with_a_warning(kind: str) -> None:
    """Text in a VOI LUT, or in the palette of grey pixels, refuses nothing: the instance is released without it."""
    table = dict(TABLES)["low bytes"](LETTERS)
    if kind == "palette":
        data = palette(np.array(table, "<u2")).replace(b"PALETTE COLOR ", b"MONOCHROME2   ")
    else:
        ds = synth.load_instance(rows=8, columns=8)
        item = synth.Dataset()
        item.LUTDescriptor, item.LUTData = [len(table), 0, 16], struct.pack(f"<{len(table)}H", *table)
        item["LUTDescriptor"].VR, item["LUTData"].VR = "US", "OW"
        ds.VOILUTSequence = [item]
        data = synth.to_bytes(ds)
    outcome = attack(data)
    assert outcome.released is not None, outcome.refusal
    assert struct.pack(f"<{len(table)}H", *table) not in outcome.released
    assert {finding.rule for finding in outcome.findings} >= {"LOOKUP_TABLE_REMOVED", "VALUE_LOST"}


def test_real_palettes_stay() -> None:
    """Every palette of the corpus: hot iron, steps, seasons (segmented), label maps, an ultrasound scanner's."""
    found = 0
    for path in real.sample():
        if path.stat().st_size > 1_000_000:
            continue
        try:
            item = parse(path.read_bytes()).dataset
        except MalformedError:
            continue
        for tag in (*range(0x00281201, 0x00281204), *range(0x00281221, 0x00281224)):
            if raw := item.raw(tag):
                found += 1
                assert lookup_tables.plain("", "OW", raw) == raw, path.name
    assert found >= 6


def test_wide_numbers_spell_in_their_halves() -> None:
    """Letters in the upper halves of doubles are seen, the exponents of ordinary numbers are no letters."""
    random = np.random.default_rng(3)
    for numbers in (random.normal(1000, 300, 20_000), np.exp(random.normal(3, 4, 20_000))):
        for kind in ("<f4", "<f8"):
            raw = numbers.astype(kind).tobytes()
            width = np.dtype(kind).itemsize
            assert not lookup_tables.wide_spells(raw, width)
            assert lookup_tables.wide_spells(raw[:80] + LETTERS * 4 + raw[120:], width)
    halves = np.frombuffer(numbers.astype("<f8").tobytes(), "u1").reshape(-1, 8).copy()
    halves[50:60, 4:] = np.frombuffer(LETTERS * 4, "u1").reshape(-1, 4)
    assert lookup_tables.wide_spells(halves.tobytes(), 8)
