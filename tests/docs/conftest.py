"""One demo archive for all pages: no page changes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs import transcript


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which `curate demo demo` was run."""
    folder = tmp_path_factory.mktemp("demo")
    transcript.run([transcript.Command("curate demo demo", ())], folder, folder / "home")
    return folder


@pytest.fixture
def folder(demo: Path, tmp_path: Path) -> Path:
    """A folder of its own for one page's commands, with the demo in it."""
    (tmp_path / "demo").symlink_to(demo / "demo")
    return tmp_path
