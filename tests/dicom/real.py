"""Files of the shared corpus, for the tests of this room."""

from __future__ import annotations

from pathlib import Path

from tests.corpus import corpus

_NOT_DATA = {"MANIFEST.csv", "README.md"}


def files() -> list[Path]:
    """All files of the corpus, sorted; the test is skipped where the corpus is absent."""
    return sorted(
        path
        for path in corpus().rglob("*")
        if path.is_file() and path.name not in _NOT_DATA and "LICENSES" not in path.parts
    )


def sample(step: int = 8) -> list[Path]:
    """All of the odd files, and one of `step` of the long series."""
    return [
        path
        for index, path in enumerate(files())
        if "pydicom+pydicom" in path.parts or "highdicom" in str(path) or index % step == 0
    ]


def named(name: str) -> bytes:
    """The bytes of the one file of pydicom's set with this name."""
    for path in files():
        if path.name == name and "test_files" in path.parts:
            return path.read_bytes()
    raise FileNotFoundError(name)
