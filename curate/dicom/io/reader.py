"""Bytes to elements, whatever the transfer syntax: explicit, implicit, big-endian, deflated and encapsulated."""

from __future__ import annotations

import zlib

from curate.core.findings import Finding
from curate.dicom.io import layout_cache
from curate.dicom.io.character_sets import DEFAULT
from curate.dicom.io.elements import Source, read_elements, source_of
from curate.dicom.io.file_meta import DEFLATED, MAX_RATIO, Head, inflate, read_head
from curate.dicom.io.layout_cache import Parsed
from curate.dicom.io.vr_inference import infer_vrs
from curate.dicom.model import Item, MalformedError


def parse(data: bytes) -> Parsed:
    """The content of one file.

    Raises:
        MalformedError: NOT_DICOM, TRUNCATED, MALFORMED, TOO_DEEP, TOO_MANY_ELEMENTS, INFLATED_TOO_LARGE.
    """
    return layout_cache.follow(data, whole=True) or _read(data)


def _read(data: bytes) -> Parsed:
    """The content of a file that is laid out like none before it."""
    head = read_head(data)
    body, start, findings = data, head.start, list(head.findings)
    if head.syntax == DEFLATED:
        body, start = inflate(data, head.start), 0
    source = source_of(body, little=head.little)
    dataset = Item(encodings=DEFAULT)
    read_elements(source, start, len(body), head.explicit, dataset, 0, ends_with=0)
    if source.trailing:
        findings.append(Finding("TRAILING_BYTES"))
    infer_vrs(dataset, source.ambiguous, little=source.little)
    known = None if findings else _learned(data, head, source, dataset)
    return Parsed(head.meta, dataset, head.syntax, tuple(findings), known)


def peek(data: bytes, last: int) -> Parsed:
    """The elements up to tag `last`, at least, of a file of which only the first bytes are known.

    Raises:
        MalformedError: TRUNCATED where these bytes end before; else as `parse` does.
    """
    parsed = layout_cache.follow(data, whole=False)
    return parsed if parsed is not None and max(parsed.dataset) >= last else _read_first(data, last)


def _read_first(data: bytes, last: int) -> Parsed:
    head = read_head(data)
    body, start = data, head.start
    if head.syntax == DEFLATED:
        engine = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            body, start = engine.decompress(data[head.start :], MAX_RATIO * len(data)), 0
        except zlib.error:
            raise MalformedError("MALFORMED") from None
    source = source_of(body, little=head.little)
    item = Item(encodings=DEFAULT)
    try:
        read_elements(source, start, len(body), head.explicit, item, 0, ends_with=0)
    except MalformedError as error:
        if error.rule != "TRUNCATED" or max(item, default=0) < last:
            raise
    known = None if head.findings else _learned(data, head, source, item)
    return Parsed(head.meta, item, head.syntax, head.findings, known)


def _learned(data: bytes, head: Head, source: Source, item: Item) -> layout_cache.SeriesLayout | None:
    """The track of a file in explicit little endian about whose elements nothing is open."""
    plain = source.data is data and head.explicit and head.little and not source.ambiguous
    return layout_cache.learn(data, head, source.spans, item) if plain else None
