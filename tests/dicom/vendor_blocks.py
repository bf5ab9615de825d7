"""Blocks of vendors' private headers, sound ones and broken ones."""

from __future__ import annotations

import re
import struct
import zlib


def csa(
    fields: dict[str, list[str]],
    *,
    marked: bool = True,
    order: str = "<",
    padding: bytes = b"",
    after: bytes = b"",
    length: int | None = None,
) -> bytes:
    """A CSA header; `padding` fills what its items leave of four bytes and names of 64, `length` is its last item's."""
    made = [b"SV10\4\3\2\1" if marked else b"", struct.pack(order + "II", len(fields), 77)]
    first = max(6, len(next(iter(fields.values()))))
    for place, (name, values) in enumerate(fields.items()):
        raw_name = (name.encode() + b"\0" + padding * 8)[:64].ljust(64, b"\0")
        number = max(6, len(values))
        made.append(struct.pack(order + "64si4siii", raw_name, len(values), b"LO", 19, number, 77))
        for index in range(number):
            value = values[index].encode() + b"\0" + padding if index < len(values) else b""
            size = len(value)
            if length is not None and place == len(fields) - 1 and index == 0:
                size = length
            made.append(struct.pack(order + "4i", size if marked else size + first, size, 77, size))
            made.append(value + (padding * 4 + bytes(4))[: -len(value) % 4])
    return b"".join(made) + bytes(4) + after


def fields_of(raw: bytes) -> dict[str, list[str]]:
    """The fields of a sound header, read without the program's reader."""
    if not raw:
        return {}
    marked = raw.startswith(b"SV10")
    place = 8 if marked else 0
    count, found, first = struct.unpack_from("<I", raw, place)[0], {}, None
    place += 8
    for _ in range(count):
        name, _vm, _vr, _code, number, _sign = struct.unpack_from("<64si4siii", raw, place)
        first = number if first is None else first
        place += 84
        values = []
        for _ in range(number):
            shifted, size = struct.unpack_from("<ii", raw, place)
            size = size if marked else shifted - first
            place += 16
            if size:
                values.append(raw[place : place + size].split(b"\0")[0].decode())
            place += (size + 3) // 4 * 4
        found[name.split(b"\0")[0].decode()] = values
    return found


def planted(raw: bytes, token: str) -> bytes:
    """A header with a token over each run of text that has room for it, and after its end."""
    planted_text = token.encode()

    def put(match: re.Match[bytes]) -> bytes:
        return match[1] + planted_text + match[2][len(planted_text) :]

    return re.sub(rb"(\x4d\0\0\0....)([A-Za-z0-9 .+;_-]{10,})", put, raw, flags=re.S) + planted_text


def ge_protocol(text: bytes, *, name: bytes = b"", level: int = 9) -> bytes:
    """A protocol data block; `name` is that of the file in its compressed header."""
    packer = zlib.compressobj(level, wbits=-15)
    body = packer.compress(text) + packer.flush()
    flags = b"\x08" if name else b"\0"
    head = b"\x1f\x8b\x08" + flags + b"\1\2\3\4\0\3" + (name + b"\0" if name else b"")
    member = head + body + struct.pack("<II", zlib.crc32(text), len(text) & 0xFFFFFFFF)
    return struct.pack("<I", len(member)) + member + bytes(len(member) % 2)


def ge_raw_header(*, version: float, flipped: bool = False, fill: bytes = b"") -> bytes:
    """A raw header of EPI."""
    start = 44
    raw = bytearray((fill * 200)[:1600].ljust(1600, b"\0"))
    struct.pack_into("<H", raw, 24, start)
    struct.pack_into("<f", raw, start, version)
    base = start + (0x4C if version >= 25.002 else 0)
    struct.pack_into("<H", raw, base + 0x3A, 0x800)
    struct.pack_into("<H", raw, base + 0x30, 4 if flipped else 0)
    order = 0x394 - (0x8C if version >= 25.002 else 0)
    struct.pack_into("<H", raw, base + order, 0)
    return bytes(raw)
