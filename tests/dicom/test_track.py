"""Files of a series are read by comparing them; what comes of it is what reading each from its first byte gives."""

from __future__ import annotations

import io
import struct
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from curate.dicom.io import layout_cache
from curate.dicom.io.layout_cache import Parsed
from curate.dicom.io.reader import parse, peek
from curate.dicom.model import MalformedError
from curate.donation.header_scan import scan
from tests import synth
from tests.dicom import real
from tests.dicom.test_rewrite import KEYS, forget

_VALUES = st.sampled_from([b"", b"1 ", b"22", b"1\\2\\3 ", b"x" * 40, b"long" * 300, bytes(70_000)])
_ELEMENTS = st.sampled_from([
    (0x00080060, b"CS"), (0x00080005, b"CS"), (0x0008103E, b"LO"), (0x00081030, b"UN"), (0x00104000, b"LT"),
    (0x00180050, b"DS"), (0x0020000E, b"UI"), (0x00200013, b"IS"), (0x00280106, b"US"), (0x00291010, b"OB"),
    (0x00401001, b"UT"),
])  # fmt: skip


def encoded(tag: int, vr: bytes, value: bytes) -> bytes:
    """An element in explicit little endian; a value too long for its VR as UN."""
    group, number = tag >> 16, tag & 0xFFFF
    if vr in (b"OB", b"UN", b"UT", b"OW", b"SQ") or len(value) > 0xFFFE:
        vr = vr if vr in (b"OB", b"UT", b"OW", b"SQ") else b"UN"
        return struct.pack("<HH2sHL", group, number, vr, 0, len(value)) + value
    return struct.pack("<HH2sH", group, number, vr, len(value)) + value


def sequence(value: bytes, *, open_ended: bool) -> bytes:
    """A sequence of one item that holds one element."""
    inner = encoded(0x00081155, b"UI", value)
    if open_ended:
        head = struct.pack("<HH2sHL", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF)
        ends = struct.pack("<HHLHHL", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
        return head + struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF) + inner + ends
    return encoded(0x00081140, b"SQ", struct.pack("<HHL", 0xFFFE, 0xE000, len(inner)) + inner)


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """A file that has most of its bytes in common with the others that are drawn."""
    uid = draw(st.sampled_from([b"1.2.3\0", b"1.2.34", b"1.2.3456"]))
    meta = encoded(0x00020002, b"UI", b"1.2.840.10008.5.1.4.1.1.2\0") + encoded(0x00020003, b"UI", uid)
    meta += encoded(0x00020010, b"UI", b"1.2.840.10008.1.2.1\0")
    data = bytes(128) + b"DICM" + encoded(0x00020000, b"UL", struct.pack("<L", len(meta))) + meta
    elements = {
        tag: encoded(tag, vr, b"8 ") for tag, vr in ((0x00080016, b"UI"), (0x00080018, b"UI"), (0x00100010, b"PN"))
    }
    for tag, vr in draw(st.lists(_ELEMENTS, max_size=4)):
        elements[tag] = encoded(tag, vr, draw(_VALUES))
    if draw(st.booleans()):
        elements[0x00081140] = sequence(draw(st.sampled_from([b"1.2", b"1.2.40"])), open_ended=draw(st.booleans()))
    data += b"".join(elements[tag] for tag in sorted(elements))
    pixels = draw(st.sampled_from([b"", encoded(0x7FE00010, b"OW", bytes(8)), encoded(0x7FE00010, b"OB", b""), b"odd"]))
    pixels = draw(st.sampled_from([b"", encoded(0x7FE00000, b"UL", struct.pack("<L", len(pixels)))])) + pixels
    after = draw(st.sampled_from([b"", b"", encoded(0xFFFCFFFC, b"OB", bytes(4)), bytes(20)]))
    data += pixels + after
    return data[: draw(st.sampled_from([len(data), len(data), len(data), len(data) - 5, 200]))]


def read(data: bytes, how: Any = parse) -> tuple[object, ...]:
    """All that reading a file gives, or the rule that refuses it."""
    try:
        parsed: Parsed = how(data)
    except MalformedError as error:
        return (error.rule, error.tag)
    item = parsed.dataset
    values = [(tag, e.vr, e.value if isinstance(e.value, list) else bytes(item.raw(tag))) for tag, e in item.items()]
    return (dict(parsed.meta), values, item.encodings, parsed.transfer_syntax, parsed.findings)


@settings(deadline=None, max_examples=150)
@given(series=st.lists(files(), min_size=2, max_size=8))
def test_a_file_after_others_is_read_as_if_it_came_first(series: list[bytes]) -> None:
    """Elements that come and go, change, grow, or end too early: each file reads as in a fresh process."""
    forget()
    warm = [read(data) for data in series]
    for data, after_others in zip(series, warm, strict=True):
        forget()
        assert read(data) == after_others


@settings(deadline=None, max_examples=50)
@given(series=st.lists(files(), min_size=2, max_size=6))
def test_a_first_look_after_others_is_that_of_a_fresh_process(series: list[bytes]) -> None:
    """What the first kilobytes of a file say does not rest on the files before it."""
    forget()
    warm = [scan(io.BytesIO(data), len(data), KEYS) for data in series]
    for data, after_others in zip(series, warm, strict=True):
        forget()
        assert tuple(scan(io.BytesIO(data), len(data), KEYS)) == tuple(after_others)


def test_real_files_in_a_row_are_read_as_each_alone() -> None:
    """Series of the corpus, one after the other and each file twice, read as in a fresh process."""
    files = [path.read_bytes() for path in real.sample(4) if path.stat().st_size < 1 << 20]
    forget()
    warm = [(read(data), read(data)) for data in files]
    for data, (once, twice) in zip(files, warm, strict=True):
        forget()
        assert read(data) == once == twice


def test_the_files_of_a_series_keep_to_one_track() -> None:
    """After two files the others are read by comparing, not from their first byte."""
    forget()
    files = [synth.instance_bytes(1, 0, 0, number, rows=4, columns=4) for number in range(12)]
    tracks = [parse(data).track for data in files]
    assert {id(one) for one in tracks[2:]} == {id(tracks[1])}
    assert layout_cache.follow(files[0], whole=True) is not None
    assert peek(files[1], 0x00280008).track is parse(files[2]).track


def test_real_series_keep_to_a_track() -> None:
    """So it is for the series of the corpus: most of their files are read by comparing."""
    files = [path.read_bytes() for path in real.files() if "neurolabusc+dcm_qa_nih" in path.parts][:40]
    forget()
    tracks = [parse(data).track for data in files]
    assert sum(one is not None and one is before for before, one in pairwise(tracks)) > 30
