"""What all tests share."""

import atexit
import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from hypothesis import settings

from tests.pages.browser import browsing

settings.register_profile("curate", deadline=None)  # a machine may be busy; what is slow is measured elsewhere
settings.load_profile("curate")

pytest_plugins = ["tests.hub.fixtures"]

_MEMORY = Path("/dev/shm")
_ROOM = 1 << 30


# never the person's own: keys are pinned there
os.environ["XDG_CONFIG_HOME"] = tempfile.mkdtemp(prefix="curate-tests-")
atexit.register(shutil.rmtree, os.environ["XDG_CONFIG_HOME"], ignore_errors=True)


# one day for all processes of a run, also where it lasts beyond midnight
DAY = int(os.environ.setdefault("CURATE_TEST_DAY", str(date.today().toordinal())))


def pytest_addoption(parser: pytest.Parser) -> None:
    """What can be asked for besides."""
    parser.addoption("--all-parameters", action="store_true", help="run sampled tests with all their parameters")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of a test that is marked as sampled, as many parameters as it says: by the day, so that all are run in time."""
    if config.getoption("--all-parameters") or any("[" in argument for argument in config.args):
        return
    sampled: dict[str, list[pytest.Item]] = {}
    for item in items:
        if (mark := item.get_closest_marker("sampled")) is not None:
            long = item.get_closest_marker("long") is not None
            sampled.setdefault(f"{item.nodeid.partition('[')[0]} {long} {mark.args[0]}", []).append(item)
    left_out = set[pytest.Item]()
    for name, group in sampled.items():
        count = min(int(name.rpartition(" ")[2]), len(group))
        left_out |= set(group) - set(random.Random(f"{DAY} {name}").sample(group, count))
    if left_out:
        config.hook.pytest_deselected(items=[item for item in items if item in left_out])
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(autouse=True, scope="module")
def configuration_of_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The same for what a module's tests share."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("configuration")))
        yield


@pytest.fixture(autouse=True)
def configuration(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The person's configuration is a new folder in each test: what one has pinned, no other knows."""
    folder = tmp_path_factory.mktemp("configuration")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def browser() -> Iterator[object]:
    """One Chromium for all tests of a process."""
    with browsing() as opened:
        yield opened


@pytest.fixture(scope="module")
def fast_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in memory, where the system has room for one: a disk would be waited for at each of thousands of syncs.

    A process that is killed leaves the same there as on a disk.
    """
    if not _MEMORY.is_dir() or shutil.disk_usage(_MEMORY).free < _ROOM:
        yield tmp_path_factory.mktemp("fast")
        return
    with tempfile.TemporaryDirectory(dir=_MEMORY, ignore_cleanup_errors=True) as folder:
        yield Path(folder)
