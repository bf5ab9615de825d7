"""Mapping a function over tasks: here, in worker processes, or on a Dask cluster; the same function each time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import TypeVar

from curate.parallel.pool import Pool
from curate.parallel.processes import Processes

__all__ = ["Pool", "Workers", "default_workers", "map_unordered", "opened"]

Task = TypeVar("Task")
Result = TypeVar("Result")
Private = TypeVar("Private")
Workers = int | str | None


def default_workers() -> int:
    """As many as processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def opened(
    workers: Workers, private: Private, shared: Sequence[Path] = (), *, remote: bool = False
) -> Iterator[Pool[Private]]:
    """A pool for a step's work; `private` (keys) reaches each worker once, beside the tasks and never in one.

    `workers` is how many processes of this machine (one for each processor by default), or the address of a Dask
    scheduler. `shared` are paths at which each worker must see what is seen here. `remote`: what they read or write
    lies in a store of objects, so that they need its login; nothing else secret of the environment reaches them.

    Raises:
        InputError: the scheduler cannot be used, or a worker may not have the keys, or does not see what is shared.
    """
    if isinstance(workers, str):
        from curate.parallel import cluster

        with cluster.connected(workers, private, shared) as engine:
            yield Pool(private, engine)
    elif (count := workers or default_workers()) <= 1:
        yield Pool(private)
    else:
        with closing(Processes(count, private, remote=remote)) as processes:
            yield Pool(private, processes)


def map_unordered(
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    workers: Workers,
    shared: Sequence[Path] = (),
    lost: Callable[[Task], Result] | None = None,
) -> Iterator[tuple[Task, Result]]:
    """Each task with its result, as they finish, of a function that needs no keys; one task alone runs here.

    `lost` gives the result of a task that ended two workers, as in `Pool.map`.
    """
    rest = iter(tasks)
    first = list(islice(rest, 2))
    with opened(workers if len(first) > 1 or isinstance(workers, str) else 1, None, shared) as pool:
        yield from pool.map(partial(_plainly, function), chain(first, rest), lost)


def _plainly(function: Callable[[Task], Result], task: Task, private: None) -> Result:
    del private
    return function(task)
