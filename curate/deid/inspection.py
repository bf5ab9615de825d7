"""The verdict on anybody's file, not only on a released one: all that the rules object to, and what it looks like."""

from __future__ import annotations

from curate.core.findings import Finding, Severity, has_errors, merge
from curate.deid import profile, rewrite
from curate.deid.cleaner import Clean
from curate.deid.identifier_patterns import item_alarms
from curate.deid.records import Report
from curate.deid.verify import differences, released_context, same
from curate.dicom import tags
from curate.dicom.io import reader
from curate.dicom.io.layout_cache import Parsed
from curate.dicom.model import Item, MalformedError
from curate.policies import Policy

_OWN_UIDS = (tags.StudyInstanceUID, tags.SeriesInstanceUID, tags.SOPInstanceUID)


def inspect_bytes(data: bytes, policy: Policy) -> tuple[Finding, ...]:
    """What the rewriter would change, the direct identifiers among it, and alarms on what it would change.

    What the rules let pass raises no alarm: it passed a grammar that holds no person's words.

    Raises:
        MalformedError: NOT_DICOM, or bytes that cannot be parsed.
    """
    parsed = reader.parse(data)
    found = _objections(parsed, data, policy)
    if not has_errors(found):
        return merge(found)
    objected = [f.tag for f in found if f.severity is Severity.ERROR and f.tag]
    whole = any(f.rule == "NOT_AN_INSTANCE" or f.tag in ("", "SOPClassUID") for f in found if has_errors([f]))
    alarms = [f for f in item_alarms(parsed.dataset) if whole or _within(f.tag, objected)]
    return merge([*found, *profile.direct_identifiers(parsed.dataset), *alarms])


def _within(tag: str, objected: list[str]) -> bool:
    return any(tag == path or tag.startswith((f"{path}[", f"{path}.")) for path in objected)


def _objections(parsed: Parsed, data: bytes, policy: Policy) -> list[Finding]:
    report = Report()
    context = released_context(parsed.dataset, policy)
    try:
        item = rewrite.clean_dataset(parsed, context, policy, report).item
    except MalformedError as error:
        return [*parsed.findings, *_refused(error)]
    found = [*parsed.findings, *report.findings, *profile.check_dataset(policy, parsed.dataset)]
    _lend_uids(parsed.dataset, item)
    try:
        chunks = rewrite.assemble(parsed, Clean(item, None), report).chunks
    except MalformedError as error:
        return [*found, *_refused(error), *differences(parsed, item, data, (data,))]
    if not same(chunks, data):
        found += differences(parsed, item, data, chunks) or [Finding("ENCODING_NOT_CANONICAL")]
    return found


def _lend_uids(original: Item, clean: Item) -> None:
    """A file with another's UIDs is compared as if they were keyed; UID_NOT_KEYED says that they are not."""
    for tag in _OWN_UIDS:
        if tag in original and not clean.text(tag):
            clean[tag] = original[tag]


def _refused(error: MalformedError) -> list[Finding]:
    finding = Finding(error.rule, tag=error.tag)
    return [finding] if finding.severity is Severity.ERROR else [Finding("NOT_AN_INSTANCE"), finding]
