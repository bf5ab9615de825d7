"""Dates, times and UIDs: whatever looks like one, in every attribute that holds one."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator

from pydicom.datadict import DicomDictionary

from tests.planter.places.place import Path, Place, Planter, paths, reach
from tests.planter.raw import Draft, put, text
from tests.planter.tokens import Token

Make = Callable[[Token], str]
SHAPES: dict[str, tuple[tuple[str, Make, Make], ...]] = {
    "DA": (
        (
            "dotted",
            lambda t: f"{t.date[:4]}.{t.date[4:6]}.{t.date[6:]}",
            lambda t: f"{t.date[:4]}.{t.date[4:6]}.",
        ),
        ("range", lambda t: f"{t.date}-{t.date}", lambda t: t.date),
        ("text", lambda t: t.text, lambda t: t.text),
        ("values", lambda t: f"20000101\\{t.date}", lambda t: t.date),
        ("long", lambda t: f"20000101 {t.text}", lambda t: t.text),
    ),
    "TM": (
        ("text", lambda t: t.text, lambda t: t.text),
        ("colons", lambda t: f"12:00:00 {t.text}", lambda t: t.text),
        ("long fraction", lambda t: f"120000.{t.digits}{t.digits}", lambda t: t.digits + t.digits),
        ("date in it", lambda t: f"{t.date}", lambda t: t.date),
    ),
    "DT": (
        ("zone", lambda t: f"{t.date}{t.time}+0130", lambda t: t.date),
        ("date", lambda t: t.date, lambda t: t.date),
        ("text", lambda t: f"20000101{t.text}", lambda t: t.text),
        ("zone text", lambda t: f"20000101120000+{t.text}", lambda t: t.text),
        ("long fraction", lambda t: f"20000101120000.{t.digits}{t.digits}", lambda t: t.digits + t.digits),
    ),
    "UI": (
        ("oid", lambda t: f"1.2.3.{t.digits}.{t.date}", lambda t: f"{t.digits}.{t.date}"),
        ("standard root", lambda t: f"1.2.840.10008.5.1.4.1.1.2.{t.digits}", lambda t: t.digits),
        ("standard root, short", lambda t: f"1.2.840.10008.{t.digits}", lambda t: t.digits),
        ("uuid", lambda t: f"2.25.{t.digits}{t.date}{t.digits}", lambda t: f"{t.digits}{t.date}"),
        ("text", lambda t: t.text, lambda t: t.text),
        ("values", lambda t: f"1.2.840.10008.1.2.1\\1.2.{t.digits}.3", lambda t: t.digits),
        ("after a zero", lambda t: f"1.2.840.10008.1.2.1\0{t.text}", lambda t: t.text),
    ),
}
WHERE = {
    "DA": (0x00080020, 0x00080021, 0x00080022, 0x00080023, 0x00181012, 0x00100030, 0x00380020, 0x30060008),
    "TM": (0x00080030, 0x00080031, 0x00080032, 0x00080033, 0x00181072, 0x00100032, 0x00540039, 0x30060009),
    "DT": (0x0008002A, 0x00181078, 0x00189074, 0x00189151, 0x0040A032, 0x0040A13A, 0x00189701, 0x00081190),
    "UI": (
        0x0020000D, 0x0020000E, 0x00200052, 0x00080014, 0x00081155, 0x00081150, 0x00189098,
        0x00200242, 0x00080058, 0x00083010, 0x0040A124, 0x00281199, 0x0040DB0D, 0x00080016,
        0x00080018, 0x0020930F, 0x00041512, 0x00080010, 0x300600C2, 0x00209161, 0x00620021,
        0x00080062, 0x0008001A, 0x0008001B, 0x00281214, 0x00420013,
    ),
}  # fmt: skip


def _at(path: Path, tag: int, vr: str, make: Make, needle: Make) -> Planter:
    def plant(draft: Draft, token: Token) -> tuple[bytes, ...]:
        items = reach(draft.items, path)
        if items is None:
            return ()
        put(items, text(tag, vr, make(token)))
        return (needle(token).encode(),)

    return plant


def moment_places(draft: Draft) -> Iterator[Place]:
    """Odd dates, times, date-times and UIDs in attributes that may stay."""
    for vr, tags in WHERE.items():
        for tag in tags:
            for name, make, needle in SHAPES[vr]:
                layer = f"identity-{tag & 0xFF:X}-{name}" if tag in (0x00080016, 0x00080018) else f"moment-{vr}-{name}"
                yield Place(layer, f"moment/{name}/{tag:08X}", _at((), tag, vr, make, needle))
    zone: Make = lambda t: f"+{t.text}"  # noqa: E731
    yield Place("moment-zone", "moment/zone", _at((), 0x00080201, "SH", zone, lambda t: t.text))


def item_moment_places(draft: Draft) -> Iterator[Place]:
    """In each item that the draft has: a transfer syntax, class UIDs, a birth date in each kind."""
    for path in paths(draft.items):
        if not path:
            continue
        where = "/".join(f"{tag:08X}[{index}]" for tag, index in path)
        for tag in (0x00020010, 0x00041512, 0x00081150, 0x00081155, 0x0020000E, 0x0040E011):
            for name, make, needle in SHAPES["UI"][:4]:
                yield Place(
                    f"moment-item-{name}",
                    f"moment/{where}/{tag:08X}/{name}",
                    _at(path, tag, "UI", make, needle),
                )
        for tag, vr in ((0x00080022, "DA"), (0x0008002A, "DT"), (0x00189074, "DT"), (0x00181078, "DT")):
            make = (lambda t: t.date) if vr == "DA" else (lambda t: t.date + "093000")
            yield Place("moment-item", f"moment/{where}/{tag:08X}/birth", _at(path, tag, vr, make, lambda t: t.date))


def _alike(tag: int, vr: str, path: Path = ()) -> Planter:
    """An original that has the very form of what this project writes: a keyed UID, a donor's pseudonym."""

    def plant(draft: Draft, token: Token) -> tuple[bytes, ...]:
        items = reach(draft.items, path)
        if items is None:
            return ()
        seed = hashlib.sha256(token.text.encode()).digest()
        number = int.from_bytes(seed[:16])
        number = number & ~(0xF << 76) & ~(3 << 62) | 8 << 76 | 2 << 62
        donor = "D" + base64.b32encode(seed[:16]).decode().rstrip("=").lower()
        value = f"2.25.{number}" if vr == "UI" else donor
        put(items, text(tag, vr, value))
        return (value.encode(),)

    return plant


def alike_places(draft: Draft) -> Iterator[Place]:
    """Only the key tells these from what is written: the rewriter must, the checker can't."""
    tags = (0x00080018, 0x0020000D, 0x0020000E, 0x00200052, 0x00081155, 0x00083010, 0x0040A124)
    for tag in tags:
        yield Place("alike", f"alike/{tag:08X}", _alike(tag, "UI"))
    for path in paths(draft.items):
        where = "/".join(f"{tag:08X}[{index}]" for tag, index in path)
        if path:
            yield Place("alike", f"alike/{where}/00081155", _alike(0x00081155, "UI", path))
    for tag in (0x00100020, 0x00100010, 0x00080050, 0x0008103E):
        yield Place("alike", f"alike/{tag:08X}", _alike(tag, "LO"))


def every_date(draft: Draft) -> Iterator[Place]:
    """A birth date in every DA and DT of the dictionary, beside a good study date."""
    for tag, entry in DicomDictionary.items():
        if entry[0] in ("DA", "DT") and tag >> 16 not in (2, 4):
            make: Make = (lambda t: t.date) if entry[0] == "DA" else (lambda t: f"{t.date}{t.time}")
            yield Place("birth-dates", f"birth date/{tag:08X}", _at((), tag, entry[0], make, lambda t: t.date))
