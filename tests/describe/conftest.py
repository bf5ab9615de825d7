from __future__ import annotations

from pathlib import Path

import pytest

from curate.core.records import ReleaseSummary
from tests.describe import release


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ReleaseSummary]:
    """A release on disk and its summary; tests must not change it."""
    root = tmp_path_factory.mktemp("release") / "v1.2.0"
    root.mkdir()
    return root, release.build(root)
