"""ICC profiles: rebuilt from their colorimetric numbers, without the texts, dates and device names."""

from __future__ import annotations

import re
import struct

import numpy as np

_NUMBERS = frozenset(
    (b"XYZ ", b"curv", b"para", b"sf32", b"mft1", b"mft2", b"mAB ", b"mBA ", b"chrm", b"view", b"meas")
)
_TAGS = frozenset((b"rXYZ", b"gXYZ", b"bXYZ", b"wtpt", b"bkpt", b"rTRC", b"gTRC", b"bTRC", b"kTRC", b"chad",
                   b"A2B0", b"A2B1", b"A2B2", b"B2A0", b"B2A1", b"B2A2", b"gamt", b"chrm", b"lumi"))  # fmt: skip
_SPACES = re.compile(rb"RGB |GRAY|XYZ |Lab |CMYK|YCbr")
_CLASSES = (b"scnr", b"mntr", b"prtr", b"spac", b"link", b"abst")
_MOST = 8 << 20


def clean(_argument: str, _vr: str, raw: bytes) -> bytes | None:
    """The profile with nothing but numbers in it; None where it is no profile (ICC.1 7)."""
    if len(raw) < 132 or len(raw) > _MOST or raw[36:40] != b"acsp":
        return None
    if raw[12:16] not in _CLASSES or not (_SPACES.fullmatch(raw[16:20]) and _SPACES.fullmatch(raw[20:24])):
        return None
    tags = _tags(raw)
    return None if not tags else _written(raw, tags)


def _tags(raw: bytes) -> list[tuple[bytes, bytes]]:
    """The numeric tags that can be read, by name."""
    (count,) = struct.unpack_from(">L", raw, 128)
    found = []
    for index in range(min(count, 100)):
        if 144 + index * 12 > len(raw):
            return []
        name, offset, size = struct.unpack_from(">4sLL", raw, 132 + index * 12)
        body = raw[offset : offset + size]
        if name in _TAGS and body[:4] in _NUMBERS and len(body) == size and size >= 8 and not _has_text(body):
            found.append((name, body))
    return sorted(found)


def _has_text(body: bytes) -> bool:
    """Whether text follows the type signature of a tag."""
    from curate.deid.grammar import lut
    from curate.deid.pixeldata.lookup_tables import spells

    if body[:4] == b"curv" and len(body) % 2 == 0 and spells(np.frombuffer(body[12:], ">u2").astype("<u2").tobytes()):
        return True
    return body[4:8] != bytes(4) or lut("", "OW", body[8:]) is None


def _written(raw: bytes, tags: list[tuple[bytes, bytes]]) -> bytes:
    header = bytearray(128)
    header[8:12] = bytes((min(raw[8], 4), raw[9] & 0xF0, 0, 0))
    header[12:24] = raw[12:24]
    header[24:36] = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)
    header[36:40] = b"acsp"
    header[67] = raw[67] & 3
    header[68:80] = bytes.fromhex("0000f6d6000100000000d32d")
    tags = [(b"cprt", _text_tag(raw[8], b"cprt")), (b"desc", _text_tag(raw[8], b"desc")), *tags]
    offset = 128 + 4 + 12 * len(tags)
    table, bodies = struct.pack(">L", len(tags)), b""
    for name, body in tags:
        padded = body + bytes(-len(body) % 4)
        table += struct.pack(">4sLL", name, offset + len(bodies), len(body))
        bodies += padded
    header[0:4] = struct.pack(">L", 128 + len(table) + len(bodies))
    return bytes(header) + table + bodies


def _text_tag(version: int, name: bytes) -> bytes:
    """A constant description or copyright in the form of the profile's version."""
    if version >= 4:
        return b"mluc" + bytes(4) + struct.pack(">LL2s2sLL", 1, 12, b"en", b"US", 8, 28) + "none".encode("utf-16-be")
    if name == b"cprt":
        return b"text" + bytes(4) + b"none\0"
    return b"desc" + bytes(4) + struct.pack(">L", 5) + b"none\0" + bytes(8 + 3 + 67)
