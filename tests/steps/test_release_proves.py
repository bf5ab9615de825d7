"""A release that would not pass its own check gets no place, and names the study and the way out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from curate.archive import arrow_ipc, packs, repository
from curate.core.errors import RefusedError
from curate.steps.intake import intake
from curate.steps.publish import publish
from curate.steps.release import release
from curate.steps.withdraw import withdraw
from tests.steps.archives import donation, make_archive
from tests.steps.images import errors_of


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """An archive of two studies, released once."""
    root = make_archive(tmp_path / "archive")
    source, table = donation(tmp_path / "in", studies=2)
    intake(root, [source], table, deidentify=True, workers=1)
    release(root)
    source, table = donation(tmp_path / "more", studies=1, first=2)
    intake(root, [source], table, deidentify=True, workers=1)
    return root


def _one_series_in_two_studies(root: Path) -> list[str]:
    """What an archive of an earlier version may hold: two studies whose records name one series."""
    with repository.opened(root, write=True) as held:
        first, second = list(held.ledger.studies())[:2]
        uid = arrow_ipc.from_ipc(first.series)["SeriesInstanceUID"][0].as_py()
        named = {name: _of_series(getattr(second, name), uid) for name in ("series", "instances")}
        with held.ledger.transaction():
            held.ledger.put_study(replace(second, **named))
    return [first.study_id, second.study_id]


def _of_series(data: bytes, uid: str) -> bytes:
    table = arrow_ipc.from_ipc(data)
    at = table.schema.get_field_index("SeriesInstanceUID")
    return arrow_ipc.to_ipc(table.set_column(at, table.schema.field(at), [[uid] * table.num_rows]))


def test_what_would_not_pass_gets_no_place(archive: Path) -> None:
    """The message names the studies and the command; nothing is left, and after the command the next cut passes."""
    studies = _one_series_in_two_studies(archive)
    before = sorted(path.name for path in (archive / "releases").iterdir())
    with pytest.raises(RefusedError, match=r"would not pass its own check: .*KEY_DOUBLED") as stopped:
        release(archive)
    assert all(study in stopped.value.message for study in studies)
    assert f"curate withdraw {archive} {studies[0]}" in stopped.value.hint
    assert sorted(path.name for path in (archive / "releases").iterdir()) == before
    assert "verified" in {path.name for path in archive.iterdir()}  # of the first cut
    withdraw(archive, studies[1])
    done = release(archive)
    assert done.new
    assert not errors_of(done.path)


def test_publish_does_not_read_again_what_release_checked(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pack is read for its check once: by the release that holds it first."""
    read: list[Path] = []
    places = packs.instance_places

    def noted(path: Path) -> object:
        read.append(path)
        return places(path)

    monkeypatch.setattr("curate.verify.checks.instances.instance_places", noted)
    done = release(archive)
    assert len(read) == 1 < len(list(done.path.glob("packs/*/*.parquet")))
    publish(archive, done.version)
    assert len(read) == 1
