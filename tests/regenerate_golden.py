"""Cut the golden release anew: `python -m tests.regenerate_golden`.

A small complete release of the test files in pydicom's package, under a fixed secret and date: every later
version of the tool must still read it and find nothing wrong in it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

GOLDEN = Path(__file__).resolve().parents[1] / "manifests" / "golden"
DAY = "1767225600"  # 2026-01-01


def regenerate(target: Path) -> None:
    """Make the release in `target`, in place of what is there."""
    os.environ["SOURCE_DATE_EPOCH"] = DAY
    from curate.cli.demo import donate
    from curate.records import ArchiveInfo
    from curate.steps.init import init
    from curate.steps.intake import intake
    from curate.steps.release import release

    with tempfile.TemporaryDirectory() as folder:
        archive = init(Path(folder) / "archive", ArchiveInfo("Golden release", "curate", "CC-BY-4.0", "test"))
        (archive / "secret.key").write_text("60" * 32 + "\n")
        sources, table = donate(Path(folder))
        intake(archive, sources, table, deidentify=True, workers=1)
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(release(archive).path, target)
    for path in target.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


if __name__ == "__main__":
    regenerate(GOLDEN)
