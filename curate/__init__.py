"""curate: cut and publish open releases of donated, anonymised medical images.

The public functions and records: all that a notebook needs. Each is imported when it is first used, so that
`import curate` stays quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from curate.errors import CurateError as CurateError
    from curate.findings import Finding as Finding
    from curate.findings import Severity as Severity
    from curate.records import ArchiveInfo as ArchiveInfo
    from curate.records import CheckResult as CheckResult
    from curate.steps.approve import approve as approve
    from curate.steps.check import check as check
    from curate.steps.init import init as init
    from curate.steps.intake import IntakeReport as IntakeReport
    from curate.steps.intake import intake as intake
    from curate.steps.publish import Publication as Publication
    from curate.steps.publish import publish as publish
    from curate.steps.quarantine import waiting as waiting
    from curate.steps.release import Cut as Cut
    from curate.steps.release import release as release

_HOME = {
    "ArchiveInfo": "curate.records",
    "CheckResult": "curate.records",
    "CurateError": "curate.errors",
    "Cut": "curate.steps.release",
    "Finding": "curate.findings",
    "IntakeReport": "curate.steps.intake",
    "Publication": "curate.steps.publish",
    "Severity": "curate.findings",
    "approve": "curate.steps.approve",
    "check": "curate.steps.check",
    "init": "curate.steps.init",
    "intake": "curate.steps.intake",
    "publish": "curate.steps.publish",
    "release": "curate.steps.release",
    "waiting": "curate.steps.quarantine",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    """Import a public name from its home."""
    if name not in _HOME:
        raise AttributeError(f"module 'curate' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
