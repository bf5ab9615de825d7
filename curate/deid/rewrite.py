"""One file in, one clean file out: the cleaner's data set and the pixels, as bytes."""

from __future__ import annotations

from curate.core.findings import Finding, Severity
from curate.core.remote import LARGEST_WHOLE
from curate.deid import analysis_critical_attributes, local_time, profile
from curate.deid.cleaner import Clean, cleaner_of
from curate.deid.pixeldata import container, lookup_tables
from curate.deid.pseudonyms import is_new_uid
from curate.deid.records import Report, Rewritten, StudyContext
from curate.deid.renumbering import renumbered
from curate.dicom import tags
from curate.dicom.dictionary import keyword
from curate.dicom.io import writer
from curate.dicom.io.layout_cache import Parsed
from curate.dicom.io.reader import parse
from curate.dicom.model import SPECIFIC_CHARACTER_SET, Bytes, Fragments, Item, MalformedError
from curate.policies import Policy

_DIRECTORY_RECORDS = tags.DirectoryRecordSequence
# What an instance is known by: each must come out as one keyed UID, whatever was there.
_IDENTITY = {
    tags.SOPInstanceUID: "INSTANCE_UID_MISSING",
    tags.StudyInstanceUID: "STUDY_UID_MISSING",
    tags.SeriesInstanceUID: "SERIES_UID_MISSING",
}


def rewrite(data: bytes, context: StudyContext, policy: Policy) -> Rewritten:
    """The clean form of one file.

    Raises:
        MalformedError: the rule by which it is refused.
    """
    return rewrite_parsed(parse(data), context, policy)


def rewrite_parsed(parsed: Parsed, context: StudyContext, policy: Policy) -> Rewritten:
    """The clean form of what has been parsed.

    Raises:
        MalformedError: the rule by which it is refused.
    """
    report = Report(findings=list(parsed.findings))
    clean = clean_dataset(parsed, context, policy, report)
    if context.numbering is not None:
        item = renumbered(context.numbering, parsed.dataset, clean.item)
        clean = clean if item is clean.item else Clean(item, None)
    made = assemble(parsed, clean, report)
    numbers = profile.own_numbers(context.names)
    if numbers and any(map(bytes(made.chunks[0]).__contains__, numbers)):
        coarse = profile.without_numbers(clean.item, numbers)
        return made if coarse is clean.item else assemble(parsed, Clean(coarse, None), report)
    return made


def clean_dataset(parsed: Parsed, context: StudyContext, policy: Policy, report: Report) -> Clean:
    """The clean data set, all but its pixels.

    Raises:
        MalformedError: the instance is refused, as a whole or since it would be read otherwise than before.
    """
    if _DIRECTORY_RECORDS in parsed.dataset:
        raise MalformedError("DICOMDIR")
    cleaner = cleaner_of(policy, context, local_time.offset_of(parsed.dataset))
    found = cleaner.of_dataset(profile.admit_sop_class, parsed.dataset)
    if found is not None:
        if found.severity is Severity.ERROR:
            raise MalformedError(found.rule, found.tag)
        report.findings.append(found)
    clean = cleaner.clean_dataset(parsed, report)
    fault = cleaner.of_dataset(lookup_tables.palette_fault, clean.item)
    if fault is not None:
        raise MalformedError(fault.rule, fault.tag)
    if (
        lost := next((f for f in report.findings if f.rule == analysis_critical_attributes.READ_OTHERWISE), None)
    ) is not None:
        raise MalformedError(lost.rule, lost.tag)
    if (removed := lookup_tables.removed(parsed.dataset, clean.item)) is not None:
        report.findings.append(removed)
    if context.keys is not None:  # to who admits, by what came in: the clean header may not name a region any more
        report.findings.extend(cleaner.of_dataset(_risks, parsed.dataset))
    return clean


def _risks(_policy: Policy, item: Item) -> tuple[Finding, ...]:
    return profile.pixel_risks(item)


def assemble(parsed: Parsed, clean: Clean, report: Report) -> Rewritten:
    """The bytes of a clean data set together with the pixels of the original."""
    original, item = parsed.dataset, clean.item
    tag = next((tag for tag in container.PIXELS if tag in original), None)
    pixels = None
    encapsulated = False
    if tag is not None:
        encapsulated = isinstance(original[tag].value, Fragments)
        item = container.restated(clean.item, original[tag], parsed.transfer_syntax)
        if item is not clean.item:
            clean = Clean(item, None)
            report.count("PHOTOMETRIC_RESTATED")
        pixels = container.clean_pixels(item, original[tag], parsed.transfer_syntax)
        for what in pixels.applied:
            report.count(what)
    chunks: list[Bytes] = [
        header(parsed, clean, encapsulated=encapsulated),
        *(pixels.chunks if pixels else ()),
    ]
    if (size := sum(map(len, chunks))) > LARGEST_WHOLE:
        raise MalformedError("INSTANCE_TOO_LARGE")
    return Rewritten(
        chunks=tuple(chunks),
        size=size,
        study_uid=item.text(tags.StudyInstanceUID),
        series_uid=item.text(tags.SeriesInstanceUID),
        sop_instance_uid=item.text(tags.SOPInstanceUID),
        sop_class_uid=item.text(tags.SOPClassUID),
        transfer_syntax=container.output_syntax(parsed.transfer_syntax, encapsulated=encapsulated),
        frames=pixels.frames if pixels else 0,
        applied=report.applied,
        findings=tuple(report.findings),
    )


def header(parsed: Parsed, clean: Clean, *, encapsulated: bool) -> bytes:
    """All bytes of a clean file that come before its pixels."""
    item, body = clean
    syntax = container.output_syntax(parsed.transfer_syntax, encapsulated=encapsulated)
    sop_class = item.text(tags.SOPClassUID)
    if not sop_class:
        raise MalformedError("INSTANCE_UID_MISSING", "SOPClassUID")
    for uid_tag, rule in _IDENTITY.items():
        if not is_new_uid(item.text(uid_tag)):
            raise MalformedError(rule, keyword(uid_tag))
    return writer.file_head(sop_class, item.text(tags.SOPInstanceUID), syntax) + (body or _encoded(item))


def _encoded(item: Item) -> bytes:
    """The encoded data set; nothing that follows pixels is ever kept, so they come last."""
    body = writer.encode_elements(item)
    if writer.is_wide(item):
        item.put(SPECIFIC_CHARACTER_SET, "CS", b"ISO_IR 192")
        body = writer.encode_elements(item)
    return body
