"""The reader against pydicom, against an encoder of the tests' own, and against hostile bytes."""

from __future__ import annotations

import io
import struct
import time
import tracemalloc
import warnings
import zlib

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataelem import RawDataElement

from curate.dicom.io import elements, reader
from curate.dicom.io import file_meta as head
from curate.dicom.model import Fragments, Item, MalformedError
from tests import strategies, synth
from tests.dicom import real
from tests.strategies import Node

SYNTAXES = {
    head.EXPLICIT: {},
    head.IMPLICIT: {"explicit": False},
    head.BIG_ENDIAN: {"little": False},
}


def same_tree(item: Item, nodes: list[Node]) -> bool:
    if set(item) != {node.tag for node in nodes}:
        return False
    return all(same_value(item[node.tag].value, node.value) for node in nodes)


def same_value(value: object, expected: bytes | list[list[Node]]) -> bool:
    if isinstance(expected, bytes):
        return value == expected
    if not isinstance(value, list) or len(value) != len(expected):
        return False
    return all(same_tree(inner, inside) for inner, inside in zip(value, expected, strict=True))


@settings(max_examples=150, deadline=None)
@given(nodes=strategies.trees(), syntax=st.sampled_from(sorted(SYNTAXES)))
def test_random_trees_are_read_in_every_syntax(nodes: list[Node], syntax: str) -> None:
    """Whatever the syntax, lengths and depth, the reader finds exactly the elements that were written."""
    nodes = [Node(0x00080000, "UL", b"\0\0\0\0"), *nodes]
    body = strategies.encode(nodes, **SYNTAXES[syntax])
    parsed = reader.parse(strategies.part10(body, syntax))
    assert parsed.transfer_syntax == syntax
    assert same_tree(parsed.dataset, nodes)


@settings(max_examples=40, deadline=None)
@given(nodes=strategies.trees())
def test_deflated_is_the_same_as_explicit(nodes: list[Node]) -> None:
    """A deflated data set gives the elements of the inflated one."""
    body = strategies.encode([Node(0x00080000, "UL", b"\0\0\0\0"), *nodes])
    engine = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    squeezed = engine.compress(body) + engine.flush()
    deflated = reader.parse(strategies.part10(squeezed, head.DEFLATED))
    plain = reader.parse(strategies.part10(body))
    assert deflated.dataset == plain.dataset


def differences(ds: pydicom.Dataset, item: Item, path: str = "") -> list[str]:
    theirs = {int(tag) for tag, _ in ds.items()}
    found = [f"{path}{tag:08x}" for tag in theirs ^ set(item)]
    for tag in theirs & set(item):
        value = item[tag].value
        raw = ds.get_item(tag)
        if isinstance(value, list):
            same = ds[tag].VR == "SQ" and len(ds[tag].value) == len(value)
            for first, second in zip(ds[tag].value, value, strict=True) if same else ():
                found += differences(first, second, f"{path}{tag:08x}.")
        elif isinstance(raw, RawDataElement) and raw.is_little_endian and not isinstance(value, Fragments):
            same = (raw.value or b"") == bytes(value)
        else:
            same = True
        if not same:
            found.append(f"{path}{tag:08x} value")
    return found


def test_the_corpus_is_read_as_pydicom_reads_it() -> None:
    """Every readable file of the corpus has the elements and raw values that pydicom finds."""
    read = refused = 0
    for path in real.sample():
        data = path.read_bytes()
        try:
            parsed = reader.parse(data)
        except MalformedError:
            refused += 1
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ds = pydicom.dcmread(io.BytesIO(data), force=True)
            assert differences(ds, parsed.dataset) == [], path.name
        read += 1
    assert read > 250
    assert refused <= 4


@pytest.mark.parametrize("name", ["MR_truncated.dcm", "rtplan_truncated.dcm"])
def test_a_truncated_file_says_so(name: str) -> None:
    """A file that ends too early is refused by the rule TRUNCATED."""
    with pytest.raises(MalformedError) as caught:
        reader.parse(real.named(name))
    assert caught.value.rule == "TRUNCATED"


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_hostile_bytes_never_crash_the_reader(data: st.DataObject) -> None:
    """A file that is cut or has bytes changed is read or refused by a rule, and nothing else happens."""
    whole = bytearray(SMALL[data.draw(st.sampled_from(sorted(SMALL)))])
    for _ in range(data.draw(st.integers(0, 6))):
        whole[data.draw(st.integers(128, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.one_of(st.just(len(whole)), st.integers(0, len(whole))))
    try:
        reader.parse(bytes(whole[:cut]))
    except MalformedError as error:
        assert error.rule.isupper()


def _small() -> dict[str, bytes]:
    ds = synth.load_instance(rows=2, columns=2)
    explicit = synth.to_bytes(ds)
    ds.file_meta.TransferSyntaxUID = head.IMPLICIT
    implicit = synth.to_bytes(ds)
    big = strategies.part10(
        strategies.encode(
            [Node(0x00081140, "SQ", [[Node(0x00080020, "DA", b"20200101")]], "undefined", ["undefined"])],
            little=False,
        ),
        head.BIG_ENDIAN,
    )
    return {"explicit": explicit, "implicit": implicit, "big": big}


SMALL = _small()


def _nested(depth: int) -> bytes:
    body = b""
    for _ in range(depth):
        item = struct.pack("<HHL", 0xFFFE, 0xE000, len(body)) + body
        body = struct.pack("<HH2sHL", 0x0040, 0xA730, b"SQ", 0, len(item)) + item
    return strategies.part10(body)


def test_sequences_without_end_are_refused() -> None:
    """Nesting deeper than any real object is refused before Python's stack is."""
    reader.parse(_nested(elements.MAX_DEPTH - 2))
    with pytest.raises(MalformedError) as caught:
        reader.parse(_nested(elements.MAX_DEPTH + 5))
    assert caught.value.rule == "TOO_DEEP"
    with pytest.raises(MalformedError) as caught:
        reader.parse(_nested(5000))
    assert caught.value.rule == "TOO_DEEP"


@pytest.mark.parametrize("explicit", [True, False])
@pytest.mark.parametrize("number", [0x00091010, 0x0040A730])
@pytest.mark.parametrize("where", ["in the sequence", "after the sequence", "in the item", "its own end"])
def test_a_stray_delimiter_after_an_item_of_defined_length_is_passed_over(
    explicit: bool, number: int, where: str
) -> None:
    """Some writers end what has a defined length with a delimiter, too; the rest is read as ever."""
    end = struct.pack("<HHL", 0xFFFE, 0xE00D, 0)
    group, element = number >> 16, number & 0xFFFF

    def plain(group: int, element: int, vr: bytes, value: bytes) -> bytes:
        head = struct.pack("<HH2sH", group, element, vr, len(value))
        return (head if explicit else struct.pack("<HHL", group, element, len(value))) + value

    inner = plain(0x0008, 0x0020, b"DA", b"20190304") + (end if where == "in the item" else b"")
    item = struct.pack("<HHL", 0xFFFE, 0xE000, len(inner)) + inner
    items = (item + (end if where == "in the sequence" else b"")) * 2
    items += struct.pack("<HHL", 0xFFFE, 0xE0DD, 0) if where == "its own end" else b""
    head = struct.pack("<HH2sHL", group, element, b"SQ", 0, len(items))
    sequence = (head if explicit else struct.pack("<HHL", group, element, len(items))) + items
    body = sequence + (end if where == "after the sequence" else b"") + plain(0x0088, 0x0140, b"UI", b"last")
    syntax = "1.2.840.10008.1.2.1" if explicit else "1.2.840.10008.1.2"
    parsed = reader.parse(strategies.part10(plain(0x0008, 0x0060, b"CS", b"CT") + body, syntax))
    assert parsed.dataset.text(0x00880140) == "last"
    if parsed.dataset[number].vr == "SQ":
        assert [one.text(0x00080020) for one in parsed.dataset.items_of(number)] == ["20190304"] * 2


def test_a_crowd_of_items_costs_no_more_than_ten_times_the_file() -> None:
    """A file of millions of tiny items is refused while its elements fit in ten times its size and 100 MB."""
    item = struct.pack("<HHL", 0xFFFE, 0xE000, 8) + struct.pack("<HH2sH", 0x0008, 0x0020, b"DA", 0)
    items = item * (1 << 17)
    body = struct.pack("<HH2sHL", 0x0040, 0xA730, b"SQ", 0, len(items)) + items
    data = strategies.part10(body)
    tracemalloc.start()
    try:
        with pytest.raises(MalformedError) as caught:
            reader.parse(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert caught.value.rule == "TOO_MANY_ELEMENTS"
    assert peak < 10 * len(data) + (100 << 20)


def test_a_deflate_bomb_is_refused() -> None:
    """A data set that inflates beyond its bounds is refused, and not held in memory."""
    engine = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    bomb = engine.compress(bytes(200 << 20)) + engine.flush()
    started = time.monotonic()
    with pytest.raises(MalformedError) as caught:
        reader.parse(strategies.part10(bomb, head.DEFLATED))
    assert caught.value.rule == "INFLATED_TOO_LARGE"
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        (bytes(128) + b"DICM", True),
        (b"\x08\0\x05\0CS\x0a\0ISO_IR 100" + bytes(114), True),
        (b"\x08\0\x16\0\x1a\0\0\0" + b"1.2.840.10008.5.1.4.1.1.2\0" + bytes(98), True),
        (b"\0\x08\0\x05CS\0\x0aISO_IR 100" + bytes(114), True),
        (b"%PDF-1.7" + bytes(124), False),
        (b"study,donor,age\n" * 9, False),
        (b"", False),
    ],
)
def test_sniff(first: bytes, expected: bool) -> None:
    """A file is told by its first bytes, with a preamble or without."""
    assert head.sniff(first) is expected


def test_bytes_after_the_pixels_are_left_out_and_named() -> None:
    """What follows the data set and is none of it leaves a note, and no element."""
    ds = SMALL["explicit"]
    for tail in (b"\0" * 6, b"JOHN DOE 1949 and more of him", b"\0" * 200):
        parsed = reader.parse(ds + tail)
        assert "TRAILING_BYTES" in [finding.rule for finding in parsed.findings] or 0 in parsed.dataset
        assert set(parsed.dataset) - {0} == set(reader.parse(ds).dataset)


def test_equal_bytes_are_read_once() -> None:
    """Two instances of a series share the elements that they have in common."""
    first = reader.parse(synth.instance_bytes(1, 0, 0, 0))
    second = reader.parse(synth.instance_bytes(1, 0, 0, 1))
    shared = [tag for tag in first.dataset if first.dataset[tag] is second.dataset.get(tag)]
    assert len(shared) > 60
    assert 0x00080018 not in shared
