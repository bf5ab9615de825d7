"""GE's protocol data block (0025,xx1B), text in gzip, and the flags of its raw header (0043,xx2A).

The block has its length in front. It is written anew without compression, so that it is the same bytes everywhere.
"""

from __future__ import annotations

import math
import re
import struct
import zlib
from functools import cache, lru_cache

from curate.deid import grammar
from curate.deid.vendor import forms

_LARGEST = 1 << 20  # bytes of the block, and of its text
_LINE = re.compile(rb'^(?:set )?([A-Z][A-Z0-9_]{0,30}) "([^"\r\n]{0,200})"\s*$', re.M)
_GZIP = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
_LENGTH = struct.Struct("<I")
# Offsets in the raw header, after its own start at (24,2): GE's public examples in dcm2niix's documentation.
_START, _RAW_OFFSET = 24, 28
_EPI, _POLARITY, _ORDER = 0x3A, 0x30, 0x394
_IS_EPI, _IS_FLIPPED = 0x800, 0x4
_LATER, _LATER_BY, _LATER_ORDER = 25.002, 0x4C, 0x8C
_RAW_SIZE = 0x394 + 2


@cache
def keys() -> dict[str, tuple[str, str]]:
    """The known keys of the protocol: grammar, and what each says."""
    return {entry["key"]: (entry["grammar"], entry["why"]) for entry in grammar.data("vendor_fields.json")["ge"]}


@lru_cache(maxsize=64)
def protocol(_argument: str, vr: str, raw: bytes) -> bytes | None:
    """The protocol data block of the keys that are known; empty where none is, None: no such block."""
    if vr != "OB" or not raw:
        return None if raw else b""
    text = _inflated(raw)
    if text is None:
        return None
    kept: dict[bytes, bytes] = {}
    for match in _LINE.finditer(text):
        known = keys().get(match[1].decode("ascii"))
        value = _value(known[0], match[2]) if known else b""
        if value and match[1] not in kept:
            kept[match[1]] = value
    lines = b"".join(b'%s "%s"\n' % line for line in kept.items())
    return _deflated(lines) if lines else b""


def _inflated(raw: bytes) -> bytes | None:
    if not 4 < len(raw) <= _LARGEST or _LENGTH.unpack_from(raw)[0] > len(raw) - 4:
        return None
    opened = zlib.decompressobj(wbits=31)
    try:
        text = opened.decompress(raw[4 : 4 + _LENGTH.unpack_from(raw)[0]], _LARGEST)
    except zlib.error:  # not of the form: its caller says so
        return None
    return text if opened.eof else None


def _deflated(text: bytes) -> bytes:
    """A gzip member of one stored block (RFC 1951 3.2.4), which the text of the known keys fits in."""
    stored = b"\1" + struct.pack("<HH", len(text), len(text) ^ 0xFFFF) + text
    member = _GZIP + stored + struct.pack("<II", zlib.crc32(text), len(text))
    return grammar.even(_LENGTH.pack(len(member)) + member, b"\0")


def _value(rule: str, raw: bytes) -> bytes:
    name, argument = grammar.parse_grammar(rule)
    text = raw.decode("ascii", "replace").strip()
    if name == "num":
        return (grammar.number(argument, "DS", text.encode()) or b"").strip()
    parts = [part.strip() for part in text.split(",")]
    return ", ".join(part for part in parts if forms.is_of(argument, part)).encode()


def raw_header(_argument: str, vr: str, raw: bytes) -> bytes | None:
    """The raw header of its version, and of the flags for EPI, phase polarity and order of views; all else is zero."""
    if vr != "OB" or not raw:
        return None if raw else b""
    start = int.from_bytes(raw[_START : _START + 2], "little")
    if len(raw) < start + _RAW_SIZE or len(raw) > _LARGEST or start < _START + 2:
        return None
    version = struct.unpack_from("<f", raw, start)[0]
    if not math.isfinite(version) or not 5 <= version <= 40:
        return None
    later = version >= _LATER
    base, order = (_LATER_BY, _ORDER - _LATER_ORDER) if later else (0, _ORDER)
    made = bytearray(_RAW_OFFSET + _RAW_SIZE + (-(_RAW_OFFSET + _RAW_SIZE) % 2))
    struct.pack_into("<H", made, _START, _RAW_OFFSET)
    struct.pack_into("<f", made, _RAW_OFFSET, 26.0 if later else 24.0)  # before or after the offsets changed
    for place, mask in ((_EPI, _IS_EPI), (_POLARITY, _IS_FLIPPED)):
        flag = int.from_bytes(raw[start + base + place : start + base + place + 2], "little") & mask
        struct.pack_into("<H", made, _RAW_OFFSET + base + place, flag)
    views = int.from_bytes(raw[start + base + order : start + base + order + 2], "little")
    struct.pack_into("<H", made, _RAW_OFFSET + base + order, views if views <= 2 else 0)
    return bytes(made)
