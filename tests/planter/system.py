"""The program under attack: one file in, the released file or a refusal out, and all that was said."""

from __future__ import annotations

import contextlib
import io
import logging
import traceback
import warnings
from dataclasses import dataclass, replace

from curate.core.findings import Finding, Severity, has_errors, rules
from curate.deid.direct_identifiers import identifying_words
from curate.deid.pseudonyms import donor_id
from curate.deid.records import StudyContext
from curate.deid.renumbering import numbers, of_study
from curate.deid.rewrite import rewrite
from curate.deid.verify import released_context, verify
from curate.dicom.io.reader import parse
from curate.dicom.model import MalformedError
from curate.donation.header_scan import scan
from curate.donation.series_grouping import study_context
from curate.keys.derivation import Keys
from curate.policies import Policy

SECRET = bytes(range(32))
KEYS = Keys.from_secret(SECRET)
# Everything that the policy can refuse is allowed here: the attack wants to get through.
POLICY = replace(Policy(), secondary_capture="allow", burned_in="allow", head="allow", dental_and_fetal="allow")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file: `released` is None where it was refused by the code `refusal`."""

    released: bytes | None
    refusal: str
    findings: tuple[Finding, ...]
    said: bytes  # findings, logs, warnings, output, tracebacks


def context_of(data: bytes, policy: Policy = POLICY) -> StudyContext:
    """The context that intake would give to a study of this one file."""
    found = scan(io.BytesIO(data), len(data), KEYS)
    names: frozenset[str] = frozenset()
    with contextlib.suppress(MalformedError):
        names = identifying_words(parse(data).dataset)
    made = study_context(KEYS, donor_id(KEYS, "donor of the attack"), found.earliest, None, policy, names)
    return replace(made, numbering=of_study([numbers(found)], names))


def attack(data: bytes, policy: Policy = POLICY, context: StudyContext | None = None) -> Outcome:
    """Rewrite one file; anything but a release or a coded refusal is an error of the program."""
    output = io.StringIO()
    handler = logging.StreamHandler(output)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    released, refusal, findings = None, "", ()
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            with warnings.catch_warnings(record=True) as raised:
                warnings.simplefilter("always")
                made = rewrite(data, context or context_of(data, policy), policy)
                released, findings = b"".join(made.chunks), tuple(made.findings)
                print(made.applied, repr(made))  # noqa: T201
            print(*[str(one.message) for one in raised])  # noqa: T201
    except MalformedError as error:
        refusal = error.rule
        output.write("".join(traceback.format_exception(error)) + repr(error))
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    output.write(repr(findings))
    return Outcome(released, refusal, findings, output.getvalue().encode("utf-8", "surrogatepass"))


def refused_by_code(outcome: Outcome) -> bool:
    """Whether a file that was not released has a rule's code for that."""
    return outcome.released is not None or outcome.refusal in rules()


def noticed(data: bytes, policy: Policy = POLICY) -> bool:
    """Whether the checker objects, so that `check` would fail."""
    return has_errors(verify(data, policy))


def objections(data: bytes, policy: Policy = POLICY) -> tuple[Finding, ...]:
    """What the checker finds, notes left out."""
    return tuple(one for one in verify(data, policy) if one.severity is not Severity.NOTE)


def unchanged(data: bytes, policy: Policy = POLICY) -> bool:
    """Whether rewriting a file under its own pseudonym and dates gives the file itself."""
    again = rewrite(data, released_context(parse(data).dataset, policy), policy)
    return b"".join(again.chunks) == data
