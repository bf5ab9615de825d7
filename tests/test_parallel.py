"""Where tasks run."""

import os

import pytest

from curate import parallel


def _where(task: int) -> int:
    del task
    return os.getpid()


@pytest.mark.parametrize(("tasks", "here"), [(1, True), (2, False)])
def test_one_task_alone_does_not_wait_for_a_process_to_start(tasks: int, here: bool) -> None:
    """A second process is started for the second task, and then runs all of them."""
    done = dict(parallel.map_unordered(_where, range(tasks), workers=2))
    assert sorted(done) == list(range(tasks))
    assert (os.getpid() in done.values()) is here


def test_no_task_is_no_result() -> None:
    """Nothing to do is done."""
    assert not list(parallel.map_unordered(_where, [], workers=2))
