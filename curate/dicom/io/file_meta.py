"""What comes before the data set: preamble, file meta, and how the rest is really encoded (PS3.10 7.1)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from curate.core.findings import Finding
from curate.dicom import tags
from curate.dicom.dictionary import VRS
from curate.dicom.model import MalformedError

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
NATIVE = frozenset((IMPLICIT, EXPLICIT, DEFLATED, BIG_ENDIAN))

MAX_INFLATED = 1 << 31
MAX_RATIO = 9  # a bomb is refused before it breaks "ten times the file"
FREE_INFLATED = 1 << 26

_HEADER = struct.Struct("<HH2sH").unpack_from
_LENGTH = struct.Struct("<L").unpack_from


@dataclass(frozen=True, slots=True, repr=False)
class Head:
    """What comes before the data set: its meta group, where it starts, and how it is really encoded."""

    meta: dict[int, bytes]
    start: int
    syntax: str
    explicit: bool
    little: bool
    findings: tuple[Finding, ...]


def sniff(head: bytes) -> bool:
    """Whether a file's first bytes (132 or more) are DICOM's, with or without a preamble."""
    if head[128:132] == b"DICM":
        return True
    if len(head) < 8:
        return False
    group = head[:2]
    if group in (b"\x02\0", b"\x08\0") and head[3] == 0:
        return head[4:6] in VRS or (head[6:8] == b"\0\0" and head[4] < 0x80 and head[5] == 0)
    return group == b"\0\x08" and head[2] == 0 and head[4:6] in VRS


def read_head(data: bytes) -> Head:
    """The preamble and group 0002 of a file; both may be missing (PS3.10 7.1 asks for them).

    Raises:
        MalformedError: NOT_DICOM, or TRUNCATED within the group.
    """
    if not sniff(data[:132]):
        raise MalformedError("NOT_DICOM")
    pos, findings = 132, []
    if data[128:132] != b"DICM":
        pos = 0
        findings.append(Finding("PREAMBLE_MISSING"))
    meta, pos = _read_meta(data, pos)
    if not meta:
        findings.append(Finding("META_MISSING"))
    syntax = meta.get(tags.TransferSyntaxUID, b"").decode("ascii", "replace").strip(" \0")
    if pos >= len(data):
        raise MalformedError("TRUNCATED")
    if syntax == DEFLATED:
        return Head(meta, pos, syntax, True, True, tuple(findings))
    little = data[pos + 1 : pos + 2] == b"\0" or data[pos : pos + 1] != b"\0"
    explicit = data[pos + 4 : pos + 6] in VRS
    if not little:
        syntax = BIG_ENDIAN
    elif not explicit:
        syntax = IMPLICIT if syntax in NATIVE or not syntax else syntax
    elif syntax in (IMPLICIT, BIG_ENDIAN, ""):
        syntax = EXPLICIT
    return Head(meta, pos, syntax, explicit, little, tuple(findings))


def _read_meta(data: bytes, pos: int) -> tuple[dict[int, bytes], int]:
    """Group 0002 and where it ends; its own length is not believed."""
    meta: dict[int, bytes] = {}
    for tag, start, stop in meta_spans(data, pos):
        vr = VRS.get(data[start + 4 : start + 6])
        meta[tag] = data[start + (12 if vr and vr.long else 8) : stop]
        pos = stop
    return meta, pos


def meta_spans(data: bytes, pos: int) -> Iterator[tuple[int, int, int]]:
    """Tag, start and stop of each element up to the first of another group.

    Raises:
        MalformedError: TRUNCATED.
    """
    while data[pos : pos + 2] == b"\x02\0" and len(data) >= pos + 12:
        _, number, name, length = _HEADER(data, pos)
        vr = VRS.get(name)
        if vr is None or vr.long:
            size = 8 if vr is None else 12
            length = _LENGTH(data, pos + size - 4)[0]
        else:
            size = 8
        stop = pos + size + length
        if stop > len(data):
            raise MalformedError("TRUNCATED", "FileMetaInformation")
        yield 0x00020000 | number, pos, stop
        pos = stop


def inflate(data: bytes, start: int) -> bytes:
    """The data set of the deflated transfer syntax (PS3.5 A.5), bounded in size and ratio.

    Raises:
        MalformedError: INFLATED_TOO_LARGE, TRUNCATED, MALFORMED.
    """
    room = min(MAX_INFLATED, max(FREE_INFLATED, (len(data) - start) * MAX_RATIO))
    engine = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        body = engine.decompress(memoryview(data)[start:], room)
    except zlib.error:
        raise MalformedError("MALFORMED") from None
    if engine.unconsumed_tail:
        raise MalformedError("INFLATED_TOO_LARGE")
    if not engine.eof:
        raise MalformedError("TRUNCATED")
    return body
