"""Worker processes on this machine."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import forkserver, resource_tracker
from typing import Any

from curate.core import process_setup
from curate.parallel import environment
from curate.parallel.pool import LostError

_private: Any = None


def hush() -> None:
    """Keep libraries in a worker from writing warnings and logs, which can quote values of a file."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)


def _begin(private: Any, login: dict[str, str]) -> None:
    global _private  # a process has no other place for what it is given once
    _private = private
    environment.forget()
    os.environ.update(login)
    process_setup.prepare()
    hush()
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    """End with the coordinator, however that ended: by itself a worker of a killed one would wait for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)


def _serve_deaf() -> None:
    """Start the server that forks the workers deaf to Ctrl-C, as they are then: the coordinator alone ends them.

    The terminal sends it to every process, and a worker that is still importing would write a traceback.
    """
    resource_tracker.ensure_running()  # which would unblock it in passing
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with environment.without_secrets():
            forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _call(function: Callable[[Any, Any], Any], task: Any) -> Any:
    return function(task, _private)


class Processes:
    """A process pool that is made anew when a worker dies: by itself it would lose the whole job."""

    def __init__(self, workers: int, private: Any, *, remote: bool = False) -> None:
        self._workers, self._private = workers, private
        self._login = environment.of_stores() if remote else {}
        self._pool = self._new()

    def _new(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("forkserver")  # no lock or connection of this process gets over
        _serve_deaf()
        return ProcessPoolExecutor(
            self._workers, mp_context=context, initializer=_begin, initargs=(self._private, self._login)
        )

    def size(self) -> int:
        """How many tasks run at once."""
        return self._workers

    def send(self, function: Callable[[Any, Any], Any], task: Any) -> Future[Any]:
        """Start a task in a worker."""
        try:
            return self._pool.submit(_call, function, task)
        except BrokenProcessPool:
            self.close()
            self._pool = self._new()
            return self._pool.submit(_call, function, task)

    def answer(self, future: Future[Any]) -> Any:
        """The result; LostError where the worker died."""
        try:
            return future.result()
        except BrokenProcessPool:
            raise LostError(fault=True) from None

    def look(self) -> None:
        """A pool tells by itself when a worker dies."""

    def close(self) -> None:
        """End the workers; what was not begun yet is not begun."""
        self._pool.shutdown(cancel_futures=True)
