"""One canonical form for equal content."""

from __future__ import annotations

import io

import pydicom
from hypothesis import given, settings

from curate.dicom.io import file_meta, reader, writer
from curate.dicom.model import Element, Item
from tests import strategies
from tests.dicom.test_reader import same_tree
from tests.strategies import Node


@settings(max_examples=60, deadline=None)
@given(nodes=strategies.trees())
def test_what_is_written_is_read_back_by_both_readers(nodes: list[Node]) -> None:
    """The canonical form holds the same elements for the reader and for pydicom, and is one."""
    nodes = [Node(0x00080000, "UL", b"\0\0\0\0"), *nodes]
    first = reader.parse(strategies.part10(strategies.encode(nodes))).dataset
    body = writer.encode_elements(first)
    again = reader.parse(strategies.part10(body)).dataset
    assert same_tree(again, nodes)
    assert writer.encode_elements(again) == body
    ds = pydicom.dcmread(io.BytesIO(strategies.part10(body)))
    assert {int(tag) for tag, _ in ds.items()} == {node.tag for node in nodes}


def test_a_long_text_goes_as_un_and_comes_back() -> None:
    """A value too long for a short VR is written as UN, and read in the VR that the standard gives it."""
    value = b"\\".join([b"1.25"] * 20_000) + b" "
    body = writer.encode(Element(0x30060050, "DS", value))
    assert body[4:6] == b"UN"
    element = reader.parse(strategies.part10(body)).dataset[0x30060050]
    assert (element.vr, bytes(element.value)) == ("DS", value)


def test_the_file_head_is_always_the_same() -> None:
    """Preamble and meta depend on class, instance and syntax alone, and pydicom reads them."""
    start = writer.file_head("1.2.840.10008.5.1.4.1.1.2", "2.25.1", file_meta.EXPLICIT)
    ds = pydicom.dcmread(io.BytesIO(start + writer.encode(Element(0x00080060, "CS", b"CT"))))
    assert ds.file_meta.MediaStorageSOPInstanceUID == "2.25.1"
    assert ds.file_meta.TransferSyntaxUID == file_meta.EXPLICIT
    assert ds.file_meta.FileMetaInformationGroupLength == len(start) - 144
    assert set(ds.file_meta.dir()) == {
        "FileMetaInformationGroupLength",
        "FileMetaInformationVersion",
        "MediaStorageSOPClassUID",
        "MediaStorageSOPInstanceUID",
        "TransferSyntaxUID",
        "ImplementationClassUID",
        "ImplementationVersionName",
    }


def test_odd_values_are_padded_as_their_vr_asks() -> None:
    """Text is padded with a space, UIDs and bytes with a null."""
    assert writer.encode(Element(0x00080060, "CS", b"ABC")).endswith(b"ABC ")
    assert writer.encode(Element(0x00080018, "UI", b"1.2")).endswith(b"1.2\0")
    item = Item()
    item.put(0x00080060, "CS", b"ABC")
    assert item.raw(0x00080060) == b"ABC "
