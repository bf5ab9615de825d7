"""`curate intake`: scan, verify, then admit or quarantine every study of a donation."""

from curate.steps.intake.intake_run import intake
from curate.steps.intake.report import IntakeReport

__all__ = ["IntakeReport", "intake"]
