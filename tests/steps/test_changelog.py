"""The changelog of a release says what its tables say, and no small count of persons."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from curate import contract
from curate.describe import changelog
from curate.steps.diff import diff
from curate.steps.intake import intake
from curate.steps.publish import publish
from curate.steps.release.changes import changes
from curate.steps.withdraw import withdraw
from tests import synth
from tests.steps.archives import donation, make_archive
from tests.steps.donors import release

ROWS = {"studies": 30, "series": 30, "instances": 90}


def test_the_changelog_is_made_of_what_diff_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Added studies and series, licences and totals are those of the tables; of a withdrawal stands the number."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1767225600")
    root = make_archive(tmp_path / "archive")
    for first, count in ((0, 3), (3, 2)):
        source, table = donation(tmp_path / f"donated{first}", studies=count, instances=2, first=first)
        intake(root, [source], table, deidentify=True, workers=1)
        if not first:
            publish(root, release(root).version)
    withdraw(root, synth.uid(1, 0))
    cut = release(root)
    found = diff(str(root / "releases" / "1.0.0"), str(cut.path))
    studies, series = (t for t in found.tables if t.name in ("studies", "series"))
    assert (studies.added, studies.removed, series.added, found.licenses) == (2, 0, 2, {"CC-BY-4.0": (2, 4)})
    assert (cut.path / "CHANGELOG.md").read_text() == (
        "# Changelog\n\nEvery version of Test archive. MAJOR: the tables changed; MINOR: studies were added;"
        " PATCH: studies were only withdrawn, recoded or corrected.\n\n## [1.1.0] - 2026-01-01\n\n"
        "### Added\n\n- 2 studies, 2 series.\n\n### Removed\n\n- 1 study.\n\n"
        "### Licences\n\n- CC-BY-4.0: 2 studies before, 4 now.\n\n"
        "### Now\n\n- 4 studies, 4 series, 8 instances.\n\n"
        "## [1.0.0] - 2026-01-01\n\n### Added\n\n- 3 studies.\n"
    )
    publish(root, "1.1.0")
    withdraw(root, synth.uid(4, 0))
    later = release(root)
    told = (later.path / "CHANGELOG.md").read_text()
    assert changelog.read_versions(told) == ("1.1.1", "1.1.0", "1.0.0")
    assert "### Added\n\n- 2 studies, 2 series." in told  # the entry of 1.1.0 stays what it was


def _tables(folder: Path, sexes: list[str | None]) -> Path:
    folder.mkdir()
    study: dict[str, Any] = {
        "donor_id": "D",
        "fold": 0,
        "region_codes": [],
        "modalities": ["CT"],
        "series_count": 1,
    }
    study |= {
        "instance_count": 3,
        "size_bytes": 3,
        "sha256": bytes(32),
        "license": "CC0-1.0",
        "release_version": "1.0.0",
    }
    rows = [{**study, "study_id": f"2.25.{100 + n}", "sex": sex} for n, sex in enumerate(sexes)]
    contract.write_table("studies", folder / "studies.parquet", [contract.to_arrow("studies", rows)])
    contract.write_table("series", folder / "series.parquet", [contract.to_arrow("series", [])])
    return folder


@pytest.mark.parametrize(("changed", "k", "told"), [(2, 11, None), (15, 11, 15), (28, 11, None), (2, None, 2)])
def test_no_small_count_of_persons_stands_in_the_changelog(
    tmp_path: Path, changed: int, k: int | None, told: int | None
) -> None:
    """A value that changed in fewer than k studies, or in all but fewer than k, is not counted out."""
    before = _tables(tmp_path / "before", ["F"] * 30)
    after = _tables(tmp_path / "after", [None] * changed + ["F"] * (30 - changed))
    found = changes(before, after, ROWS, k)
    assert (found.changed, found.columns) == (told, {"sex": told})
    assert found.licenses == {} and found.series_added == 0
