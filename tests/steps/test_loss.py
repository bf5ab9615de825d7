"""What a release would lose for good is said before, by column, kind and access, and asked where it is much."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from curate.core.errors import RefusedError
from curate.steps.release import release, release_plan
from tests.steps.archives import curate, curate_json
from tests.steps.donors import make_archive, take_in
from tests.steps.images import errors_of, rows_of

DONORS = 24
OPEN = "largest_suppressed_share = 0.05\n"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two dozen donors under open access (k = 11), whose diagnoses and sexes are too many for so few."""
    folder = tmp_path_factory.mktemp("loss")
    root = make_archive(folder / "archive", OPEN)
    take_in(root, folder / "in", range(DONORS))
    return root


def test_the_plan_says_what_is_lost_and_who_waits(archive: Path) -> None:
    """Counts add up for every column; gated access shows no fewer; nothing is written."""
    before = sorted(path.name for path in (archive / "releases").iterdir())
    found = release_plan(archive)
    assert found.loss is not None
    assert (found.studies + found.held, found.new) == (DONORS, found.studies)
    for column in found.loss.columns:
        assert column.exact + column.coarser + column.lost == column.known <= found.new
    assert sum(kind.studies for kind in found.loss.kinds) == found.held
    assert found.loss.gated is not None
    assert (found.loss.gated.k, found.loss.gated.access) == (5, "gated")
    assert found.loss.gated.shown >= found.studies
    assert sorted(path.name for path in (archive / "releases").iterdir()) == before


def test_a_whole_column_is_not_lost_unasked(archive: Path) -> None:
    """The cut is refused with what is lost and what to do; accepted, its card says what is absent, and check passes."""
    plan = release_plan(archive)
    assert plan.loss is not None
    whole = [column.column for column in plan.loss.columns if column.is_whole]
    assert whole
    with pytest.raises(RefusedError, match=f"no {whole[0]} of any of the") as stopped:
        release(archive)
    assert "--dry-run" in stopped.value.hint
    assert "--accept-loss" in stopped.value.hint
    asked = []
    with pytest.raises(RefusedError):
        release(archive, accept_loss=lambda loss: bool(asked.append(loss)))
    assert len(asked) == 1
    done = release(archive, accept_loss=True)
    assert done.loss == plan.loss
    card = (done.path / "README.md").read_text("utf-8")
    assert "Absent from every study of this version" in card
    assert not any(line.startswith("| unknown") for line in card.splitlines())
    assert not errors_of(done.path)
    assert not release(archive).new  # nobody is asked of what is cut already


def test_the_command_tells_the_same_as_text_and_as_json(archive: Path) -> None:
    """`--dry-run` prints it; JSON holds the same numbers; without a terminal the cut wants `--accept-loss`."""
    told = curate_json("release", archive, "--dry-run")
    assert told["loss"]["must_be_accepted"]
    text = curate("release", archive, "--dry-run").stdout
    assert "Gated access (k = 5) would show" in text
    assert "more donors of each kind" in text or not told["held"]
    assert json.dumps(told).count("P0") == 0


def test_check_says_nothing_of_diagnoses_that_are_null(archive: Path) -> None:
    """A class without any diagnosis has not "one diagnosis"."""
    done = release(archive, accept_loss=True)
    assert all(row["diagnosis_code"] is None for row in rows_of(done.path, "studies"))
    assert "PRIVACY_LOW_DIVERSITY" not in curate("check", done.path).stdout
