"""`curate intake`: scan, verify, then admit or quarantine every study of a donation."""

from curate.steps.intake.report import IntakeReport
from curate.steps.intake.run import intake

__all__ = ["IntakeReport", "intake"]
