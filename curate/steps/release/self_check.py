"""A release is checked before it gets its place: what its own `check` would refuse is never there to be published."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from curate.archive.repository import Archive
from curate.core.errors import RefusedError, quoted
from curate.core.findings import Finding, Severity
from curate.core.progress import Progress
from curate.parallel import Workers
from curate.verify import culprits, verified_cache
from curate.verify.checks import seal as sealing
from curate.verify.release import check_release
from curate.verify.verified_cache import Remembered

_NAMED = 3


def refuse_unsound(archive: Archive, folder: Path, workers: Workers, progress: Progress) -> None:
    """Hold a finished folder to all that `check` asks; packs that passed before and did not change are not read.

    What passes is remembered, so that `publish` does not read it again.

    Raises:
        RefusedError: it does not pass; which studies are to blame, and the command that takes them out.
    """
    place = archive.root / verified_cache.NAME
    known = Remembered.read(place)
    results = check_release(folder, workers=workers, progress=progress, known=known)
    errors = [f for result in results for f in result.findings if f.severity is Severity.ERROR]
    if errors:
        raise _refusal(archive, folder, errors)
    known.keep(place)


def _refusal(archive: Archive, folder: Path, errors: list[Finding]) -> RefusedError:
    """What is wrong, in which studies, and what to do."""
    counts = Counter(finding.rule for finding in errors)
    told = ", ".join(f"{code} ({count:,})" for code, count in sorted(counts.items()))
    seal, _ = sealing.read(folder)
    studies = culprits.studies_of(seal, errors) if seal is not None else []
    if not studies:
        hint = f"Nothing was cut. Look for damage: curate doctor {quoted(archive.root)}; if there is none, report this."
        return RefusedError(f"The release would not pass its own check: {told}.", hint=hint)
    named = ", ".join(studies[:_NAMED]) + (f" and {len(studies) - _NAMED:,} more" if len(studies) > _NAMED else "")
    return RefusedError(
        f"The release would not pass its own check: {told}, in study {named}.",
        hint="Nothing was cut. Send it again from its source under right UIDs and dates, and take this one out: "
        f"curate withdraw {quoted(archive.root)} {quoted(studies[0])}",
    )
