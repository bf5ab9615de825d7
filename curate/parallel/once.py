"""A plugin of Dask's scheduler: a task of ours whose worker died is told to who sent it, not sent again."""

from __future__ import annotations

from typing import Any

from distributed import SchedulerPlugin

PREFIX = "curate-"


class LostAtOnce(SchedulerPlugin):
    """Counts every task of ours as suspicious as Dask ever lets one be, so that the next death is its last."""

    name = "curate-lost-at-once"
    idempotent = True

    def update_graph(self, scheduler: Any, *, keys: set[Any], **_: Any) -> None:
        """Called by Dask for each task that is submitted."""
        for key in keys:
            if isinstance(key, str) and key.startswith(PREFIX) and key in scheduler.tasks:
                scheduler.tasks[key].suspicious = scheduler.allowed_failures
