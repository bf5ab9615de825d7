"""A pool of workers: tasks go out, results come back as they are done, and what a dead worker had is sent again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from queue import Empty, SimpleQueue
from typing import Any, Generic, Protocol, TypeVar

from curate.errors import CurateError

Task = TypeVar("Task")
Result = TypeVar("Result")
Private = TypeVar("Private")
_TRIES = 3
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
        self, function: Callable[[Task, Private], Result], tasks: Iterable[Task]
    ) -> Iterator[tuple[Task, Result]]:
        """Each task with its result, as they finish; at most four tasks a worker wait, so memory stays flat.

        The function must be idempotent: a task whose worker died is sent again, and may then run twice.

        Raises:
            CurateError: a worker died three times on the same task, or what the function raised.
        """
        if self._engine is None:
            for task in tasks:
                yield task, function(task, self.private)
        else:
            yield from _Round(self._engine, function).over(tasks)


class _Round(Generic[Task, Result]):
    """One mapping: what was sent and not yet answered."""

    def __init__(self, engine: Engine, function: Callable[[Task, Any], Result]) -> None:
        self._engine, self._function = engine, function
        self._waiting: dict[int, tuple[Any, Task, int, int]] = {}
        self._done: SimpleQueue[Any] = SimpleQueue()

    def over(self, tasks: Iterable[Task]) -> Iterator[tuple[Task, Result]]:
        try:
            for task in tasks:
                self._send(task)
                while len(self._waiting) >= 4 * self._engine.size():
                    yield from self._next()
            while self._waiting:
                yield from self._next()
        finally:
            for future, *_ in self._waiting.values():
                future.cancel()

    def _send(self, task: Task, faults: int = 0, rounds: int = 0) -> None:
        future = self._engine.send(self._function, task)
        self._waiting[id(future)] = (future, task, faults, rounds)
        future.add_done_callback(self._done.put)

    def _next(self) -> Iterator[tuple[Task, Result]]:
        try:
            future = self._done.get(timeout=_LOOK_SECONDS)
        except Empty:
            self._engine.look()
            return
        _, task, faults, rounds = self._waiting.pop(id(future))
        try:
            result = self._engine.answer(future)
        except LostError as lost:
            if faults + lost.fault >= _TRIES or rounds >= _ROUNDS:
                raise CurateError(
                    "A worker died three times on the same study.",
                    hint="Give each worker more memory, or use fewer; then run the same command again.",
                ) from None
            self._send(task, faults + lost.fault, rounds + 1)
        else:
            yield task, result
