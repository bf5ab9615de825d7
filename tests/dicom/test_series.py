"""No order of files makes one of them come out otherwise than it does in a fresh process."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.deid.records import StudyContext
from curate.deid.rewrite import rewrite_parsed
from curate.deid.verify import verify_rewritten
from curate.dicom.io.file_meta import read_head
from curate.dicom.io.reader import parse
from curate.dicom.model import Item, MalformedError
from curate.donation.header_scan import scan
from curate.policies import Policy
from tests.dicom.test_latest import CONTEXT
from tests.dicom.test_rewrite import KEYS, forget
from tests.dicom.test_track import encoded

EXPLICIT, RLE = b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.5\0"
PIXELS = encoded(0x7FE00010, b"OW", bytes(8))
SECRET = b"Montserrat "
_ELEMENTS: dict[int, tuple[bytes, bytes]] = {
    0x00080016: (b"UI", b"1.2.840.10008.5.1.4.1.1.2\0"), 0x00080018: (b"UI", b"1.2.3\0"),
    0x00080020: (b"DA", b"20190304"),
    0x00080060: (b"CS", b"CT"), 0x00100010: (b"PN", b"Puig"), 0x0020000D: (b"UI", b"1.2.9\0"),
    0x0020000E: (b"UI", b"1.2.93"), 0x00280002: (b"US", b"\1\0"), 0x00280004: (b"CS", b"MONOCHROME2 "),
    0x00280010: (b"US", b"\2\0"), 0x00280011: (b"US", b"\2\0"),
    0x00280100: (b"US", b"\x10\0"), 0x00280101: (b"US", b"\x10\0"),
    0x00280102: (b"US", b"\x0f\0"), 0x00280103: (b"US", b"\0\0"),
}  # fmt: skip


def item(body: bytes) -> bytes:
    return struct.pack("<HHL", 0xFFFE, 0xE000, len(body)) + body


def named(elements: dict[int, tuple[bytes, bytes]]) -> dict[int, bytes]:
    return {tag: encoded(tag, *element) for tag, element in elements.items()}


def file(number: int, elements: dict[int, bytes], pixels: bytes = PIXELS, syntax: bytes = EXPLICIT) -> bytes:
    """An instance of one series; the elements stand in their order, those after a tag 0 in the order given."""
    meta = encoded(0x00020003, b"UI", b"1.2.%04d" % number) + encoded(0x00020010, b"UI", syntax)
    head = bytes(128) + b"DICM" + encoded(0x00020000, b"UL", struct.pack("<L", len(meta))) + meta
    every = named(_ELEMENTS | {0x00080018: (b"UI", b"1.2.%04d" % number)}) | elements
    last = [*every][[*every].index(0) + 1 :] if 0 in every else []
    tags = [*sorted(tag for tag in every if tag and tag not in last), *last]
    return head + b"".join(every[tag] for tag in tags) + pixels


def told(item: Item) -> list[object]:
    """All of a data set, and in which character sets its items are."""
    return [
        (tag, e.vr, [(one.encodings, told(one)) for one in e.items] if e.items else item.raw(tag))
        for tag, e in sorted(item.items())
    ]


def outcome(data: bytes, context: StudyContext = CONTEXT, policy: Policy = Policy()) -> tuple[Any, ...]:  # noqa: B008
    """What is read of a file, what is written, what it says, and what the verifier says of it."""
    try:
        parsed = parse(data)
        content = told(parsed.dataset)
        done = rewrite_parsed(parsed, context, policy)
    except MalformedError as error:
        return (error.rule, error.tag)
    checked = verify_rewritten(done, policy)
    written = b"".join(map(bytes, done.chunks))
    said = (dict(done.applied), done.findings, checked.findings, told(checked.dataset))
    return (written, content, parsed.meta, *said)


def first_look(data: bytes) -> tuple[object, ...]:
    return tuple(scan(io.BytesIO(data), len(data), KEYS))


def number_of_elements(data: bytes) -> tuple[object, ...]:
    try:
        return (len(parse(data).dataset),)
    except MalformedError as error:
        return (error.rule,)


def agree(files: Iterable[bytes], what: Callable[[bytes], tuple[Any, ...]] = outcome) -> list[tuple[Any, ...]]:
    """The outcomes of files in a row, each the same as that of the file alone."""
    series = [*files]
    forget()
    warm = [what(data) for data in series]
    for number, (data, after_others) in enumerate(zip(series, warm, strict=True)):
        forget()
        assert what(data) == after_others, f"file {number}"
    return warm


@pytest.mark.parametrize("odd", [1, 2, 3])
def test_a_value_of_a_vr_that_goes_leaves_nothing_of_the_file_before(odd: int) -> None:
    """Where one file states a VR that the attribute cannot have, it gets no other file's value."""
    right, wrong = encoded(0x00180060, b"DS", b"120 "), encoded(0x00180060, b"US", b"9999")
    warm = agree(file(n, {0x00180060: wrong if n == odd else right}) for n in range(6))
    assert [0x00180060 in parse(done[0]).dataset for done in warm] == [n != odd for n in range(6)]


@pytest.mark.parametrize("odd", [1, 2, 3])
def test_a_file_that_loses_its_geometry_is_refused_among_others(odd: int) -> None:
    """Where one file states a slice's thickness in a VR that it cannot have, that file alone is refused."""
    right, wrong = encoded(0x00180050, b"DS", b"1.5 "), encoded(0x00180050, b"US", b"9999")
    warm = agree(file(n, {0x00180050: wrong if n == odd else right}) for n in range(6))
    assert [done[0] for done in warm if len(done) == 2] == ["VALUE_LOST_IMAGE"]
    assert len(warm[odd]) == 2


@pytest.mark.parametrize(
    "elements",
    [
        lambda n: {0x00080023: (b"DA", b"20190304"), 0x00080033: (b"US", b"010000" if n % 2 else b"235900")},
        lambda n: {
            0x00080023: (b"US", b"20190304" if n % 2 else b"19500101"),
            0x00080033: (b"TM", b"010000"),
        },
    ],
)
def test_a_date_rests_on_its_time_though_that_goes(
    elements: Callable[[int], dict[int, tuple[bytes, bytes]]],
) -> None:
    """A sibling that is left out, since its VR is wrong, still decides how its partner moves."""
    agree(file(n, named(elements(n))) for n in range(6))


@pytest.mark.parametrize("tag", [0x00081110, 0x00400275, 0x00081140, 0x0040A730])
@pytest.mark.parametrize("first", [0, 4])
def test_bytes_of_un_are_a_sequence_in_some_files_only(tag: int, first: int) -> None:
    """Whether UN holds items is looked at in every file, and so is what then becomes of it."""
    items = item(struct.pack("<HHL", 0x0008, 0x1155, 6) + b"1.2.30")
    values = [items if (n < first if first else n % 3) else b"no items %d" % n for n in range(9)]
    agree(file(n, {tag: encoded(tag, b"UN", value)}) for n, value in enumerate(values))


def test_a_sequence_before_the_character_set_is_read_without_it() -> None:
    """Elements out of their order: text has the character set that was known where it stands."""
    text = [encoded(0x0008103E, b"LO", b"t\xc3\xb3rax%d" % n) for n in range(5)]
    charset = {0: b"", 0x00080005: encoded(0x00080005, b"CS", b"ISO_IR 192")}
    agree(file(n, {0x00081140: encoded(0x00081140, b"SQ", item(text[n])), **charset}) for n in range(5))
    early = {0x00080005: charset[0x00080005]}
    agree(file(n, {0x00060010: encoded(0x00060010, b"SQ", item(text[n])), **early}) for n in range(5))


def test_group_2_in_a_data_set_is_not_the_meta_group() -> None:
    """An element of group 0002 among the others is taken for one, in every file of a series."""
    agree(file(n, {0: b"", 0x00020003: encoded(0x00020003, b"UI", b"1.2.3%03d" % n)}) for n in range(5))


@pytest.mark.parametrize("tag", [0x00100020, 0x00180050, 0x00080060])
def test_what_stands_after_the_pixels_is_read(tag: int) -> None:
    """An element that comes twice, before and after the pixels, is the latter in every file of a series."""
    vr, before, after = {
        0x00180050: (b"DS", b"1.5 ", b"2.5 "), 0x00100020: (b"LO", b"77", SECRET + b" "),
        0x00080060: (b"CS", b"CT", b"US"),
    }[tag]  # fmt: skip
    twice = PIXELS + encoded(tag, vr, after)
    series = [file(n, {tag: encoded(tag, vr, before)}, twice if n >= 3 else PIXELS) for n in range(6)]
    assert all(SECRET.strip() not in done[0] for done in agree(series))
    agree(series, first_look)


def test_malformed_fragments_are_noticed_at_a_first_look() -> None:
    """What follows the header is looked at as far as it is known, whatever files came before."""
    head = encoded(0x7FE00010, b"OB", b"")[:8] + b"\xff\xff\xff\xff" + item(b"") + item(b"abcd")
    end = struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
    foreign = encoded(0x00100020, b"LO", b"88")
    series = [file(n, {}, head + (foreign if n == 3 else b"") + end, RLE) for n in range(5)]
    assert [done[-1] for done in agree(series, first_look)] == ["", "", "", "FRAGMENTS_MALFORMED", ""]


def test_a_file_of_too_many_items_is_refused_though_others_held_them() -> None:
    """Sequences that earlier files shared count against the bound of each file that holds them."""
    tags = (0x00081140, 0x00082112, 0x00081115, 0x00081199, 0x00321064, 0x00400275, 0x00400260, 0x0040A730)
    full = {tag: encoded(tag, b"SQ", item(b"") * 16_000) for tag in tags}
    parts = [dict([*full.items()][:4]), dict([*full.items()][4:]), full, full]
    warm = agree((file(n, part) for n, part in enumerate(parts)), number_of_elements)
    assert warm == [(20,), (20,), ("TOO_MANY_ELEMENTS",), ("TOO_MANY_ELEMENTS",)]


_CONTEXTS = (
    CONTEXT,
    StudyContext(KEYS, "D" + "b" * 26, (CONTEXT.shift_us or 0) + 21_600_000_000, "20000103"),
)
_POLICIES = (Policy(), Policy(dates="remove"), Policy(retain_safe_private=False, clean_descriptors=False))
_VALUES = st.sampled_from([
    b"", b"20190304", b"19500101", b"235959", b"000001", b"1.5 ", b"THORAX", b"t\xc3\xb3rax ", SECRET + b" ", b"CT",
    b"ISO_IR 100", b"ISO_IR 192", b"GEMS_PARM_01", b"SIEMENS MR HEADER ", b"1000", b"x" * 1016,
    b"x" * 1018, bytes(70_000),
    item(b""), item(encoded(0x00080033, b"TM", b"1010") + encoded(0x00100010, b"PN", SECRET + b" ")),
    item(struct.pack("<HHL", 0x0008, 0x1155, 6) + b"1.2.30"), item(encoded(0x00200052, b"UI", b"1.2.30")),
])  # fmt: skip
_FULL: dict[int, tuple[bytes, bytes]] = {
    0x00080022: (b"DA", b"20190304"), 0x00080023: (b"DA", b"20190304"), 0x00080032: (b"TM", b"235959"),
    0x00080033: (b"TM", b"101010"), 0x0008103E: (b"LO", b"THORAX"), 0x00081110: (b"SQ", item(b"")),
    0x00081140: (b"SQ", item(encoded(0x00081155, b"UI", b"1.2.30"))), 0x00180050: (b"DS", b"1.5 "),
    0x00190010: (b"LO", b"SIEMENS MR HEADER "), 0x0019100C: (b"IS", b"1000"), 0x00200052: (b"UI", b"1.2.31"),
    0x00400275: (b"SQ", item(encoded(0x00080033, b"TM", b"1010"))),
}  # fmt: skip
_PLACES = st.sampled_from([
    *((tag, vr) for tag, (vr, _) in _FULL.items()), (0x00080005, b"CS"), (0x00060010, b"SQ"), (0x00020003, b"UI"),
    (0x00080060, b"CS"), (0x00101030, b"DS"), (0x00280106, b"US"), (0x60003000, b"OW"),
])  # fmt: skip
_TAILS = st.sampled_from([
    PIXELS, PIXELS, PIXELS, b"", PIXELS + bytes(3), PIXELS + bytes(20),
    PIXELS[:-2], PIXELS + encoded(0xFFFCFFFC, b"OB", SECRET),
    PIXELS + encoded(0x00100020, b"LO", SECRET + b" "), PIXELS + encoded(0x00180050, b"DS", b"7 "),
    encoded(0x7FE00010, b"OB", bytes(8)),
])  # fmt: skip


@st.composite
def changes(draw: st.DrawFn) -> tuple[dict[int, bytes], bytes, bytes, int, int]:
    """What one file of a series says otherwise; whose it is, and under which policy."""
    elements = {0: b""} if draw(st.integers(0, 9)) == 0 else {}
    for tag, vr in draw(st.lists(_PLACES, max_size=2)):
        stated = draw(st.sampled_from([vr, vr, vr, b"UN", b"US", b"LO", b"SQ"]))
        value = draw(st.one_of(st.just(_FULL.get(tag, (vr, b"1 "))[1]), _VALUES))
        well = value[:2] == b"\xfe\xff" or stated != b"SQ"
        elements[tag] = encoded(tag, stated, value if well else b"")
    who = draw(st.sampled_from([0, 0, 0, 1]))
    return (
        elements,
        draw(_TAILS),
        draw(st.sampled_from([bytes(8), SECRET])),
        who,
        draw(st.sampled_from([0, 0, 0, 1, 2])),
    )


@settings(deadline=None, max_examples=200)
@given(base=changes(), series=st.lists(st.one_of(st.none(), changes()), min_size=3, max_size=9))
def test_interleaved_series_come_out_as_each_file_alone(base: Any, series: list[Any]) -> None:
    """Donors, policies, layouts and damage in any order, first looks between: all as in fresh processes."""
    steps = []
    for number, other in enumerate(series):
        elements, pixels, preamble, who, policy = other or base
        data = file(number, named(_FULL) | base[0] | elements, pixels)
        steps.append((preamble.ljust(128, b"\0") + data[128:], _CONTEXTS[who], _POLICIES[policy]))
    forget()
    warm = [(first_look(step[0]) if number % 3 else (), outcome(*step)) for number, step in enumerate(steps)]
    for number, (step, after_others) in enumerate(zip(steps, warm, strict=True)):
        forget()
        look = first_look(step[0]) if number % 3 else ()
        assert (look, outcome(*step)) == after_others
        if isinstance(after_others[1][0], bytes):
            assert SECRET.strip() not in after_others[1][0]


def test_the_files_of_this_module_are_what_they_should_be() -> None:
    """A plain one is admitted and clean; so what the others differ in is what they were made to differ in."""
    forget()
    done = outcome(file(0, {}))
    assert isinstance(done[0], bytes)
    assert not done[5]
    assert read_head(file(0, {})).explicit
