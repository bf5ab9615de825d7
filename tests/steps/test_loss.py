"""What a release would lose for good is said before, by column, kind and access, and asked where it is much."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pyarrow as pa
import pytest
from rich.console import Console

from curate.cli.losses import print_loss
from curate.core.errors import RefusedError
from curate.privacy.forecast import Forecast, Step
from curate.privacy.loss import ColumnLoss, Loss, Waiting
from curate.privacy.loss import _kinds as kinds_of
from curate.privacy.risk import STUDY
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


def few(shown: int, waiting: int, new: int) -> Loss:
    """What is said of a version of so many studies, of which all that are new keep half of their ages."""
    ages = ColumnLoss("age", "10-year bands", new, 0, new - new // 2, new // 2)
    steps = (Step(3, waiting, shown + waiting),)
    kinds = (Waiting("CT", waiting, 3, 3),)
    return Loss(
        11,
        "open",
        shown,
        new,
        (ages,),
        {"TOO_FEW_ALIKE": waiting},
        kinds,
        Forecast(11, shown, waiting, steps),
    )


@pytest.mark.parametrize(
    ("shown", "waiting", "new", "grave"),
    [(12, 13, 12, True), (12, 12, 12, False), (40, 13, 12, False), (12, 13, 0, False)],
)
def test_more_held_back_than_shown_is_asked_about(shown: int, waiting: int, new: int, grave: bool) -> None:
    """Of all that the version shows; nobody is asked where nothing is new."""
    said = few(shown, waiting, new).grave
    assert said == ((f"It shows {shown} studies and holds {waiting} back.",) if grave else ())


def test_the_forecast_counts_donors_of_each_kind() -> None:
    """Three more donors free nobody unless they are of the kind that waits; each column's shares stand beside it."""
    out = io.StringIO()
    print_loss(few(20, 13, 20), Console(file=out, width=120))
    lines = [" ".join(line.split()) for line in out.getvalue().splitlines()]
    assert "age 10-year bands 0% 50% 50%" in lines
    assert "13: too few donors resemble theirs" in lines
    assert "kind waiting more donors of each kind" in lines and "CT 13 3" in lines
    assert "more donors of each kind studies freed then published" in lines and "3 13 33" in lines


def test_who_waits_is_counted_by_kind() -> None:
    """The most first, with the donors that the nearest and the furthest need; a kind that nobody knows is one, too."""
    held = pa.table({STUDY: ["a", "b", "c"], "more_donors": [5, 3, 2]})
    assert kinds_of(held, {"a": "CT", "b": "CT"}) == (Waiting("CT", 2, 3, 5), Waiting("unknown", 1, 2, 2))


def test_the_command_tells_the_same_as_text_and_as_json(archive: Path) -> None:
    """`--dry-run` prints it; JSON holds the same numbers; without a terminal the cut wants `--accept-loss`."""
    told = curate_json("release", archive, "--dry-run")
    assert told["loss"]["must_be_accepted"]
    text = curate("release", archive, "--dry-run").stdout
    assert "Gated access (k = 5) would show" in text
    assert json.dumps(told).count("P0") == 0


def test_check_says_nothing_of_diagnoses_that_are_null(archive: Path) -> None:
    """A class without any diagnosis has not "one diagnosis"."""
    done = release(archive, accept_loss=True)
    assert all(row["diagnosis_code"] is None for row in rows_of(done.path, "studies"))
    assert "PRIVACY_LOW_DIVERSITY" not in curate("check", done.path).stdout
