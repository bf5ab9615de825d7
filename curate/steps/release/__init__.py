"""`curate release`: cut the next version into a folder that is also the hub's repository."""

from curate.steps.release.cut import Cut, release
from curate.steps.release.plan import Plan, release_plan

__all__ = ["Cut", "Plan", "release", "release_plan"]
