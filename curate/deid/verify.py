"""The verdict from the released bytes alone: a file is clean if rewriting it would change nothing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from curate.core.findings import Finding, Severity, merge
from curate.deid import profile, rewrite
from curate.deid.pixeldata import container
from curate.deid.records import Report, Rewritten, StudyContext
from curate.dicom import tags
from curate.dicom.dictionary import keyword, step
from curate.dicom.io import reader
from curate.dicom.io.layout_cache import Parsed
from curate.dicom.model import PIXEL_DATA, Bytes, Item, MalformedError
from curate.policies import Policy

_TEMPORAL_INFORMATION = tags.LongitudinalTemporalInformationModified


class Verified(NamedTuple):
    """What the verifier found in a file, and the file's data set as it read it."""

    findings: tuple[Finding, ...]
    dataset: Item


def verify(data: bytes, policy: Policy) -> tuple[Finding, ...]:
    """Everything that the rewriter would change in a file, by rule and keyword path."""
    try:
        parsed = reader.parse(data)
    except MalformedError as error:
        return _refused(error)
    return verify_parsed(parsed, data, policy)


def verify_parsed(parsed: Parsed, data: bytes, policy: Policy) -> tuple[Finding, ...]:
    """The same, of bytes that have been parsed."""
    try:
        return _verified(parsed, data, policy)
    except MalformedError as error:
        return _refused(error)


def _verified(parsed: Parsed, data: bytes, policy: Policy) -> tuple[Finding, ...]:
    context = released_context(parsed.dataset, policy)
    report = Report()
    clean = rewrite.clean_dataset(parsed, context, policy, report)
    made = rewrite.assemble(parsed, clean, report)
    findings = [*parsed.findings, *report.findings, *profile.check_dataset(policy, parsed.dataset)]
    if not same(made.chunks, data):
        findings += differences(parsed, clean.item, data, made.chunks) or [Finding("ENCODING_NOT_CANONICAL")]
    return merge(findings)


def verify_rewritten(rewritten: Rewritten, policy: Policy) -> Verified:
    """The same verdict on what the rewriter has just made, from the bytes that it made.

    Native pixels were looked at a moment ago, in the same memory: asked of them here is that the header, read
    from its bytes, says the same of them. They are neither copied nor read again.
    """
    clean = _clean_header(rewritten.chunks, policy)
    if clean is not None:
        return Verified((), clean)
    data = b"".join(rewritten.chunks)
    try:
        parsed = reader.parse(data)
    except MalformedError as error:
        return Verified(_refused(error), Item())
    return Verified(verify_parsed(parsed, data, policy), parsed.dataset)


def _clean_header(chunks: Sequence[Bytes], policy: Policy) -> Item | None:
    """The data set, where the file is a clean header and native pixels; None: the whole has to be looked at."""
    if len(chunks) != 3 or (pixels := container.native_element(chunks[1], chunks[2])) is None:
        return None
    head, report = bytes(chunks[0]), Report()
    try:
        parsed = reader.parse(head)
        parsed.dataset[pixels.tag] = pixels
        context = released_context(parsed.dataset, policy)
        clean = rewrite.clean_dataset(parsed, context, policy, report)
        if rewrite.header(parsed, clean, encapsulated=False) != head:
            return None
        if not container.describes(clean.item, pixels):
            return None
    except MalformedError:
        return None
    found = parsed.findings or report.findings or profile.check_dataset(policy, parsed.dataset)
    return None if found else parsed.dataset


def _refused(error: MalformedError) -> tuple[Finding, ...]:
    """Why nothing can be said of a file; what intake merely leaves out is an error in a release."""
    finding = Finding(error.rule, tag=error.tag)
    return (finding,) if finding.severity is Severity.ERROR else (Finding("NOT_AN_INSTANCE"), finding)


def released_context(dataset: Item, policy: Policy) -> StudyContext:
    """The context under which a clean file stays as it is: its own pseudonym, its own dates."""
    removed = policy.dates == "remove" or dataset.text(_TEMPORAL_INFORMATION) == "REMOVED"
    return _context(dataset.text(tags.PatientID), None if removed else 0, dataset.text(tags.StudyDate))


@lru_cache(maxsize=256)
def _context(donor_id: str, shift_us: int | None, study_date: str) -> StudyContext:
    return StudyContext(None, donor_id, shift_us, study_date)


def same(chunks: Sequence[Bytes], data: bytes) -> bool:
    """Whether pieces, one after the other, are exactly these bytes."""
    whole, pos = np.frombuffer(data, "u1"), 0
    for chunk in chunks:
        if not np.array_equal(whole[pos : pos + len(chunk)], np.frombuffer(chunk, "u1")):
            return False
        pos += len(chunk)
    return pos == len(data)


def differences(parsed: Parsed, clean: Item, data: bytes, chunks: Sequence[Bytes]) -> list[Finding]:
    """What differs, first among the elements, else in what holds them."""
    findings: list[Finding] = []
    _compare(parsed.dataset, clean, "", findings)
    if any(data[:128]):
        findings.append(Finding("PREAMBLE_NOT_ZERO"))
    head = bytes(chunks[0])
    length = 132 + 12 + int.from_bytes(head[140:144], "little")
    if data[132:length] != head[132:length]:
        findings.append(Finding("META_UNEXPECTED"))
    pixels = b"".join(chunks[1:])
    if PIXEL_DATA in parsed.dataset and not data.endswith(pixels):
        findings.append(Finding("PIXEL_CONTAINER", tag="PixelData"))
    return findings


def _compare(before: Item, after: Item, path: str, findings: list[Finding]) -> None:
    for tag in sorted({*before, *after}):
        if tag >> 16 >= 0x7FE0 and not path:
            continue
        old, new = before.get(tag), after.get(tag)
        place = path + keyword(tag)
        if old is None:
            findings.append(Finding("ATTRIBUTE_MISSING", tag=place))
        elif new is None:
            findings.append(Finding("ATTRIBUTE_NOT_ALLOWED", tag=place))
        elif isinstance(old.value, list) and isinstance(new.value, list):
            if len(old.value) != len(new.value):
                findings.append(Finding("ITEMS_NOT_ALLOWED", tag=place))
            for index, (first, second) in enumerate(zip(old.value, new.value, strict=False)):
                _compare(first, second, f"{path}{step(tag, index)}.", findings)
        elif old != new:
            findings.append(Finding("VALUE_NOT_CLEAN", tag=place))
