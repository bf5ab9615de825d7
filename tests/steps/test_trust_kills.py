"""An approval, a rejection and a rotation that stop at any durable step are finished by the next run."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from curate.archive import ledger_head
from curate.archive.repository import opened
from curate.core import durable
from curate.steps.approve import approve
from curate.steps.audit import audit
from curate.steps.intake import intake
from curate.steps.keys import new_key, rotate_key, show_key
from curate.steps.publish import publish
from curate.steps.reject import reject
from curate.steps.release import release
from curate.steps.sheet import sheet
from curate.transparency import signing_keys
from tests.regenerate_golden import answers
from tests.steady import steady
from tests.steps.archives import donation, files_of, make_archive

NAME = "Anna Puig"


class _Stop(BaseException):
    """Stands for the end of the process."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An archive with a release, a reviewer's key, and papers that are filled in."""
    folder = tmp_path_factory.mktemp("stops")
    with steady():
        root = make_archive(folder / "made" / "archive", approvals=1)
        source, table = donation(folder / "donated", studies=1, instances=1)
        intake(root, [source], table, deidentify=True, workers=1)
        release(root)
        new_key(NAME, folder / "made/anna.key")
        sheet(root, "1.0.0", folder / "made/sheet.json", folder / "made/decisions.json")
        answers(folder / "made/sheet.json", folder / "made/decisions.json", by=NAME)
        yield folder / "made"


def _approve(place: Path) -> None:
    papers = {"sheet": place / "sheet.json", "decisions": place / "decisions.json"}
    approve(place / "archive", "1.0.0", NAME, place / "anna.key", **papers)


def _reject(place: Path) -> None:
    reject(place / "archive", "1.0.0", NAME, "OTHER", "words")


def _rotate(place: Path) -> None:
    rotate_key(place / "archive")


def _events(place: Path) -> list[str]:
    with opened(place / "archive", write=False) as archive:
        assert archive.ledger.broken_chain() is None
        return [event.kind for event in archive.ledger.events()]


def _is_done(place: Path, whole: Path) -> bool:
    """Whether a stopped run had nothing left to write, but for the sync of a folder."""
    with opened(place / "archive", write=False) as archive:
        return not ledger_head.lags(archive.root, archive.ledger) and _events(place) == _events(whole)


def _stopped(act: Callable[[Path], None], place: Path, at: int) -> int:
    """Run, stop before the `at`-th durable step; gives how many there were."""
    count = 0

    def step(name: str, path: Path) -> None:
        nonlocal count
        count += 1
        if count == at:
            raise _Stop

    durable.observer = step
    try:
        act(place)
    except _Stop:
        pass
    finally:
        durable.observer = None
    return count


@pytest.mark.parametrize("act", [_approve, _reject, _rotate], ids=lambda act: act.__name__.strip("_"))
def test_a_step_that_stops_is_finished_by_the_next_run(made: Path, tmp_path: Path, act: Callable[[Path], None]) -> None:
    """After a stop at each single write, sync, rename, removal and commit, the same command ends as if undisturbed."""
    whole = shutil.copytree(made, tmp_path / "whole")
    steps = _stopped(act, whole, 0)
    assert steps
    for at in range(1, steps + 1):
        place = shutil.copytree(made, tmp_path / f"{at}")
        _stopped(act, place, at)
        assert signing_keys.read(place / "archive" / signing_keys.LOG_KEY).signer()
        if act is not _rotate or not _is_done(place, whole):  # once it is done, a rotation is another one
            act(place)
        assert _events(place) == _events(whole)
        assert files_of(place / "archive/releases").keys() == files_of(whole / "archive/releases").keys()
        shown = show_key(place / "archive")
        assert len(shown.before) == (act is _rotate)
        if act is _approve:
            assert files_of(place / "archive/releases") == files_of(whole / "archive/releases")
            publish(place / "archive", "1.0.0", (place / "hub").as_uri())
            codes = {f.rule for r in audit([place / "hub"], shown.public) for f in r.findings}
            assert codes == set()
