"""What `check` proves of a release, from its own bytes alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import duckdb
import pyarrow as pa

from curate.core.errors import DamagedError
from curate.core.findings import Finding, has_errors
from curate.core.progress import Progress, silent
from curate.core.records import CheckResult
from curate.parallel import Workers
from curate.verify.audit import check_attestations
from curate.verify.checks import previews, tables, texts
from curate.verify.checks import seal as sealing
from curate.verify.checks.disclosure import check_disclosure
from curate.verify.checks.faces import check_faces
from curate.verify.checks.instances import check_instances
from curate.verify.checks.pixel_review import check_pixel_review
from curate.verify.checks.pixels import check_pixels
from curate.verify.checks.seal import Seal
from curate.verify.verified_cache import Remembered


def check_release(
    folder: Path,
    *,
    workers: Workers = 1,
    pixels: bool = False,
    progress: Progress = silent,
    known: Remembered | None = None,
) -> list[CheckResult]:
    """All checks of a release folder, in order; a release passes if no finding is an error.

    Packs and previews that `known` remembers are not read again. `pixels`: look for text in every frame again, and for
    faces in the volumes.

    Raises:
        InputError: the folder is no release at all.
    """
    # release.json is in order
    seal, findings = sealing.read(folder)
    results = [CheckResult("seal", "release.json is in order", 1, tuple(findings))]
    if seal is None:
        return results
    # every table obeys the contract: what follows rests on it
    results.append(_guarded(tables.check_contract, seal, "contract"))
    if has_errors(results[-1].findings):
        return [results[0], sealing.check_files(seal), results[1]]
    # every instance has its digest, parses, and obeys the profile
    instances, digests = check_instances(seal, workers, progress, known)
    # every file has its digest, nothing is missing or extra
    results.append(sealing.check_files(seal, digests, known))
    results.append(instances)
    rest: dict[str, Callable[[Seal], CheckResult]] = {
        "joins": tables.check_joins,  # keys join both ways, counts agree, nothing revoked is there
        "digests": texts.check_digests,
        "previews": partial(previews.check_previews, known=known),
        "licenses": texts.check_licenses,
        "texts": texts.check_texts,
        "looks": check_pixel_review,
        "disclosure": check_disclosure,
        "attestations": check_attestations,
    }
    results += [_guarded(check, seal, name) for name, check in rest.items()]
    # on demand: no text in the pixels, no face in the volumes
    looks = (check_pixels, check_faces) if pixels else ()
    return results + [look(seal, workers, progress) for look in looks]


def _guarded(check: Callable[[Seal], CheckResult], seal: Seal, name: str) -> CheckResult:
    """A check that meets what no reader can read says so as a finding."""
    try:
        return check(seal)
    except (duckdb.Error, pa.ArrowException, DamagedError, OSError, ValueError, MemoryError):
        return CheckResult(name, "The tables can be read", 0, (Finding("TABLE_UNREADABLE", name),))
