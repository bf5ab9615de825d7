"""Vendors' private headers are read by closed readers and written anew: what is known stays, all else goes."""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from curate.core.findings import Severity
from curate.deid.grammar import data
from curate.deid.rewrite import rewrite
from curate.deid.vendor import forms, ge_blocks, numbers, siemens_csa, siemens_protocol
from curate.deid.verify import verify
from curate.policies import Policy
from tests import synth
from tests.dicom import vendor_blocks as made
from tests.dicom.converted import SERIES
from tests.planter.system import POLICY, context_of

TOKEN = "QZJABCDEFG"
NAME = f"{TOKEN}^PETRA"


def csa(raw: bytes) -> bytes | None:
    return siemens_csa.rebuild("", "OB", raw)


def protocol(raw: bytes) -> bytes | None:
    return ge_blocks.protocol("", "OB", raw)


def raw_header(raw: bytes) -> bytes | None:
    return ge_blocks.raw_header("", "OB", raw)


IMAGE = {
    "NumberOfImagesInMosaic": ["35"],
    "SliceNormalVector": ["0.0", "0.22495127", "0.97437001"],
    "PhaseEncodingDirectionPositive": ["1"],
    "MosaicRefAcqTimes": ["0", "1547.49999999", "117.5"],
    "B_value": ["1000"],
    "ImaPATModeText": ["p2s3"],
    "ImaCoilString": ["HE1-4;NE1,2"],
    "ICE_Dims": ["X_2_1_1_13_1_1_1_1_1_1_1_102"],
}
SECRET = {"PatientName": [NAME], "UsedPatientWeight": ["92"], "DeviceSerialNumber": [TOKEN], "PixelFileName": [TOKEN]}


@pytest.mark.parametrize("marked", [True, False])
def test_a_csa_header_keeps_its_known_fields_and_nothing_else(marked: bool) -> None:
    """In both forms of the vendor's; what pads, what stands between, and what comes after the end is not copied."""
    rebuilt = csa(made.csa({**IMAGE, **SECRET}, marked=marked, padding=TOKEN.encode(), after=TOKEN.encode()))
    assert rebuilt is not None
    assert TOKEN.encode() not in rebuilt
    found = made.fields_of(rebuilt)
    assert found["SliceNormalVector"] == ["0", "0.22495127", "0.97437001"]
    assert found["MosaicRefAcqTimes"] == ["0.0000", "1547.5000", "117.5000"]
    assert found["ICE_Dims"] == ["X_2_1_1_1_1_1_1_1_1_1_1_1"]
    assert found.keys() == IMAGE.keys()
    assert rebuilt.startswith(b"SV10") is marked
    assert csa(rebuilt) == rebuilt


@pytest.mark.parametrize("name", [entry["name"] for entry in data("vendor_fields.json")["csa"]])
def test_an_identifier_in_any_field_of_a_csa_header_goes(name: str) -> None:
    """A text, a date, a number of eight digits, a UID: alone, and behind values that would stay."""
    for text in (NAME, TOKEN, "19640823", "83920471", "1.3.12.2.1107.5.2.43.67060"):
        for values in ([text], ["1", text], [text, "1"]):
            rebuilt = csa(made.csa({name: values}))
            assert rebuilt is not None
            assert text.encode() not in rebuilt


KEYS = [entry["key"].replace("[]", "[0]") for entry in data("vendor_fields.json")["protocol"]]


@pytest.mark.parametrize(
    "text", [NAME, f'""{NAME}""', f'"{TOKEN}"', "19640823", "83920471", "0x19640823", f"1 {TOKEN}"]
)
def test_an_identifier_in_any_line_of_a_protocol_goes(text: str) -> None:
    """Also in keys, comments, the head line, and the text around it."""
    lines = "".join(f"{key}\t = \t{text}\n" for key in KEYS)
    raw = (
        f'<XProtocol> {{ <ParamString."PatientName"> {{ "{NAME}" }} }}\n### ASCCONV BEGIN object={TOKEN} ###\n'
        f'{lines}tProtocolName = "{NAME}"\n{TOKEN}.lSize = 3\n# {TOKEN}\nsSliceArray.lSize\t = \t35 # {TOKEN}\n'
        f"sSliceArray.ucMode = 0x4\n### ASCCONV END ###\n{NAME}"
    ).encode()
    rebuilt = siemens_protocol.rebuild(raw)
    assert rebuilt == siemens_protocol.rebuild(rebuilt or b"")
    assert b"sSliceArray.ucMode" in (rebuilt or b"")
    for part in (TOKEN, "PETRA", "19640823", "83920471"):
        assert part.encode() not in (rebuilt or b"")


def test_a_protocol_keeps_what_converters_read() -> None:
    """Numbers in their form, product sequences and coils; shims and amplitudes are rounded, a site's prefix goes."""
    raw = (
        b'### ASCCONV BEGIN ###\ntSequenceFileName = ""%CustomerSeq%\\nih_ep2d_bold""\n'
        b"sGRADSPEC.asGPAData[0].lOffsetX = 10737\nsTXSPEC.asNucleusInfo[0].flReferenceAmplitude = 399.953\n"
        b"sKSpace.ucPhasePartialFourier = 0x10\n"
        b'sCoilSelectMeas.aRxCoilSelectData[0].asList[0].sCoilElementID.tCoilID = "HeadNeck_20"\n'
        b"alTE[0] = 30000\nalTE[0] = 40000\n### ASCCONV END ###"
    )
    assert siemens_protocol.rebuild(raw) == (
        b'### ASCCONV BEGIN ###\ntSequenceFileName\t = \t""%CustomerSeq%\\ep2d_bold""\n'
        b"sGRADSPEC.asGPAData[0].lOffsetX\t = \t11000\nsTXSPEC.asNucleusInfo[0].flReferenceAmplitude\t = \t400\n"
        b"sKSpace.ucPhasePartialFourier\t = \t0x10\n"
        b'sCoilSelectMeas.aRxCoilSelectData[0].asList[0].sCoilElementID.tCoilID\t = \t"HeadNeck_20"\n'
        b"alTE[0]\t = \t30000\n### ASCCONV END ###\n"
    )


def test_ges_protocol_is_rebuilt_without_its_texts() -> None:
    """Order of slices stays; names of the protocol, the coil and the file in the compressed header go."""
    text = f'SEDESC "{NAME}"\nCLINICALCOIL "{TOKEN}"\n'
    text += f'SLICEORDER "1"\nNOSLC "15"\nIOPT "EPI, {TOKEN}, FMRI"\nDELACQ "{TOKEN}"\n'
    rebuilt = protocol(made.ge_protocol(text.encode(), name=f"Ex{TOKEN}".encode()))
    assert rebuilt is not None
    size = int.from_bytes(rebuilt[:4], "little")
    assert zlib.decompress(rebuilt[4 : 4 + size], 31) == b'SLICEORDER "1"\nNOSLC "15"\nIOPT "EPI, FMRI"\n'
    assert protocol(rebuilt) == rebuilt


def test_ges_raw_header_keeps_three_flags() -> None:
    """All its other bytes are zero."""
    raw = made.ge_raw_header(version=26.002, flipped=True, fill=TOKEN.encode())
    rebuilt = raw_header(raw)
    assert rebuilt is not None and TOKEN.encode() not in rebuilt
    assert raw_header(rebuilt) == rebuilt
    assert sum(byte != 0 for byte in rebuilt) <= 8
    assert rebuilt != raw_header(made.ge_raw_header(version=26.002, flipped=False))


WHOLE = made.csa(IMAGE)
LONG = b"### ASCCONV BEGIN ###\n" + b"sSliceArray.lSize = 3\n" * 2_400_000 + b"### ASCCONV END ###"
BAD: dict[str, tuple[Callable[[bytes], bytes | None], bytes]] = {
    "truncated": (csa, WHOLE[:-200]),
    "truncated in its head": (csa, WHOLE[:12]),
    "length beyond the block": (csa, made.csa(IMAGE, length=1 << 30)),
    "negative length": (csa, made.csa(IMAGE, length=-5)),
    "count of fields beyond": (csa, WHOLE[:8] + struct.pack("<I", 1 << 31) + WHOLE[12:]),
    "many fields": (csa, WHOLE[:8] + struct.pack("<I", 500) + WHOLE[12:]),
    "big endian": (csa, made.csa(IMAGE, order=">")),
    "no fields": (csa, b"SV10\4\3\2\1" + struct.pack("<II", 0, 77)),
    "another vendor's": (csa, made.ge_protocol(b'SLICEORDER "1"\n')),
    "text": (csa, NAME.encode() * 20),
    "zeros": (csa, bytes(4000)),
    "protocol without an end": (
        lambda raw: siemens_protocol.element("", "OB", raw),
        b"### ASCCONV BEGIN ###\nalTE[0] = 3",
    ),
    "protocol of 50 MB": (lambda raw: siemens_protocol.element("", "OB", raw), LONG),
    "GE: no gzip": (protocol, b"\x10\0\0\0" + NAME.encode() * 2),
    "GE: truncated": (protocol, made.ge_protocol(b'SLICEORDER "1"\n')[:-12]),
    "GE: a bomb": (protocol, made.ge_protocol(bytes(50 << 20))),
    "GE: length beyond": (protocol, b"\xff\xff\0\0" + made.ge_protocol(b'SLICEORDER "1"\n')[4:]),
    "GE: raw header cut": (raw_header, made.ge_raw_header(version=24)[:900]),
    "GE: raw header, no number": (raw_header, made.ge_raw_header(version=float("nan"))),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_block_is_none(name: str) -> None:
    """Whatever it holds: no crash, no hang, nothing of it stays."""
    rebuild, raw = BAD[name]
    assert rebuild(raw) is None


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e400", "0x1p3", "١"])
def test_numbers_that_are_none_do_not_stay(value: str) -> None:
    """In no field, and not among good ones."""
    rebuilt = csa(
        made.csa({"SliceNormalVector": ["0", value, "1"], "MosaicRefAcqTimes": ["0", value], "B_value": ["5"]})
    )
    assert made.fields_of(rebuilt or b"") == {"B_value": ["5"]}


def test_times_of_slices_are_counted_from_the_first() -> None:
    """A time of day is not told, nor a midnight between."""
    assert numbers.relative([47_523_000.0, 47_523_072.5]) == [0.0, 72.5]
    assert numbers.relative([0.0, 86_397_492.5, 140.0]) == [2507.5, 0.0, 2647.5]
    assert numbers.relative([0.0, 200_000.0]) is None
    assert numbers.relative([float("nan"), 1.0]) is None


@settings(max_examples=300)
@given(st.binary(max_size=600), st.integers(0, 600), st.booleans())
def test_any_bytes_in_a_block_end_well(noise: bytes, place: int, after_mark: bool) -> None:
    """A rebuilt block is none, or one that is rebuilt to itself, and holds nothing but known names."""
    place = place % len(WHOLE)
    for raw in (noise, WHOLE[:place] + noise + WHOLE[place + after_mark * len(noise) :]):
        for rebuild in (csa, protocol, raw_header, siemens_protocol.rebuild):
            rebuilt = rebuild(raw)
            assert not rebuilt or rebuild(rebuilt) == rebuilt
    known = {entry["name"] for entry in data("vendor_fields.json")["csa"]}
    assert made.fields_of(csa(WHOLE[:place] + noise) or b"").keys() <= known


@pytest.mark.parametrize(
    ("form", "good", "bad"),
    [
        ("acceleration", ["p2", "p2s3", "s4"], ["p2 Petra", "p123456"]),
        ("orientation", ["Tra", "Tra>Cor(-6.2)", "Cor>Tra(8.8)>Sag(1.0)"], ["Tra>Meier", "Tra>Cor(-6.2)19640823"]),
        ("displayed", ["A->P", "H>>F"], ["A->Petra"]),
        ("factor", ["F:2S", "2"], ["F:839204S"]),
        ("prescan", ["TG/s3,RN/s1", "TG/s1"], ["PM/s1", "TG/s839"]),
        ("comment", ["Unaliased MB3/PE3", "b=1500(0.445,0.000,0.895)", "b=0"], ["b=1500 Petra", "b=839204"]),
        ("siemens-sequence", ["%SiemensSeq%\\ep2d_bold"], ["%SiemensSeq%\\schmidt", "%CustomerSeq%\\nih_ep2d_bold"]),
    ],
)
def test_texts_are_of_closed_forms(form: str, good: list[str], bad: list[str]) -> None:
    """Words of a list, and numbers of few digits."""
    assert all(forms.is_of(form, text) for text in good)
    assert not any(forms.is_of(form, text) for text in bad)


def instance(**private: tuple[int, str, str, bytes]) -> bytes:
    """An MR image with private elements: (tag, creator, VR, value)."""
    made_one = synth.load_instance(1, 1, 1, 1, modality="MR", private=False)
    for tag, creator, vr, value in private.values():
        block = made_one.private_block(tag >> 16, creator, create=True)
        block.add_new(tag & 0xFF, vr, value)
    return synth.to_bytes(made_one)


def released(raw: bytes, policy: Policy = POLICY) -> tuple[Dataset, list[str], bytes]:
    """What is released of an instance, the findings of its rewriting, and the bytes."""
    result = rewrite(raw, context_of(raw, policy), policy)
    content = b"".join(result.chunks)
    assert not [one for one in verify(content, policy) if one.severity is not Severity.NOTE]
    return pydicom.dcmread(io.BytesIO(content)), [one.rule for one in result.findings], content


CSA_TAG, SERIES_TAG, GE_TAG = 0x00290010, 0x00290020, 0x0025001B


def test_an_instance_keeps_a_rebuilt_header() -> None:
    """The verifier, which has no knowledge of its own, finds it clean; `remove` leaves it out without a finding."""
    raw = instance(image=(CSA_TAG, "SIEMENS CSA HEADER", "OB", made.csa({**IMAGE, **SECRET})))
    dataset, findings, content = released(raw)
    assert "VENDOR_HEADER_DROPPED" not in findings
    assert dataset[0x00291010].value.startswith(b"SV10")
    assert TOKEN.encode() not in content
    dataset, findings, _ = released(raw, pol := Policy(vendor_headers="remove"))
    assert pol.vendor_headers == "remove" and 0x00291010 not in dataset and "VENDOR_HEADER_DROPPED" not in findings


@pytest.mark.parametrize(
    ("tag", "creator", "value"),
    [
        (CSA_TAG, "SIEMENS CSA HEADER", WHOLE[:-200]),
        (SERIES_TAG, "SIEMENS CSA HEADER", made.ge_protocol(b'SLICEORDER "1"\n')),
        (GE_TAG, "GEMS_SERS_01", WHOLE),
    ],
)
def test_a_bad_block_is_dropped_and_told_of(tag: int, creator: str, value: bytes) -> None:
    """The instance stays."""
    dataset, findings, _ = released(instance(one=(tag, creator, "OB", value)))
    assert findings.count("VENDOR_HEADER_DROPPED") == 1
    assert not [element for element in dataset if element.tag.is_private and element.tag.element >= 0x1000]


def test_a_forged_creator_keeps_nothing() -> None:
    """A block under another creator's name is not read as one of its own."""
    dataset, _, content = released(instance(one=(CSA_TAG, "ACME CSA", "OB", made.csa({**IMAGE, **SECRET}))))
    assert 0x00291010 not in dataset and TOKEN.encode() not in content


def test_a_block_that_repeats_a_persons_number_goes() -> None:
    """A parameter of a pulse sequence may be any number; it is none of the person's own."""
    text = b"### ASCCONV BEGIN ###\nsWipMemBlock.alFree[0] = 604217\n### ASCCONV END ###"
    dataset = synth.load_instance(1, 1, 1, 1, modality="MR", private=False)
    dataset.private_block(0x0021, "SIEMENS MR SDS 01", create=True).add_new(0x19, "OB", text)
    assert b"604217" in released(synth.to_bytes(dataset))[2]
    dataset.PatientID = "604217"
    assert b"604217" not in released(synth.to_bytes(dataset))[2]


def uih() -> Dataset:
    """A volume of UIH in one image (GRID), as its vendor describes it (dcm2niix, UIH/README.md)."""
    dataset = synth.load_instance(1, 1, 1, 1, modality="MR", private=False)
    dataset.Manufacturer = "UIH"
    block = dataset.private_block(0x0065, "Image Private Header", create=True)
    block.add_new(0x05, "SH", "A->P")
    block.add_new(0x03, "LO", TOKEN)
    block.add_new(0x0D, "SH", "F:2S")
    block.add_new(0x50, "DS", "4")
    block.add_new(0x58, "IS", "1")
    slices = []
    for number in range(4):
        item = Dataset()
        item.AcquisitionDate, item.AcquisitionTime = dataset.AcquisitionDate, f"1000{number:02}.000000"
        item.ImagePositionPatient = [0, 0, 3 * number]
        item.PatientName = NAME
        slices.append(item)
    block.add_new(0x51, "SQ", slices)
    return dataset


def test_uihs_grid_keeps_its_slices() -> None:
    """How many there are, where each lies and when it was taken; the coil's name and a person's do not stay."""
    dataset, _, content = released(synth.to_bytes(uih()))
    block = dataset.private_block(0x0065, "Image Private Header")
    assert (block[0x50].value, block[0x58].value, block[0x05].value, block[0x0D].value) == (4, 1, "A->P", "F:2S")
    items = block[0x51].value
    assert [item.ImagePositionPatient[2] for item in items] == [0, 3, 6, 9]
    times = [float(str(item.AcquisitionTime)) for item in items]
    assert [time - times[0] for time in times] == [0, 1, 2, 3]
    assert TOKEN.encode() not in content and b"PETRA" not in content


def test_siemens_xa_keeps_its_groups() -> None:
    """Acceleration, polarity and slice times stand in private sequences of the functional groups there."""
    dataset = synth.load_instance(1, 1, 1, 1, modality="MR", private=False)
    shared, frame = Dataset(), Dataset()
    block = shared.private_block(0x0021, "SIEMENS MR SDS 01", create=True)
    block.add_new(0x09, "LO", "p2s3")
    block.add_new(0x19, "OB", f"### ASCCONV BEGIN ###\nalTE[0] = 3\nx = {TOKEN}\n### ASCCONV END ###".encode())
    block.add_new(0x33, "LO", TOKEN)
    block = frame.private_block(0x0021, "SIEMENS MR SDI 02", create=True)
    block.add_new(0x1C, "IS", "1")
    block.add_new(0x04, "DS", "4.635")
    block.add_new(0x06, "LO", "X_4_1_1_1_1_160_1_1_1_1_1_277")
    dataset.private_block(0x0021, "SIEMENS MR SDS 01", create=True).add_new(0xFE, "SQ", [shared])
    dataset.private_block(0x0021, "SIEMENS MR SDI 02", create=True).add_new(0xFE, "SQ", [frame])
    found, _, content = released(synth.to_bytes(dataset))
    kept = found.private_block(0x0021, "SIEMENS MR SDS 01")[0xFE].value[0]
    assert kept.private_block(0x0021, "SIEMENS MR SDS 01")[0x09].value == "p2s3"
    kept = found.private_block(0x0021, "SIEMENS MR SDI 02")[0xFE].value[0].private_block(0x0021, "SIEMENS MR SDI 02")
    assert (kept[0x1C].value, float(kept[0x04].value), kept[0x06].value[:4]) == (1, 4.635, "X_4_")
    assert b"alTE[0]" in content and TOKEN.encode() not in content


def test_canons_directions_stay_in_the_comment() -> None:
    """Its diffusion directions stand nowhere else; another comment goes."""
    dataset = synth.load_instance(1, 1, 1, 1, modality="MR", private=False)
    dataset.ImageComments = "b=1500(0.445,0.000,0.895)"
    assert released(synth.to_bytes(dataset))[0].ImageComments == "b=1500(0.445,0.000,0.895)"
    dataset.ImageComments = f"b=1500(0.445,0.000,0.895) {TOKEN}"
    assert TOKEN.encode() not in released(synth.to_bytes(dataset))[2]


def blocks() -> list[Path]:
    """Some files of the shared series with a CSA header or a protocol data block."""
    if not SERIES.is_dir():
        return []
    return [
        path
        for path in sorted(SERIES.rglob("*"))
        if path.is_file() and re.search("Siemens|ProtocolDataBlock", str(path))
    ][::60]


@pytest.mark.parametrize("path", blocks(), ids=lambda path: path.name[-30:])
def test_real_blocks_are_rebuilt_to_themselves(path: Path) -> None:
    """Planted in the texts of a real header and after its end, an identifier does not stay."""
    try:
        dataset = pydicom.dcmread(path, stop_before_pixels=True)
    except pydicom.errors.InvalidDicomError:
        pytest.skip("a file beside the series")
    for tag, rebuild in ((0x00291010, csa), (0x00291020, csa), (0x0025101B, protocol), (0x0043102A, raw_header)):
        if tag in dataset:
            rebuilt = rebuild(dataset[tag].value)
            assert rebuilt and rebuild(rebuilt) == rebuilt
            if rebuild is csa:
                planted = rebuild(made.planted(dataset[tag].value, TOKEN))
                assert planted is not None and TOKEN.encode() not in planted
