"""Check `previews`: every preview is a small PNG that holds the pixels of one series, and nothing else."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from curate import contract
from curate.core.findings import Finding, merge
from curate.core.records import CheckResult
from curate.verify.checks.seal import Seal
from curate.verify.checks.tables import shard_paths
from curate.verify.verified_cache import Remembered, mark

SIDE_PIXELS = 192
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SAMPLES = {0: 1, 2: 3}  # greyscale and truecolour, of 8 bits: what `pixels/render/preview.py` writes


def check_previews(seal: Seal, known: Remembered | None = None) -> CheckResult:
    """Every preview is a small PNG without any text in it."""
    findings: list[Finding] = []
    count = 0
    for path in shard_paths(seal, "previews"):
        held = mark(seal.folder / path, path, "previews")
        if known is not None and known.holds(held):
            count += max(0, rows(seal.folder / path))
            continue
        before = len(findings)
        try:
            for batch in pq.ParquetFile(seal.folder / path).iter_batches(256):
                findings += [Finding(f.rule, path, f.tag, f.count) for f in contract.check_batch("previews", batch)]
                for row in batch.to_pylist():
                    count += 1
                    image = row["image"]
                    if image["path"] != f"{row['SeriesInstanceUID']}.png" or not is_small_png(image["bytes"]):
                        findings.append(Finding("PREVIEW_INVALID", path))
        except (pa.ArrowException, OSError, KeyError, TypeError, ValueError):
            findings.append(Finding("TABLE_UNREADABLE", path))
        if known is not None and held and len(findings) == before:
            known.add(held)
    title = "Every preview is a small PNG with nothing else in it"
    return CheckResult("previews", title, count, merge(findings))


def rows(path: Path) -> int:
    """How many rows a Parquet file has; -1 where it cannot be read."""
    try:
        return int(pq.read_metadata(path).num_rows)
    except (pa.ArrowException, OSError):
        return -1


def is_small_png(data: bytes) -> bool:
    """Whether bytes are a PNG of at most 192 pixels a side and of the chunks that its pixels need, no other.

    The pixels are inflated to the size that the header states and no byte further (PNG 3rd edition, 11.2).
    """
    try:
        chunks = list(_chunks(data))
        (first, head), (last, end) = chunks[0], chunks[-1]
        width, height, depth, color, *methods = struct.unpack(">IIBBBBB", head)
        if (first, last, end) != (b"IHDR", b"IEND", b"") or depth != 8 or color not in _SAMPLES or any(methods):
            return False
        if not (0 < width <= SIDE_PIXELS and 0 < height <= SIDE_PIXELS):
            return False
        if {kind for kind, _ in chunks[1:-1]} != {b"IDAT"}:
            return False
        return _are_rows(b"".join(part for _, part in chunks[1:-1]), 1 + width * _SAMPLES[color], height)
    except (ValueError, IndexError, struct.error, zlib.error):  # False: the answer asked for
        return False


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    if data[:8] != _SIGNATURE:
        raise ValueError("no PNG")
    at = 8
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        content = data[at + 8 : at + 8 + size]
        (check,) = struct.unpack_from(">I", data, at + 8 + size)
        if zlib.crc32(kind + content) != check:
            raise ValueError("a damaged chunk")
        yield kind, content
        at += 12 + size


def _are_rows(packed: bytes, row: int, height: int) -> bool:
    """Whether a zlib stream holds just these rows, each with its filter, and ends there."""
    stream = zlib.decompressobj()
    data = stream.decompress(packed, row * height + 1)
    whole = stream.eof and not stream.unused_data and not stream.unconsumed_tail
    return whole and len(data) == row * height and max(data[::row]) <= 4
