"""`curate deidentify`: the hospital's step, before anything leaves it: folder in, folder out, by intake's rules."""

from curate.steps.deidentify.deidentify_run import DeidentifyReport, deidentify

__all__ = ["DeidentifyReport", "deidentify"]
