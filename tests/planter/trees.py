"""Hypothesis strategies: random trees of elements, on the skeleton of an image that would be released."""

from __future__ import annotations

from hypothesis import strategies as st
from pydicom.datadict import DicomDictionary

from tests.planter.bases import synthetic
from tests.planter.raw import BIG, DEFLATED, EXPLICIT, IMPLICIT, Draft, Elem, Item, put, read

VRS = [
    "AE",
    "AS",
    "AT",
    "CS",
    "DA",
    "DS",
    "DT",
    "FD",
    "FL",
    "IS",
    "LO",
    "LT",
    "OB",
    "OD",
    "OF",
    "OL",
    "OV",
    "OW",
    "PN",
    "SH",
    "SL",
    "SS",
    "ST",
    "SV",
    "TM",
    "UC",
    "UI",
    "UL",
    "UN",
    "UR",
    "US",
    "UT",
    "UV",
]
KNOWN = sorted(tag for tag in DicomDictionary if tag >> 16 not in (0, 2, 0xFFFE))
SEQUENCES = sorted(tag for tag in KNOWN if DicomDictionary[tag][0] == "SQ")
SKELETON = frozenset(
    {
        0x00080016,
        0x00080018,
        0x0020000D,
        0x0020000E,
        0x00280010,
        0x00280011,
        0x00280002,
        0x00280100,
        0x00280101,
    }
    | {0x00280102, 0x00280103, 0x7FE00010, 0x00280008, 0x7FE00008, 0x7FE00009}
)

tags = st.one_of(
    st.sampled_from(KNOWN),
    st.sampled_from(KNOWN),
    st.integers(0x00080000, 0x7FDFFFFF),
    st.sampled_from((0x00290010, 0x00291001, 0x00191008, 0x0019100C, 0x00080005, 0x60003000, 0x50000005)),
).filter(lambda tag: tag not in SKELETON)
printable = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF), max_size=24)
numbers = st.one_of(st.integers(-(10**9), 10**9).map(str), st.floats(width=32).map(lambda one: f"{one:.6g}"))
moments = st.one_of(st.dates().map(lambda one: f"{one:%Y%m%d}"), st.times().map(lambda one: f"{one:%H%M%S.%f}"))
values = st.one_of(
    st.binary(max_size=24),
    printable.map(lambda one: one.encode("utf-8")),
    st.lists(numbers, max_size=4).map(lambda many: "\\".join(many).encode()),
    moments.map(str.encode),
    st.sampled_from((b"", b"ISO_IR 100", b"1.2.840.10008.1.2", b"YES", b"\\\\", b"AXIAL", b"1.2.3.4", b"\x1b$B;3")),
)


def _even(raw: bytes) -> bytes:
    return raw + b" " * (len(raw) % 2)


@st.composite
def plain(draw: st.DrawFn) -> Elem:
    """An element of a known or unknown tag, mostly under its own VR."""
    tag = draw(tags)
    known = DicomDictionary[tag][0].split(" or ")[0] if tag in DicomDictionary else ""
    vr = known if known in VRS and draw(st.integers(0, 4)) else draw(st.sampled_from(VRS))
    return Elem(tag, vr, _even(draw(values)))


@st.composite
def nested(draw: st.DrawFn, inner: st.SearchStrategy[Elem]) -> Elem:
    """A sequence of items."""
    tag = draw(st.one_of(st.sampled_from(SEQUENCES), tags))
    items = draw(st.lists(st.lists(inner, max_size=5), max_size=3))
    return Elem(tag, "SQ", items, undefined=draw(st.booleans()), wire=draw(st.sampled_from(("", "", "UN"))))


elements = st.recursive(plain(), nested, max_leaves=12)


def _add(items: Item, made: list[Elem]) -> None:
    for elem in made:
        put(items, elem)


@st.composite
def files(draw: st.DrawFn) -> Draft:
    """An image with random elements besides, in order or not, in any native transfer syntax."""
    name = draw(st.sampled_from(("ct", "pt", "rtstruct", "enhanced-mr")))
    draft = read(synthetic()[name], name)
    made = draw(st.lists(elements, max_size=8))
    _add(draft.items, made)
    if draw(st.booleans()):
        draft.items += draw(st.lists(elements, max_size=2))
    draft.syntax = draw(st.sampled_from((EXPLICIT, EXPLICIT, IMPLICIT, BIG, DEFLATED)))
    return draft
