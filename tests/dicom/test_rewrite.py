"""What the rewriter writes: clean, the same whatever was remembered, and with the pixels it was given."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.pixels import pixel_array

from curate.core.findings import Severity
from curate.deid import cleaner, rewrite, verify
from curate.deid.analysis_critical_attributes import READ_OTHERWISE
from curate.deid.pseudonyms import donor_id, is_new_uid, new_uid
from curate.deid.records import Rewritten, StudyContext
from curate.dicom.io import element_interning, file_meta, layout_cache, reader, writer
from curate.dicom.model import Item, MalformedError
from curate.donation import header_scan, series_grouping
from curate.keys.derivation import Keys
from curate.policies import Policy
from tests import strategies, synth
from tests.dicom import real
from tests.strategies import Node

KEYS = Keys.from_secret(b"a secret of the tests" * 2)
POLICY = Policy()
CONTEXT = StudyContext(KEYS, donor_id(KEYS, "donor 1"), 0, "20190304")


def context_of(data: bytes) -> StudyContext:
    """The context of a study of which this file is the first and only one."""
    seen = header_scan.scan(io.BytesIO(data), len(data), KEYS)
    return series_grouping.study_context(KEYS, CONTEXT.donor_id, seen.earliest, None, POLICY)


def whole(rewritten: Rewritten) -> bytes:
    return b"".join(bytes(chunk) for chunk in rewritten.chunks)


def errors(data: bytes) -> list[tuple[str, str]]:
    found = verify.verify(data, POLICY)
    return [(finding.rule, finding.tag) for finding in found if finding.severity is Severity.ERROR]


def forget() -> None:
    """As if the process had just started."""
    element_interning.forget()
    layout_cache.forget()
    cleaner.forget()


def test_a_rewritten_instance_is_part_10_and_names_nobody() -> None:
    """Preamble, meta and data set are rebuilt; no name, number or place of the original is in them."""
    original = synth.load_instance(3, 0, 0, 5)
    rewritten = rewrite.rewrite(synth.to_bytes(original), CONTEXT, POLICY)
    data = whole(rewritten)
    assert len(data) == rewritten.size
    assert data[:132] == bytes(128) + b"DICM"
    ds = pydicom.dcmread(io.BytesIO(data))
    assert ds.PatientID == CONTEXT.donor_id
    assert ds.SOPInstanceUID == new_uid(KEYS, original.SOPInstanceUID) == rewritten.sop_instance_uid
    assert ds.file_meta.ImplementationClassUID == writer.IMPLEMENTATION_UID
    assert "SourceApplicationEntityTitle" not in ds.file_meta
    assert np.array_equal(ds.pixel_array, original.pixel_array)
    for secret in (
        "Ibarra",
        "Montserrat",
        "Arrizabalaga",
        "Hospital",
        "CTSCANNER3",
        original.PatientID,
        "Muntaner",
    ):
        assert secret.encode() not in data
        assert secret.encode("latin-1") not in data


def test_the_pixel_bytes_are_handed_on_as_a_view() -> None:
    """The pixels of the original are in the chunks themselves, not a copy of them."""
    data = synth.instance_bytes(rows=128, columns=128)
    views = [chunk for chunk in rewrite.rewrite(data, CONTEXT, POLICY).chunks if isinstance(chunk, memoryview)]
    assert len(views) == 1
    assert views[0].obj is data
    assert len(views[0]) == 128 * 128 * 2


def test_uids_are_new_and_still_refer() -> None:
    """Two instances of a series share their new series UID, and references name the new instance UIDs."""
    first = pydicom.dcmread(io.BytesIO(whole(rewrite.rewrite(synth.instance_bytes(1, 0, 0, 0), CONTEXT, POLICY))))
    second = pydicom.dcmread(io.BytesIO(whole(rewrite.rewrite(synth.instance_bytes(1, 0, 0, 1), CONTEXT, POLICY))))
    assert first.SeriesInstanceUID == second.SeriesInstanceUID
    assert first.SOPInstanceUID != second.SOPInstanceUID
    assert is_new_uid(first.StudyInstanceUID)
    reference = first.ReferencedImageSequence[0].ReferencedSOPInstanceUID
    assert reference == new_uid(KEYS, synth.uid(1, 0, 0, "scout", 0))


def test_what_is_remembered_changes_nothing() -> None:
    """A file is rewritten to the same bytes in a fresh process and after any others, of this study or not."""
    numbers = [(1, 0, 0, 0), (1, 0, 0, 1), (2, 0, 0, 1), (1, 0, 1, 1), (2, 1, 0, 0), (1, 0, 0, 1)]
    files = [synth.instance_bytes(*each, modality=modality) for each in numbers for modality in ("CT", "MR", "PT")]
    files += [path.read_bytes() for path in real.sample(40) if path.stat().st_size < 200_000]
    contexts = [CONTEXT, StudyContext(KEYS, donor_id(KEYS, "donor 2"), 86_400_000_000, "20190305")]

    def outcome(data: bytes, context: StudyContext) -> object:
        try:
            rewritten = rewrite.rewrite(data, context, POLICY)
        except MalformedError as error:
            return error.rule
        return whole(rewritten), dict(rewritten.applied), rewritten.findings

    fresh = {}
    for number, data in enumerate(files):
        for which, context in enumerate(contexts):
            forget()
            fresh[number, which] = outcome(data, context)
    forget()
    for _ in range(2):
        for number, data in enumerate(files):
            for which, context in enumerate(contexts):
                assert outcome(data, context) == fresh[number, which]


def test_a_date_is_remembered_only_with_its_time() -> None:
    """The same date moves to another day with another time beside it, whatever was rewritten before."""
    moved = StudyContext(KEYS, CONTEXT.donor_id, 6 * 3_600_000_000, "20190304")
    days = []
    for clock in ("010000", "230000", "010000"):
        ds = synth.load_instance(0, 0, 0, 0, rows=2, columns=2)
        ds.ContentDate, ds.ContentTime = "20190304", clock
        clean = pydicom.dcmread(io.BytesIO(whole(rewrite.rewrite(synth.to_bytes(ds), moved, POLICY))))
        days.append((clean.ContentDate, clean.ContentTime))
    assert days == [("20190304", "070000"), ("20190305", "050000"), ("20190304", "070000")]


@settings(max_examples=60, deadline=None)
@given(nodes=strategies.trees(), other=strategies.trees(), implicit=st.booleans())
def test_random_trees_come_out_clean(nodes: list[Node], other: list[Node], implicit: bool) -> None:
    """Whatever is in a data set, what is written passes the checker and is rewritten to itself.

    Nothing is written where what pixels or geometry are read by cannot stay.
    """
    base = [
        Node(0x00080016, "UI", b"1.2.840.10008.5.1.4.1.1.2\0"),
        Node(0x00080018, "UI", b"1.2.3.4.5.6\0"),
        Node(0x0020000D, "UI", b"1.2.3.4\0"),
        Node(0x0020000E, "UI", b"1.2.3.4.5\0"),
    ]
    tags = {node.tag for node in base}
    inner = Node(0x00081140, "SQ", [other], "undefined", ["undefined"])
    rest = [node for node in nodes if node.tag not in tags and node.tag != inner.tag]
    everything = sorted([*base, *rest, inner], key=lambda node: node.tag)
    syntax = file_meta.IMPLICIT if implicit else file_meta.EXPLICIT
    body = strategies.encode(everything, explicit=not implicit)
    try:
        clean = whole(rewrite.rewrite(strategies.part10(body, syntax), CONTEXT, POLICY))
    except MalformedError as refused:
        assert refused.rule == READ_OTHERWISE
        return
    assert errors(clean) == []
    context = verify.released_context(reader.parse(clean).dataset, POLICY)
    assert whole(rewrite.rewrite(clean, context, POLICY)) == clean
    for node in _leaves(everything):
        if node.vr in ("PN", "LO", "SH", "LT", "UT", "UN") and len(node.value) > 5 and max(node.value) > 127:
            assert node.value.strip() not in clean


def _leaves(nodes: list[Node]) -> list[Node]:
    found = []
    for node in nodes:
        if isinstance(node.value, list):
            for item in node.value:
                found += _leaves(item)
        else:
            found.append(node)
    return found


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_hostile_bytes_are_rewritten_clean_or_refused(data: st.DataObject) -> None:
    """A damaged file is refused by a rule, or comes out as clean as any other."""
    damaged = bytearray(SMALL)
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(128, len(SMALL) - 1))] = data.draw(st.integers(0, 255))
    try:
        clean = whole(rewrite.rewrite(bytes(damaged), CONTEXT, POLICY))
    except MalformedError as error:
        assert error.rule.isupper()
        return
    assert errors(clean) == []


SMALL = synth.instance_bytes(rows=2, columns=2)


def test_the_corpus_keeps_its_pixels_and_passes_the_checker() -> None:
    """Every file of the corpus is refused by a rule, or comes out clean, with the pixel values it had."""
    refused: dict[str, int] = {}
    compared = 0
    for path in real.sample(20):
        data = path.read_bytes()
        try:
            clean = whole(rewrite.rewrite(data, context_of(data), POLICY))
        except MalformedError as error:
            refused[error.rule] = refused.get(error.rule, 0) + 1
            continue
        assert errors(clean) == [], path.name
        compared += _same_pixels(data, clean)
    assert compared > 100
    assert sum(refused.values()) < 100


def _same_pixels(before: bytes, after: bytes) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        old = pydicom.dcmread(io.BytesIO(before), force=True)
        new = pydicom.dcmread(io.BytesIO(after))
        if "PixelData" not in old or len(before) > 2_000_000:
            return False
        try:
            values = pixel_array(old)
        except (RuntimeError, AttributeError, ValueError):
            return False
        assert np.array_equal(values, pixel_array(new))
    return True


@pytest.mark.parametrize("syntax", [file_meta.IMPLICIT, file_meta.EXPLICIT, file_meta.BIG_ENDIAN, file_meta.DEFLATED])
def test_every_uncompressed_syntax_comes_out_the_same(syntax: str) -> None:
    """The same data set written in any uncompressed transfer syntax gives the same clean bytes."""
    ds = synth.load_instance(2, 0, 0, 1, private=False)
    expected = whole(rewrite.rewrite(synth.to_bytes(ds), CONTEXT, POLICY))
    ds.file_meta.TransferSyntaxUID = syntax
    if syntax == file_meta.BIG_ENDIAN:
        swapped = np.frombuffer(ds.PixelData, "<u2").astype(">u2").tobytes()
        ds = pydicom.dcmread(io.BytesIO(synth.to_bytes(ds)))
        ds.file_meta.TransferSyntaxUID = syntax
        ds.PixelData = swapped
        buffer = io.BytesIO()
        ds.save_as(buffer, implicit_vr=False, little_endian=False)
        assert whole(rewrite.rewrite(buffer.getvalue(), CONTEXT, POLICY)) == expected
        return
    assert whole(rewrite.rewrite(synth.to_bytes(ds), CONTEXT, POLICY)) == expected


def test_text_beyond_ascii_is_written_as_utf_8() -> None:
    """A character set is stated only where a text needs one, and then it is UTF-8."""
    item = Item()
    item.put(0x0008103E, "LO", "cràniu".encode())
    assert b"ISO_IR 192" in rewrite._encoded(item)
    item = Item()
    item.put(0x0008103E, "LO", b"crani")
    assert b"ISO_IR" not in rewrite._encoded(item)


def test_a_directory_of_files_is_not_an_instance() -> None:
    """A DICOMDIR is refused by a rule of its own."""
    with pytest.raises(MalformedError) as caught:
        rewrite.rewrite(real.named("DICOMDIR-bigEnd"), CONTEXT, POLICY)
    assert caught.value.rule == "DICOMDIR"


def test_numbers_that_repeat_the_persons_own_are_made_coarse() -> None:
    """A position keeps all its digits unless the patient's number is among them; an integer then goes."""
    ds = synth.load_instance(0, 0, 0, 0)
    ds.ImagePositionPatient = ["-10.0073104417", "-12.3456789", "4.5"]
    ds.AcquisitionNumber = "31044"
    context = StudyContext(KEYS, CONTEXT.donor_id, 0, "20190304", frozenset(("NHC0073104417", "JOAN")))
    clean = reader.parse(whole(rewrite.rewrite(synth.to_bytes(ds), context, POLICY))).dataset
    other = reader.parse(whole(rewrite.rewrite(synth.to_bytes(ds), CONTEXT, POLICY))).dataset
    assert other.text(0x00200032).startswith("-10.0073104417\\-12.3456789")
    assert b"73104417" not in clean.raw(0x00200032)
    assert clean.text(0x00200032).split("\\")[:2] == ["-10.01", "-12.3456789"]
    assert not errors(whole(rewrite.rewrite(synth.to_bytes(ds), context, POLICY)))


def test_what_follows_the_pixels_is_cut_off() -> None:
    """Padding, text or half an element after the pixels: the same clean file as without."""
    plain = synth.to_bytes(synth.load_instance(0, 0, 0, 0))
    clean = whole(rewrite.rewrite(plain, CONTEXT, POLICY))
    for rest in (
        b"\0",
        bytes(6),
        bytes(512),
        b"Joan Puig, 1931",
        bytes(511) + b"Joan Puig",
        b"\xfe\xff\xdd\xe0ABCD",
    ):
        assert whole(rewrite.rewrite(plain + rest, CONTEXT, POLICY)) == clean
        assert reader.parse(plain + rest).findings
