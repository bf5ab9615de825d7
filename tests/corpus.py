"""Where the shared corpus of real files lies, for tests that read it."""

from __future__ import annotations

from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "corpus"
_NOT_DATA = {"MANIFEST.csv", "README.md"}


def files() -> list[Path]:
    """All files of the corpus, sorted; the test is skipped where the corpus is absent."""
    if not FOLDER.is_dir():
        pytest.skip("the shared corpus is not beside the project")
    return sorted(
        path
        for path in FOLDER.rglob("*")
        if path.is_file() and path.name not in _NOT_DATA and "LICENSES" not in path.parts
    )


def sample(step: int = 8) -> list[Path]:
    """Every file of pydicom's odd ones, and one of `step` of the long series."""
    everything = files()
    return [
        path
        for index, path in enumerate(everything)
        if "pydicom+pydicom" in path.parts or "highdicom" in str(path) or index % step == 0
    ]


def named(name: str) -> bytes:
    """The bytes of the one file of pydicom's set with this name."""
    for path in files():
        if path.name == name and "test_files" in path.parts:
            return path.read_bytes()
    raise FileNotFoundError(name)
