"""What all tests share."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.pages.browser import browsing

settings.register_profile("curate", deadline=None)  # a machine may be busy; what is slow is measured elsewhere
settings.load_profile("curate")

pytest_plugins = ["tests.hub.fixtures"]

_MEMORY = Path("/dev/shm")
_ROOM = 1 << 30


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
