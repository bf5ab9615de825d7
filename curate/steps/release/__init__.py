"""`curate release`: cut the next version into a folder that is also the hub's repository."""

from curate.steps.release.cut import Cut, release

__all__ = ["Cut", "release"]
