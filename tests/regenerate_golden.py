"""Cut the golden release anew: `python -m tests.regenerate_golden`.

A small complete release of the test files in pydicom's package, under a fixed secret and date: every later
version of the tool must still read it and find nothing wrong in it.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

from tests.steady import steady

GOLDEN = Path(__file__).resolve().parents[1] / "manifests" / "golden"
REVIEWER = "Golden Reviewer"
SOURCES = tuple(f"dicomdirtests/{name}" for name in ("77654033", "98892001", "98892003"))
ROWS = (
    # StudyInstanceUID, donor, age, sex, region, diagnosis, basis: invented, for test material
    ("1.3.6.1.4.1.5962.1.1.0.0.0.1196527414.5534.0.1", "donor-1", "47", "F", "cervical spine", "M54.2", "referral"),
    ("1.3.6.1.4.1.5962.1.1.0.0.0.1196530851.28319.0.1", "donor-1", "42", "F", "head", "none", "report"),
    ("1.3.6.1.4.1.5962.1.1.0.0.0.1194734704.16302.0.1", "donor-2", "43", "M", "heart", "I25.10", "discharge"),
    ("1.3.6.1.4.1.5962.1.1.0.0.0.1196533885.18148.0.427", "donor-2", "45", "M", "neck", "I65.2", "report"),
    ("1.3.6.1.4.1.5962.1.1.0.0.0.1196533885.18148.0.133", "donor-2", "45", "M", "cap", "R51.9", "referral"),
    ("1.3.6.1.4.1.5962.1.1.0.0.0.1196533885.18148.0.1", "donor-2", "45 anys", "M", "cerebro", "none", "report"),
)


def regenerate(target: Path) -> None:
    """Make the release in `target`, in place of what is there."""
    from curate.cli.demo import donate
    from curate.core.records import ArchiveInfo
    from curate.steps.init import init
    from curate.steps.intake import intake
    from curate.steps.release import release

    with steady(), tempfile.TemporaryDirectory() as folder:
        info = ArchiveInfo("Golden release", "curate", "CC-BY-4.0", "test")
        archive = init(Path(folder) / "archive", info, hub_target="hf://golden/release")
        (archive / "secret.key").write_text("60" * 32 + "\n")
        sources, table = donate(Path(folder), SOURCES, ROWS)
        intake(archive, sources, table, deidentify=True, workers=1)
        cut = release(archive)
        _approve(archive, cut.version, Path(folder))
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(cut.path, target)
    for path in target.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _approve(archive: Path, version: str, folder: Path) -> None:
    from curate.steps.approve import approve
    from curate.steps.keys import new_key
    from curate.steps.sheet import sheet

    key = new_key(REVIEWER, folder / "reviewer.key").path
    sheet(archive, version, folder / "sheet.json", folder / "decisions.json")
    answers(folder / "sheet.json", folder / "decisions.json")
    papers = {"sheet": folder / "sheet.json", "decisions": folder / "decisions.json"}
    approve(archive, version, REVIEWER, key, **papers)


def answers(sheet: Path, decisions: Path, by: str = REVIEWER) -> None:
    """Answer every question with yes, accept every finding, open every series of the sample."""
    asked, taken = json.loads(sheet.read_text()), json.loads(decisions.read_text())
    for question in asked["questions"]:
        question |= {"answer": "yes", "reason": "Test material."}
    for finding in taken["findings"]:
        finding |= {"decision": "accept", "by": by}
    for series in taken["series"]:
        series |= {"opened": True, "by": by}
    sheet.write_text(json.dumps(asked, indent=1))
    decisions.write_text(json.dumps(taken, indent=1))


if __name__ == "__main__":
    regenerate(GOLDEN)
