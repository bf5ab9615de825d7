"""A pool of workers: tasks go out, results come back as they are done, and what a dead worker had is sent again.

Who dies takes tasks along that are innocent. So what a dead worker had is sent again alone, with nothing else under
way: a task during which a worker dies once more has ended two, and is never sent a third time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from queue import Empty, SimpleQueue
from typing import Any, Generic, Protocol, TypeVar

from curate.core.errors import CurateError

Task = TypeVar("Task")
Result = TypeVar("Result")
Private = TypeVar("Private")
_ROUNDS = 100
_LOOK_SECONDS = 5.0


class LostError(Exception):
    """A task has no result and is to be sent again; `fault`: its worker died over it."""

    def __init__(self, *, fault: bool) -> None:
        super().__init__()
        self.fault = fault


class Engine(Protocol):
    """Where tasks run. `send` gives a future with `add_done_callback` and `cancel`; `answer` reads a done one."""

    def size(self) -> int:
        """How many tasks run at once."""
        ...

    def send(self, function: Callable[[Any, Any], Any], task: Any) -> Any:
        """Start `function(task, private)` somewhere."""
        ...

    def answer(self, future: Any) -> Any:
        """The result; LostError where there is none, CurateError where there will never be one."""
        ...

    def look(self) -> None:
        """Called while nothing comes: CurateError where nothing will come any more."""
        ...


class Pool(Generic[Private]):
    """What maps functions over tasks; without an engine, in this process."""

    def __init__(self, private: Private, engine: Engine | None = None) -> None:
        self.private, self._engine = private, engine

    @property
    def is_here(self) -> bool:
        """Whether functions run in this process, where handing bytes over costs nothing."""
        return self._engine is None

    def here(self) -> Pool[Private]:
        """The same without workers, for work that is not worth sending."""
        return Pool(self.private)

    def map(
        self,
        function: Callable[[Task, Private], Result],
        tasks: Iterable[Task],
        lost: Callable[[Task], Result] | None = None,
    ) -> Iterator[tuple[Task, Result]]:
        """Each task with its result, as they finish; at most four tasks a worker wait, so memory stays flat.

        The function must be idempotent: a task whose worker died is sent again, and may then run twice. `lost` gives
        the result of one that ended two workers.

        Raises:
            CurateError: a task ended two workers and nothing is `lost`, or what the function raised.
        """
        if self._engine is None:
            for task in tasks:
                yield task, function(task, self.private)
        else:
            yield from _Round(self._engine, function, lost or _stop).over(tasks)


def _stop(task: object) -> Any:
    raise CurateError(
        "Two worker processes died on the same task.",
        hint="Give each worker more memory, or use fewer; then run the same command again.",
    )


class _Round(Generic[Task, Result]):
    """One mapping: what was sent and not yet answered."""

    def __init__(self, engine: Engine, function: Callable[[Task, Any], Result], lost: Callable[[Task], Result]) -> None:
        self._engine, self._function, self._lost = engine, function, lost
        self._waiting: dict[int, tuple[Any, Task, int]] = {}
        self._suspects: deque[Task] = deque()
        self._done: SimpleQueue[Any] = SimpleQueue()

    def over(self, tasks: Iterable[Task]) -> Iterator[tuple[Task, Result]]:
        try:
            for task in tasks:
                self._send(task)
                while len(self._waiting) >= 4 * self._engine.size():
                    yield from self._next()
                if self._suspects:
                    yield from self._one_by_one()
            yield from self._one_by_one()
        finally:
            for future, *_ in self._waiting.values():
                future.cancel()

    def _one_by_one(self) -> Iterator[tuple[Task, Result]]:
        """Everything that is under way, then what dead workers had, each alone."""
        while self._waiting:
            yield from self._next()
        while self._suspects:
            self._send(self._suspects.popleft())
            while self._waiting:
                yield from self._next(alone=True)

    def _send(self, task: Task, rounds: int = 0) -> None:
        future = self._engine.send(self._function, task)
        self._waiting[id(future)] = (future, task, rounds)
        future.add_done_callback(self._done.put)

    def _next(self, *, alone: bool = False) -> Iterator[tuple[Task, Result]]:
        """The next answer; `alone`: nothing else was under way, so a death is this task's, and its second."""
        try:
            future = self._done.get(timeout=_LOOK_SECONDS)
        except Empty:
            self._engine.look()
            return
        _, task, rounds = self._waiting.pop(id(future))
        try:
            result = self._engine.answer(future)
        except LostError as lost:
            if lost.fault and alone:
                yield task, self._lost(task)
            elif lost.fault:
                self._suspects.append(task)
            elif rounds >= _ROUNDS:
                hint = "See the workers' logs; then run the same command again."
                raise CurateError("No worker took a task on, though it was offered often.", hint=hint) from None
            else:
                self._send(task, rounds + 1)
        else:
            yield task, result
