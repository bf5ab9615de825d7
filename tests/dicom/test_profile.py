"""What happens to each attribute: the table by tag, the allow-list after it, the options both ways."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.datadict import DicomDictionary, dictionary_VR, keyword_dict, keyword_for_tag

from curate.core import resources
from curate.deid import anatomy_names, dates, grammar, private_attributes, profile, pseudonyms, renumbering, values
from curate.deid.records import Action, StudyContext
from curate.dicom.model import Element, Item
from curate.keys.derivation import Keys
from curate.policies import Policy
from tests.dicom import regenerate_profile

KEYS = Keys.from_secret(bytes(32))
DONOR = pseudonyms.donor_id(KEYS, "one")
SHIFT = -612_345_678_901_234
STUDY = StudyContext(KEYS, DONOR, SHIFT, "20000101")
VERIFIER = StudyContext(None, DONOR, 0, "20000101")
TABLE = json.loads(resources.vocabulary_path("deid/data/table_e1_1.json").read_text(encoding="utf-8"))["rules"]


def tag_of(keyword: str) -> int:
    return keyword_dict[keyword]


def clean(
    keyword: str,
    vr: str,
    raw: bytes,
    context: StudyContext = STUDY,
    policy: Policy | None = None,
    **others: bytes,
) -> bytes | None:
    tag = tag_of(keyword)
    item = Item({tag: Element(tag, vr, raw)}, ("utf-8",))
    for name, other in others.items():
        item[tag_of(name)] = Element(tag_of(name), "TM", other)
    return profile.clean_value(policy or Policy(), context, 0, tag, vr, raw, ("utf-8",), item)


def example_tag(row: str) -> int:
    """A tag that a row of the table decides."""
    return 0x00190010 if row == "PRIVATE" else int(row.upper().replace("X", "0"), 16)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row["tag"])
def test_every_row_is_decided_by_tag(row: dict[str, object]) -> None:
    """Each of the 657 rows is found by its tag or pattern and does no less than one of its actions."""
    tag = example_tag(str(row["tag"]))
    vr = DicomDictionary[tag][0].split(" or ")[0] if tag in DicomDictionary else "LO"
    decision = profile.decide(Policy(), 0, tag, vr, "NOBODY" if tag & 0x10000 else None)
    allowed = {Action(action) for action in str(row["basic"]).rstrip("*").split("/")}
    options = dict(row["options"])  # type: ignore[call-overload]
    if "C" in options.values():
        allowed.add(Action.CLEAN)
    if "U*" in str(row["basic"]) or tag in (tag_of("PatientID"), tag_of("PatientWeight")) or vr == "SQ":
        allowed.add(Action.CLEAN)
    if vr == "UI" and "retain_uids" in options:
        allowed.add(Action.UID)
    assert decision.action in allowed
    assert "Table E.1-1" in decision.reason or tag & 0x10000


def test_the_table_is_whole() -> None:
    """The table has all its rows, and its patterns decide repeating groups at any number."""
    assert len(TABLE) == 657
    for tag in (0x50000010, 0x50FE3000, 0x60003000, 0x601E4000):
        assert profile.decide(Policy(), 0, tag, "OW", None).action is Action.REMOVE


def test_a_compound_action_follows_the_type_at_its_place() -> None:
    """X/Z/D is a dummy where the attribute is of type 1, and removal where it is of type 3."""
    serial, station = tag_of("DeviceSerialNumber"), tag_of("StationName")
    assert profile.decide(Policy(), 0, serial, "LO", None).action is Action.DUMMY
    assert profile.decide(Policy(), tag_of("BeamSequence"), serial, "LO", None).action is Action.REMOVE
    assert profile.decide(Policy(), 0, tag_of("InstitutionName"), "LO", None).action is Action.REMOVE
    assert profile.decide(Policy(), 0, station, "SH", None).action in (Action.REMOVE, Action.DUMMY)


def test_what_nobody_lists_is_removed() -> None:
    """A standard attribute that neither table nor allow-list has is removed."""
    decision = profile.decide(Policy(), 0, tag_of("LensMake"), "LO", None)
    assert decision.action is Action.REMOVE


def test_data_files_are_what_their_sources_make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The generated data files are those that the generator writes today."""
    kept = regenerate_profile.DATA
    (tmp_path / "table_e1_1.json").write_bytes((kept / "table_e1_1.json").read_bytes())
    monkeypatch.setattr(regenerate_profile, "DATA", tmp_path)
    regenerate_profile.main()
    for name in ("allow.json", "types.json", "codes.json", "cs.json", "uids.json"):
        assert (tmp_path / name).read_bytes() == (kept / name).read_bytes(), name


def test_every_entry_says_why() -> None:
    """Each entry of the allow-list has a grammar that the program knows, and a reason."""
    known = {*values.PURE, *values.CONTEXTUAL, "empty", "never", "drop"}
    for entry in profile.allowed().values():
        assert grammar.parse_grammar(entry.grammar)[0] in known
        assert len(entry.why) > 3 or entry.grammar == "never"


@pytest.mark.parametrize(
    ("policy", "keyword", "vr", "raw", "kept"),
    [
        (Policy(), "StudyDate", "DA", b"20190304", True),
        (Policy(dates="remove"), "StudyDate", "DA", b"20190304", False),
        (Policy(), "SeriesDescription", "LO", b"T1 MPRAGE SAG ", True),
        (Policy(clean_descriptors=False), "SeriesDescription", "LO", b"T1 MPRAGE SAG ", False),
        (Policy(), "FrameAcquisitionDateTime", "DT", b"20190304101112", True),
    ],
)
def test_options_work_both_ways(policy: Policy, keyword: str, vr: str, raw: bytes, kept: bool) -> None:
    """An option that is on keeps what it cleans; off, the basic action of the table applies."""
    shift = -(dates.moved(dates.parse_date(b"20190304"), None, 0)[1])  # type: ignore[arg-type]
    days = (dates.parse_date(b"20190304") - dates.FIRST).days  # type: ignore[operator]
    context = StudyContext(KEYS, DONOR, shift * 0 - days * dates.DAY_US, "20000101")
    assert bool(clean(keyword, vr, raw, context, policy)) is kept


@pytest.mark.parametrize("on", [True, False])
def test_private_attributes_proven_safe(on: bool) -> None:
    """Siemens' b-value stays where the option is on and its value is one; any other private attribute goes."""
    policy = Policy(retain_safe_private=on)
    for creator, tag, raw, kept in (
        (b"SIEMENS MR HEADER ", 0x0019100C, b"1000", on),
        (b"SIEMENS MR HEADER ", 0x0019100C, b"Maria ", False),
        (b"SOMEBODY ELSE ", 0x0019100C, b"1000", False),
        (b"SIEMENS MR HEADER ", 0x001910FF, b"1000", False),
    ):
        item = Item({0x00190010: Element(0x00190010, "LO", creator)})
        item[tag] = Element(tag, "IS", raw)
        value = profile.clean_value(policy, STUDY, 0, tag, "IS", raw, ("ascii",), item)
        assert (value == b"1000") is kept


PLANTS = st.sampled_from(
    [
        "QZJPLANTED",
        "Puig^Montserrat",
        "83920471",
        "12345678Z",
        "612345678",
        "19530712",
        "1.2.826.0.83920471",
        "C/ Balmes 123",
    ]
)
ATTRIBUTES = sorted(
    (tag, vr)
    for tag, row in DicomDictionary.items()
    if tag >> 16 >= 8 and row[0] not in ("SQ", "NONE") and tag not in values.dates.TIME_OF and tag >> 16 < 0x7FE0
    for vr in row[0].split(" or ")
)
CODES = {tag_of(name) for name in ("CodeValue", "LongCodeValue", "CodeMeaning")}


@settings(max_examples=1500, deadline=None, derandomize=True, database=None)
@given(st.sampled_from(ATTRIBUTES), PLANTS, st.sampled_from(["{}", "{}\\T1", "T1 {} SAG", "T1\\{}", " {} "]))
def test_no_planted_text_passes_any_attribute(place: tuple[int, str], plant: str, form: str) -> None:
    """Whatever the attribute and its VR, no identifier in its value is in what stays of it."""
    tag, vr = place
    raw = form.format(plant).encode()
    raw += b" " * (-len(raw) % 8)
    item = Item({tag: Element(tag, vr, raw)}, ("utf-8",))
    cleaned = profile.clean_value(Policy(), STUDY, 0, tag, vr, raw, ("utf-8",), item)
    if cleaned and tag not in CODES:  # codes are judged with their scheme
        assert plant.encode() not in cleaned
        assert not re.search(rb"QZJ|Puig|Montserrat|Balmes", cleaned, re.IGNORECASE)


@settings(max_examples=1500, deadline=None, derandomize=True, database=None)
@given(
    st.sampled_from(ATTRIBUTES),
    st.one_of(st.binary(max_size=24), st.from_regex(r"[A-Z0-9 .\\-]{0,20}").map(str.encode)),
)
def test_cleaning_a_clean_value_changes_nothing(place: tuple[int, str], raw: bytes) -> None:
    """What the rewriter writes the verifier leaves, bit for bit, and it has even length."""
    tag, vr = place
    raw += b" " * (len(raw) % 2)
    item = Item({tag: Element(tag, vr, raw)}, ("utf-8",))
    cleaned = profile.clean_value(Policy(), STUDY, 0, tag, vr, raw, ("utf-8",), item)
    if cleaned is None:
        return
    assert len(cleaned) % 2 == 0
    again = Item({tag: Element(tag, vr, cleaned)}, ("utf-8",))
    assert profile.clean_value(Policy(), VERIFIER, 0, tag, vr, cleaned, ("utf-8",), again) == cleaned


@pytest.mark.parametrize(
    ("keyword", "vr", "raw"),
    [
        ("SliceThickness", "DS", b"1.25"),
        ("ImageOrientationPatient", "DS", b"0.99903\\-0.02178\\0.0382\\0.0265\\0.9914\\-0.128"),
        ("PixelSpacing", "DS", b"0.451171875\\0.451171875 "),
        ("RescaleIntercept", "DS", b"-1024 "),
        ("WindowCenter", "DS", b"40\\-600 "),
        ("RadionuclideHalfLife", "DS", b"6586.2"),
        ("EchoTime", "DS", b"2.98"),
        ("Rows", "US", struct.pack("<H", 512)),
        ("DiffusionBValue", "FD", struct.pack("<d", 1000.0)),
        ("ImageType", "CS", b"ORIGINAL\\PRIMARY\\AXIAL "),
        ("Modality", "CS", b"MR"),
        ("ConvolutionKernel", "SH", b"B30f"),
        ("SequenceName", "SH", b"*fl2d1"),
        ("DoseGridScaling", "DS", b"0.000001"),
        ("GridFrameOffsetVector", "DS", b"0\\5\\10\\15 "),
        ("ContourData", "DS", b"-200\\150.5\\-200"),
        ("SOPClassUID", "UI", b"1.2.840.10008.5.1.4.1.1.2\0"),
    ],
)
def test_what_science_needs_stays_as_it_is(keyword: str, vr: str, raw: bytes) -> None:
    """Geometry, timing, units and terms pass unchanged."""
    cleaned = clean(keyword, vr, raw)
    assert cleaned is not None
    if vr == "DS":
        assert [float(x) for x in cleaned.split(b"\\")] == [float(x) for x in raw.split(b"\\")]
    else:
        assert cleaned.rstrip() == raw.rstrip()


def test_uids_are_keyed_and_known_ones_stay() -> None:
    """A frame of reference becomes a keyed UID; one that the standard registers stays."""
    new = clean("FrameOfReferenceUID", "UI", b"1.2.3.4")
    assert new is not None
    assert pseudonyms.is_new_uid(new.decode().strip("\0"))
    assert clean("FrameOfReferenceUID", "UI", b"1.2.840.10008.1.4.1.1\0") == b"1.2.840.10008.1.4.1.1\0"
    assert clean("FrameOfReferenceUID", "UI", b"1.2.3.4\0", VERIFIER) == b""


def test_names_of_the_person_leave_descriptions() -> None:
    """A word of the vocabulary that is also the patient's name does not stay."""
    item = Item({}, ("utf-8",))
    item.put(tag_of("PatientName"), "PN", b"Bravo^Maria")
    names = profile.identifying_words(item)
    context = StudyContext(KEYS, DONOR, SHIFT, "20000101", names)
    assert clean("SeriesDescription", "LO", b"AX 3D BRAVO ", context) == b"AX 3D "
    assert clean("SeriesDescription", "LO", b"AX 3D BRAVO ") == b"AX 3D BRAVO "


def test_decimals_keep_six_digits_unless_something_is_computed_from_them() -> None:
    """A dose statistic is rounded, so that no longer identifier fits; a position is not."""
    assert grammar.number("0,99999", "DS", b"73.104417 ") == b"73.1044 "
    assert grammar.exact("0,99999", "DS", b"73.104417 ") == b"73.104417 "
    entries = profile.allowed()
    assert entries[0x30040072].grammar.startswith("num(")  # DVHMaximumDose
    computed = ("ImagePositionPatient", "PixelSpacing", "RescaleSlope", "DoseGridScaling", "ContourData")
    assert all(entries[keyword_dict[name]].grammar.startswith("exact(") for name in computed)


def test_a_table_is_kept_as_a_curve_and_not_as_text() -> None:
    """Ramps, stairs and curves of 8 and 16 bits stay; ten letters amid a ramp do not."""
    ramp = np.arange(256, dtype="u1")
    gamma = ((np.arange(4096) / 4095) ** 0.45 * 65535).astype("<u2")
    stairs = np.repeat(np.arange(0, 256, 12, dtype="u1"), 12)
    for table in (ramp, ramp.repeat(2), (ramp.astype("<u2") * 257), gamma, stairs, ramp[::-1]):
        assert grammar.lut("", "OW", table.tobytes()) == table.tobytes()
    for letters in (b"QZJHTNBKRD", b"VILAPL", b"GARCIA", b"JOANPUIG"):
        raw = ramp.repeat(2).tobytes()
        assert grammar.lut("", "OW", raw[:150] + letters + raw[150:]) is None
        assert grammar.lut("", "OW", bytes(64) + letters + bytes(64)) is None


def test_a_body_part_stands_nowhere_else() -> None:
    """A name of a body part, by which a header would state region or sex, is no term of another attribute."""
    assert grammar.terms("", "CS", b"DERIVED\\PRIMARY\\CERVIX") == b"DERIVED\\PRIMARY\\"
    assert not grammar.body_parts() & grammar.code_strings()
    assert anatomy_names.body_part("", "CS", b"CHEST ") == b"CHEST "
    assert anatomy_names.body_part("", "CS", b"CERVIX") == b"PELVIS"
    assert grammar.words("BRAIN,LUNG", "CS", b"LUNG") == b"LUNG"


@pytest.mark.parametrize("keys", [KEYS, None], ids=["rewriting", "verifying"])
def test_a_value_rests_on_no_other_attribute_than_its_partner(keys: Keys | None) -> None:
    """Every attribute that is cleaned by what is around it looks at itself and at what `partners` names, no more."""
    context = StudyContext(keys, DONOR, 0 if keys is None else SHIFT, "20000101", frozenset(("puig",)))
    asked = 0
    for tag, entry in profile.allowed().items():
        name = grammar.parse_grammar(entry.grammar)[0]
        if name in values.PURE or tag & 0x10000:
            continue
        vr = DicomDictionary[tag][0].split(" ")[0] if tag in DicomDictionary else "LO"
        decision = profile.decide(Policy(), 0, tag, vr, None)
        for raw in (b"20190304", b"081723.5", b"20190304081723", b"1.2.3.4 ", b"Thorax", b"70"):
            item = Item({tag: Element(tag, vr, raw)}, ("utf-8",))
            item.seen = set()
            profile.clean_value(Policy(), context, 0, tag, vr, raw, ("utf-8",), item, decision)
            assert item.seen - {tag, 0} <= profile.partners(tag, decision), grammar.parse_grammar(entry.grammar)
            asked += 1
    assert asked > 100


CLOSED = frozenset((
    "cs", "words", "terms", "kernel", "sequence", "coil", "vendor", "model", "software", "nucleus", "rescale", "cid",
    "content", "const", "charset", "bodypart", "roi", "segment", "scheme",
    "version", "uid-standard", "at", "longitudinal", "icc", "items",
))  # fmt: skip
MADE_ANEW = frozenset(("uid", "donor", "label", "ordinal", "date", "time", "datetime", "order", "weight"))
NOTHING = frozenset(("empty", "never", "drop"))
CHECKED_BESIDE_OTHERS = frozenset(("code", "meaning"))
"""A code passes in itself, and stays where its scheme has it: `coded_concepts.clean`."""
NUMBERS = frozenset(
    ("num", "exact", "big", "measured", "padding", "floats", "indices", "lut", "pixels", "order", "weight")
)
TEXT_VRS = frozenset(("CS", "SH", "LO", "LT", "ST", "UT", "UC", "UI", "AT", "AE", "PN", "UR", "DA", "TM", "DT"))


PRIVATE = {
    "text": frozenset(("words", "cs", "form", "coils", "ice")),
    "numbers": frozenset(("geb", "rounded", "times")),
    "OB": frozenset(("csa", "protocol", "ge-protocol", "ge-raw")),
    "SQ": frozenset(("items",)),
}


def test_no_text_passes_by_its_form_alone() -> None:
    """Each text of the allow-list comes from a closed list, is made anew, or is judged beside others."""
    closed = CLOSED | MADE_ANEW | NOTHING | CHECKED_BESIDE_OTHERS
    for tag, entry in profile.allowed().items():
        name, vr = grammar.parse_grammar(entry.grammar)[0], dictionary_VR(tag)
        assert name in (closed if vr in TEXT_VRS else closed | NUMBERS), (f"{tag:08X}", entry.grammar)
    for known in private_attributes.safe().values():
        name = grammar.parse_grammar(known.grammar)[0]
        assert name in PRIVATE.get(known.vr, PRIVATE["text"] if known.vr in TEXT_VRS else NUMBERS | PRIVATE["numbers"])


def test_numbers_that_only_refer_are_never_emptied() -> None:
    """Every IS by which parts of an object, or instances, are numbered: kept, in order, or keyed."""
    wanted = re.compile(r"(Series|Acquisition|Instance|ROI|Beam|Wedge|Block|Source|Setup|Table|Group)Number$")
    numbered = [tag for tag in profile.allowed() if wanted.search(keyword_for_tag(tag))]
    found = [tag for tag in numbered if dictionary_VR(tag) == "IS"]
    assert len(found) > 20
    context = StudyContext(Keys.from_secret(bytes(32)), "", 0, "", frozenset(("19580203",)))
    for tag in found:
        by_study = tag in renumbering.ORDERED  # whose two digits only the study tells from a count
        for number in (b"19580203", b"1958", b"4000000000", *(() if by_study else (b"58",))):
            for item in (Item(), Item({tag: Element(tag, "IS", number)})):
                cleaned = profile.clean_value(Policy(), context, 1, tag, "IS", number, (), item)
                assert cleaned, f"{tag:08X}"
                assert cleaned.strip() != number
                assert 0 <= int(cleaned) <= 99_999
