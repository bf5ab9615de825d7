"""Objects that the standard means to be large are read and written, whatever their number of elements."""

from __future__ import annotations

import gzip
import struct

import pytest

from curate.deid.rewrite import rewrite_parsed
from curate.deid.verify import verify_rewritten
from curate.dicom.io.reader import parse
from curate.dicom.model import Item
from tests.corpus import ROOT
from tests.dicom.test_series import item
from tests.dicom.test_track import encoded
from tests.planter.system import POLICY, context_of

EXPLICIT, RLE = b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.5\0"
DOSE, COMPREHENSIVE = b"1.2.840.10008.5.1.4.1.1.88.67 ", b"1.2.840.10008.5.1.4.1.1.88.33 "
SEGMENTATION = b"1.2.840.10008.5.1.4.1.1.66.4\0\0"
RLE_FRAME = struct.pack("<16L", 1, 64, *[0] * 14) + bytes((193, 1))  # 64 bytes of one value (PS3.5 G)


def sequence(tag: int, *items: bytes) -> bytes:
    return encoded(tag, b"SQ", b"".join(map(item, items)))


def code(tag: int, value: bytes, scheme: bytes, meaning: bytes) -> bytes:
    texts = ((0x00080100, b"SH", value), (0x00080102, b"SH", scheme), (0x00080104, b"LO", meaning))
    return sequence(tag, b"".join(encoded(one, vr, text + b" " * (len(text) % 2)) for one, vr, text in texts))


def number(value: int) -> bytes:
    """A content item NUM of TID 10003."""
    measured = encoded(0x0040A30A, b"DS", b"%06d" % value) + code(0x004008EA, b"mGy", b"UCUM", b"mGy")
    return (
        encoded(0x0040A010, b"CS", b"CONTAINS")
        + encoded(0x0040A040, b"CS", b"NUM ")
        + code(0x0040A043, b"113738", b"DCM", b"Dose (RP)")
        + sequence(0x0040A300, measured)
    )


def event(place: int, content: int) -> bytes:
    return (
        encoded(0x0040A010, b"CS", b"CONTAINS")
        + encoded(0x0040A040, b"CS", b"CONTAINER ")
        + code(0x0040A043, b"113706", b"DCM", b"Irradiation Event X-Ray Data")
        + encoded(0x0040A050, b"CS", b"SEPARATE")
        + sequence(0x0040A730, *(number(content * place + n) for n in range(content)))
    )


def file(sop_class: bytes, modality: bytes, body: bytes, syntax: bytes = EXPLICIT) -> bytes:
    """A Part 10 file of a body from group 0028 on."""
    meta = encoded(0x00020002, b"UI", sop_class.strip() + b"\0" * (len(sop_class.strip()) % 2))
    meta += encoded(0x00020003, b"UI", b"1.2.30") + encoded(0x00020010, b"UI", syntax)
    head = encoded(0x00020000, b"UL", struct.pack("<L", len(meta))) + meta
    values = (
        (0x00080016, b"UI", sop_class.replace(b" ", b"\0")), (0x00080018, b"UI", b"1.2.30"),
        (0x00080020, b"DA", b"20190304"), (0x00080030, b"TM", b"101500"), (0x00080060, b"CS", modality),
        (0x00100010, b"PN", b"Puig"), (0x0020000D, b"UI", b"1.2.9\0"), (0x0020000E, b"UI", b"1.2.93"),
    )  # fmt: skip
    return bytes(128) + b"DICM" + head + b"".join(encoded(*value) for value in values) + body


def dose_report(events: int) -> bytes:
    root = encoded(0x0040A040, b"CS", b"CONTAINER ") + code(
        0x0040A043, b"113701", b"DCM", b"X-Ray Radiation Dose Report"
    )
    return file(DOSE, b"SR", root + sequence(0x0040A730, *(event(n, 26) for n in range(events))))


def measurements(count: int) -> bytes:
    root = encoded(0x0040A040, b"CS", b"CONTAINER ") + code(
        0x0040A043, b"126000", b"DCM", b"Imaging Measurement Report"
    )
    return file(COMPREHENSIVE, b"SR", root + sequence(0x0040A730, *(number(n) for n in range(count))))


def segmentation(frames: int, *, coded: bool) -> bytes:
    """A binary SEG with what each frame says of its place, its segment and the image that it is of."""
    pixels = [(0x00280002, b"US", 1), (0x00280010, b"US", 8), (0x00280011, b"US", 8)]
    bits = 8 if coded else 1
    pixels += [
        (0x00280100, b"US", bits),
        (0x00280101, b"US", bits),
        (0x00280102, b"US", bits - 1),
        (0x00280103, b"US", 0),
    ]
    described = {tag: encoded(tag, vr, struct.pack("<H", value)) for tag, vr, value in pixels}
    described[0x00280004] = encoded(0x00280004, b"CS", b"MONOCHROME2 ")
    described[0x00280008] = encoded(0x00280008, b"IS", b"%06d" % frames)
    body = b"".join(described[tag] for tag in sorted(described))
    body += sequence(0x52009230, *(frame_of(n) for n in range(frames)))
    if not coded:
        return file(SEGMENTATION, b"SEG ", body + encoded(0x7FE00010, b"OB", bytes(8 * frames)))
    open_ended = struct.pack("<HH2sHL", 0x7FE0, 0x10, b"OB", 0, 0xFFFFFFFF) + item(b"") + item(RLE_FRAME) * frames
    end = struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
    return file(SEGMENTATION, b"SEG ", body + open_ended + end, RLE)


def frame_of(place: int) -> bytes:
    position = encoded(0x00200032, b"DS", b"0\\0\\%05d.0 " % place)
    source = encoded(0x00081150, b"UI", b"1.2.840.10008.5.1.4.1.1.2\0") + encoded(
        0x00081155, b"UI", b"1.2.%06d" % place
    )
    source += code(0x0040A170, b"121322", b"DCM", b"Source image for image processing operation")
    return (
        sequence(0x00089124, sequence(0x00082112, source))
        + sequence(0x00209111, encoded(0x00209157, b"UL", struct.pack("<2L", 1, place + 1)))
        + sequence(0x00209113, position)
        + sequence(0x0062000A, encoded(0x0062000B, b"US", struct.pack("<H", 1)))
    )


def written(data: bytes) -> Item:
    """The data set that is written, after the verifier found nothing in it."""
    made = rewrite_parsed(parse(data), context_of(data), POLICY)
    found = verify_rewritten(made, POLICY)
    assert found.findings == ()
    return found.dataset


def test_a_dose_report_of_two_hundred_irradiation_events_is_written() -> None:
    """Interventional radiology makes hundreds of events in one procedure (TID 10001); none of their items is lost."""
    kept = written(dose_report(200)).items_of(0x0040A730)
    assert [len(one.items_of(0x0040A730)) for one in kept] == [26] * 200


def test_a_report_of_six_thousand_measurements_is_written() -> None:
    """TID 1500 has no bound on its measurements."""
    kept = written(measurements(6000)).items_of(0x0040A730)
    assert [int(one.items_of(0x0040A300)[0].text(0x0040A30A)) for one in kept] == list(range(6000))


def test_a_segmentation_of_many_fragments_is_written() -> None:
    """A segmentation has a frame for each slice and segment; coded, each is a fragment of its own."""
    assert len(written(segmentation(4500, coded=True)).items_of(0x52009230)) == 4500


def test_larger_ones_are_read() -> None:
    """A thousand events, and a whole-body segmentation of 12,000 frames."""
    assert len(parse(dose_report(1000)).dataset.items_of(0x0040A730)) == 1000
    assert len(parse(segmentation(12_000, coded=False)).dataset.items_of(0x52009230)) == 12_000


def test_the_dose_report_that_was_refused_is_written() -> None:
    """The file of the public report that this bound was noticed by."""
    path = ROOT.parent / "cases" / "rdsr-200-events" / "rdsr.dcm.gz"
    if not path.exists():
        pytest.skip("needs the shared cases")
    assert written(gzip.decompress(path.read_bytes()))
