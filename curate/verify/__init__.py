"""The checks of a release, as functions that steps and commands share."""

from curate.verify.release import check_release

__all__ = ["check_release"]
