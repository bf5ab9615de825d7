"""Mapping a function over tasks with a `concurrent.futures.Executor`; lost tasks are sent again."""

from __future__ import annotations

import logging
import multiprocessing
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from curate.errors import CurateError

Task = TypeVar("Task")
Result = TypeVar("Result")
_TRIES = 3


def default_workers() -> int:
    """As many as processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def map_unordered(
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    workers: int,
    executor: Executor | None = None,
) -> Iterator[tuple[Task, Result]]:
    """Each task with its result, as they finish; at most four tasks a worker wait, so memory stays flat.

    The function must be idempotent: a task whose worker died is sent again, up to three times.

    Raises:
        CurateError: a worker died three times on the same task.
    """
    if executor is not None:
        yield from _feed(function, iter(tasks), executor, workers * 4, {})
    elif workers <= 1:
        for task in tasks:
            yield task, function(task)
    else:
        yield from _with_processes(function, iter(tasks), workers)


def _hush() -> None:
    """Keep libraries in a worker from writing warnings and logs, which can quote values of a file."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)


def _with_processes(
    function: Callable[[Task], Result], tasks: Iterator[Task], workers: int
) -> Iterator[tuple[Task, Result]]:
    lost: dict[int, tuple[Task, int]] = {}
    context = multiprocessing.get_context("forkserver")
    while True:
        try:
            with ProcessPoolExecutor(workers, mp_context=context, initializer=_hush) as pool:
                yield from _feed(function, tasks, pool, workers * 4, lost)
            return
        except BrokenProcessPool:
            if any(tries >= _TRIES for _, tries in lost.values()):
                raise CurateError(
                    "A worker process died three times on the same study.",
                    hint="Give it more memory, or --workers 1, then run the same command again.",
                ) from None


def _feed(
    function: Callable[[Task], Result],
    tasks: Iterator[Task],
    pool: Executor,
    room: int,
    lost: dict[int, tuple[Task, int]],
) -> Iterator[tuple[Task, Result]]:
    """Keep the pool busy; `lost` keeps what was sent and not yet answered, for a next pool."""
    waiting: dict[Future[Result], tuple[int, Task]] = {}

    def send(task: Task, tries: int) -> None:
        future = pool.submit(function, task)
        waiting[future] = (id(future), task)
        lost[id(future)] = (task, tries + 1)

    for number, (task, tries) in list(lost.items()):
        del lost[number]
        send(task, tries)
    for task in tasks:
        send(task, 0)
        if len(waiting) >= room:
            yield from _finished(waiting, lost)
    while waiting:
        yield from _finished(waiting, lost)


def _finished(
    waiting: dict[Future[Result], tuple[int, Task]], lost: dict[int, tuple[Task, int]]
) -> Iterator[tuple[Task, Result]]:
    for future in wait(waiting, return_when=FIRST_COMPLETED).done:
        result = future.result()
        number, task = waiting.pop(future)
        del lost[number]
        yield task, result
