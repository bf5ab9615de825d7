"""The versions that lie in an archive."""

from __future__ import annotations

from pathlib import Path

from curate.archive import repository
from curate.archive.release_folders import release_folders
from tests.steps.archives import make_archive


def test_versions_are_listed_as_they_were_cut(tmp_path: Path) -> None:
    """1.10.0 comes after 1.9.0; folders that are no version, or have no seal, are none."""
    root = make_archive(tmp_path / "archive")
    for name in ("1.10.0", "1.9.0", "2.0.0", "1.9.0 (copy)", "v1.9.0"):
        (root / "releases" / name).mkdir(parents=True)
        (root / "releases" / name / "release.json").touch()
    (root / "releases" / "3.0.0").mkdir()
    with repository.opened(root, write=False) as archive:
        assert [folder.name for folder in release_folders(archive)] == ["1.9.0", "1.10.0", "2.0.0"]
