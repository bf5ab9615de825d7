"""curate: cut and publish open releases of donated, anonymised medical images.

The public functions and records: all that a notebook needs. Each is imported when it is first used, so that
`import curate` stays quick.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from curate.core import telemetry

if TYPE_CHECKING:
    from curate.archive.ledger import QuarantineEntry as QuarantineEntry
    from curate.core.errors import CurateError as CurateError
    from curate.core.findings import Finding as Finding
    from curate.core.findings import Severity as Severity
    from curate.core.records import ArchiveInfo as ArchiveInfo
    from curate.core.records import CheckResult as CheckResult
    from curate.loading.feature import Dicom as Dicom
    from curate.loading.fetch import Fetched as Fetched
    from curate.loading.fetch import fetch as fetch
    from curate.loading.images import dicom as dicom
    from curate.loading.iterate import volumes as volumes
    from curate.loading.load import RecutWarning as RecutWarning
    from curate.loading.load import load as load
    from curate.loading.segmentation import Segmentation as Segmentation
    from curate.loading.segmentation import segmentation as segmentation
    from curate.loading.volume import Volume as Volume
    from curate.loading.volume import volume as volume
    from curate.metadata.table import vocabulary as vocabulary
    from curate.steps.about import Citation as Citation
    from curate.steps.about import ColumnInfo as ColumnInfo
    from curate.steps.about import ReleaseInfo as ReleaseInfo
    from curate.steps.about import VersionInfo as VersionInfo
    from curate.steps.about import cite as cite
    from curate.steps.about import columns as columns
    from curate.steps.about import info as info
    from curate.steps.about import versions as versions
    from curate.steps.adopt import Adoption as Adoption
    from curate.steps.adopt import adopt as adopt
    from curate.steps.approve import approve as approve
    from curate.steps.audit import audit as audit
    from curate.steps.check import check as check
    from curate.steps.deidentify import DeidentifyReport as DeidentifyReport
    from curate.steps.deidentify import deidentify as deidentify
    from curate.steps.diff import Diff as Diff
    from curate.steps.diff import TableDiff as TableDiff
    from curate.steps.diff import diff as diff
    from curate.steps.doctor import Health as Health
    from curate.steps.doctor import doctor as doctor
    from curate.steps.init import init as init
    from curate.steps.inspect import Verdict as Verdict
    from curate.steps.inspect import inspect as inspect
    from curate.steps.intake import IntakeReport as IntakeReport
    from curate.steps.intake import intake as intake
    from curate.steps.keys import Key as Key
    from curate.steps.keys import new_key as new_key
    from curate.steps.keys import rotate_key as rotate_key
    from curate.steps.keys import show_key as show_key
    from curate.steps.ledger import History as History
    from curate.steps.ledger import LedgerLine as LedgerLine
    from curate.steps.ledger import ledger as ledger
    from curate.steps.publish import Publication as Publication
    from curate.steps.publish import publish as publish
    from curate.steps.purge import Purge as Purge
    from curate.steps.purge import purge as purge
    from curate.steps.quarantine import Decision as Decision
    from curate.steps.quarantine import Kept as Kept
    from curate.steps.quarantine import decide as decide
    from curate.steps.quarantine import discard as discard
    from curate.steps.quarantine import export as export
    from curate.steps.quarantine import paths as paths
    from curate.steps.quarantine import show as show
    from curate.steps.quarantine import waiting as waiting
    from curate.steps.recall import Recall as Recall
    from curate.steps.recall import recall as recall
    from curate.steps.reject import reject as reject
    from curate.steps.release import Cut as Cut
    from curate.steps.release import Plan as Plan
    from curate.steps.release import release as release
    from curate.steps.release import release_plan as release_plan
    from curate.steps.report import Report as Report
    from curate.steps.report import report as report
    from curate.steps.review import Review as Review
    from curate.steps.review import review as review
    from curate.steps.risk import RiskReport as RiskReport
    from curate.steps.risk import risk as risk
    from curate.steps.sheet import sheet as sheet
    from curate.steps.status import Status as Status
    from curate.steps.status import status as status
    from curate.steps.trust import Pin as Pin
    from curate.steps.trust import add_trust as add_trust
    from curate.steps.trust import list_trust as list_trust
    from curate.steps.trust import remove_trust as remove_trust
    from curate.steps.unseal import receipts as receipts
    from curate.steps.unseal import unseal as unseal
    from curate.steps.verify_copy import CopyReport as CopyReport
    from curate.steps.verify_copy import delete_revoked as delete_revoked
    from curate.steps.verify_copy import verify_copy as verify_copy
    from curate.steps.withdraw import Withdrawal as Withdrawal
    from curate.steps.withdraw import withdraw as withdraw
    from curate.verify.checks.disclosure import ReleaseRisk as ReleaseRisk
    from curate.verify.checks.disclosure import release_risk as release_risk

_HOME = {
    "Adoption": "curate.steps.adopt",
    "ArchiveInfo": "curate.core.records",
    "CheckResult": "curate.core.records",
    "Citation": "curate.steps.about",
    "ColumnInfo": "curate.steps.about",
    "CopyReport": "curate.steps.verify_copy",
    "CurateError": "curate.core.errors",
    "Cut": "curate.steps.release",
    "DeidentifyReport": "curate.steps.deidentify",
    "Dicom": "curate.loading.feature",
    "Diff": "curate.steps.diff",
    "Fetched": "curate.loading.fetch",
    "Finding": "curate.core.findings",
    "Health": "curate.steps.doctor",
    "History": "curate.steps.ledger",
    "IntakeReport": "curate.steps.intake",
    "Decision": "curate.steps.quarantine",
    "Kept": "curate.steps.quarantine",
    "Key": "curate.steps.keys",
    "LedgerLine": "curate.steps.ledger",
    "Publication": "curate.steps.publish",
    "Pin": "curate.steps.trust",
    "Purge": "curate.steps.purge",
    "Plan": "curate.steps.release",
    "QuarantineEntry": "curate.archive.ledger",
    "Recall": "curate.steps.recall",
    "RecutWarning": "curate.loading.load",
    "Report": "curate.steps.report",
    "ReleaseInfo": "curate.steps.about",
    "ReleaseRisk": "curate.verify.checks.disclosure",
    "Review": "curate.steps.review",
    "RiskReport": "curate.steps.risk",
    "Segmentation": "curate.loading.segmentation",
    "Severity": "curate.core.findings",
    "Status": "curate.steps.status",
    "TableDiff": "curate.steps.diff",
    "Verdict": "curate.steps.inspect",
    "VersionInfo": "curate.steps.about",
    "Volume": "curate.loading.volume",
    "Withdrawal": "curate.steps.withdraw",
    "adopt": "curate.steps.adopt",
    "approve": "curate.steps.approve",
    "add_trust": "curate.steps.trust",
    "audit": "curate.steps.audit",
    "check": "curate.steps.check",
    "cite": "curate.steps.about",
    "columns": "curate.steps.about",
    "deidentify": "curate.steps.deidentify",
    "delete_revoked": "curate.steps.verify_copy",
    "dicom": "curate.loading.images",
    "diff": "curate.steps.diff",
    "decide": "curate.steps.quarantine",
    "discard": "curate.steps.quarantine",
    "doctor": "curate.steps.doctor",
    "export": "curate.steps.quarantine",
    "fetch": "curate.loading.fetch",
    "info": "curate.steps.about",
    "init": "curate.steps.init",
    "inspect": "curate.steps.inspect",
    "intake": "curate.steps.intake",
    "ledger": "curate.steps.ledger",
    "list_trust": "curate.steps.trust",
    "load": "curate.loading.load",
    "new_key": "curate.steps.keys",
    "paths": "curate.steps.quarantine",
    "publish": "curate.steps.publish",
    "purge": "curate.steps.purge",
    "recall": "curate.steps.recall",
    "receipts": "curate.steps.unseal",
    "reject": "curate.steps.reject",
    "release": "curate.steps.release",
    "release_plan": "curate.steps.release",
    "release_risk": "curate.verify.checks.disclosure",
    "remove_trust": "curate.steps.trust",
    "report": "curate.steps.report",
    "review": "curate.steps.review",
    "risk": "curate.steps.risk",
    "rotate_key": "curate.steps.keys",
    "segmentation": "curate.loading.segmentation",
    "sheet": "curate.steps.sheet",
    "show_key": "curate.steps.keys",
    "status": "curate.steps.status",
    "unseal": "curate.steps.unseal",
    "verify_copy": "curate.steps.verify_copy",
    "versions": "curate.steps.about",
    "vocabulary": "curate.metadata.table",
    "volume": "curate.loading.volume",
    "volumes": "curate.loading.iterate",
    "show": "curate.steps.quarantine",
    "waiting": "curate.steps.quarantine",
    "withdraw": "curate.steps.withdraw",
}
__all__ = sorted(_HOME)
telemetry.off()  # here, since nothing of curate is imported before it


def __getattr__(name: str) -> Any:
    """Import a public name from its home."""
    if name not in _HOME:
        raise AttributeError(f"module 'curate' has no attribute {name!r}")
    if sys.platform == "win32":
        from curate.core.errors import UNSUPPORTED

        raise ImportError(UNSUPPORTED)
    found = getattr(import_module(_HOME[name]), name)
    if isinstance(found, FunctionType):
        from curate.core.path_arguments import forgiving

        found = forgiving(found)
    return found


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])


class _Public(ModuleType):
    """A public function wins over a room of its name: `curate.dicom(row)`, and `from curate.dicom import ...`."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOME and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Public
