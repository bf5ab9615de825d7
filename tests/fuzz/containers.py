"""Small containers that ask for much: memory, time, disk."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable

_MANY = 3 << 30


def tar_header(name: bytes, size: bytes, kind: bytes = b"0") -> bytes:
    """One block whose numbers are given as they stand."""
    block = bytearray(512)
    block[:100] = name[:100].ljust(100, b"\0")
    block[100:108], block[124:136], block[156:157] = b"0000644\0", size.ljust(12, b"\0"), kind
    block[257:265], block[148:156] = b"ustar\x0000", b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def _octal(size: int) -> bytes:
    return b"%011o\0" % size if size < 8**11 else b"\x80" + size.to_bytes(11, "big")


def _zeros(compressor: Callable[[], object], before: bytes, count: int) -> bytes:
    """Compressed: `before`, and that many zeros, made in pieces."""
    made = compressor()
    pieces = (before, *[bytes(1 << 24)] * (count >> 24))
    return b"".join([*map(made.compress, pieces), made.flush()])  # type: ignore[attr-defined]


def _repeated_bz2(before: bytes, count: int) -> bytes:
    """Zeros as streams of bzip2 behind each other: 45 bytes for each 16 MB."""
    return bz2.compress(before) + bz2.compress(bytes(1 << 24)) * (count >> 24)


def _zip(data: bytes, method: int, times: int = 1) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as container:
        for number in range(times):
            container.writestr(f"{number}", data)
    return out.getvalue()


def _overlapping(times: int) -> bytes:
    """A zip whose directory names one member again and again."""
    whole = _zip(bytes(60 << 20), zipfile.ZIP_DEFLATED)
    start = whole.index(b"PK\1\2")
    entry = whole[start : whole.index(b"PK\5\6")]
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, times, times, len(entry) * times, start, 0)
    return whole[:start] + entry * times + end


def _pax(records: bytes) -> bytes:
    padded = records + bytes(-len(records) % 512)
    return tar_header(b"x", _octal(len(records)), b"x") + padded


def _sparse(size: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as container:
        info = tarfile.TarInfo("s")
        info.pax_headers = {
            "GNU.sparse.major": "1",
            "GNU.sparse.minor": "0",
            "GNU.sparse.realsize": str(size),
        }
        container.addfile(info)
    return out.getvalue()


HOSTILE: dict[str, Callable[[], bytes]] = {
    "zeros in deflate.zip": lambda: _zip(bytes(70 << 20), zipfile.ZIP_DEFLATED),
    "zeros in bzip2.zip": lambda: _zip(bytes(70 << 20), zipfile.ZIP_BZIP2),
    "zeros in lzma.zip": lambda: _zip(bytes(20 << 20), zipfile.ZIP_LZMA),
    "one member often.zip": lambda: _overlapping(2000),
    "nothing but a name.zip": lambda: b"PK\3\4" + b"A" * 60_000,
    "a directory of nothing.zip": lambda: b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 65535, 65535, 2**32 - 2, 0, 0),
    "size below zero.tar": lambda: tar_header(b"a", b"\xff" * 10 + b"\xfe\x00") + bytes(4096),
    "size of minus one block.tar": lambda: tar_header(b"a", b"-00001000") + bytes(4096),
    "pax size below zero.tar": lambda: _pax(b"14 size=-1024\n") + tar_header(b"a", _octal(0)) + bytes(4096),
    "pax size of many digits.tar": lambda: _pax(b"5009 size=" + b"9" * 4998 + b"\n") + tar_header(b"a", _octal(0)),
    "pax lengths that lie.tar": lambda: _pax(b"999 path=a\n" * 100) + tar_header(b"a", _octal(0)),
    "pax of digits.tar": lambda: _pax(b"1" * 900_000) + tar_header(b"a", _octal(0)),
    "size of all.tar": lambda: tar_header(b"a", _octal(1 << 60)) + bytes(4096),
    "sparse.tar": lambda: _sparse(1 << 50),
    "old sparse.tar": lambda: tar_header(b"a", _octal(1 << 40), b"S") + bytes(4096),
    "long name.tar.bz2": lambda: _repeated_bz2(tar_header(b"a", _octal(_MANY), b"L"), 1 << 30),
    "long name.tar.gz": lambda: _zeros(
        lambda: zlib.compressobj(9, 8, 31), tar_header(b"a", _octal(_MANY), b"L"), 64 << 20
    ),
    "long pax.tar.xz": lambda: lzma.compress(tar_header(b"a", _octal(_MANY), b"x") + bytes(70 << 20), preset=1),
    "zeros to skip.tar.bz2": lambda: _repeated_bz2(tar_header(b"a", _octal(1 << 40), b"1"), 1 << 30),
    "a member of zeros.tar.bz2": lambda: _repeated_bz2(tar_header(b"a", _octal(1 << 40)), 1 << 30),
    "a device before zeros.tar.bz2": lambda: _repeated_bz2(tar_header(b"a", _octal(1 << 40), b"M"), 1 << 30),
    "many holes.tar.bz2": lambda: bz2.compress(tar_header(b"a", _octal(9), b"S") + (b"\1" * 512) * 200_000),
    "damaged.tar.gz": lambda: gzip.compress(tar_header(b"a", _octal(600)) + bytes(100))[:-12],
    "damaged.tar.xz": lambda: lzma.compress(tar_header(b"a", _octal(5000)) + bytes(5120))[:-40],
}
