"""The ledger says who did what, and no event of it can be altered, dropped or moved unseen."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from curate.archive.repository import opened
from curate.steps.intake import intake
from curate.steps.ledger import ledger
from curate.steps.release import release
from tests import synth
from tests.steps.archives import curate, curate_json, donation, make_archive


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive with two studies and a release, whose account has a name."""
    folder = tmp_path_factory.mktemp("ledger")
    root = make_archive(folder / "archive")
    config = root / "archive.toml"
    config.write_text(config.read_text().replace("\n[packs]", 'jdoe = "Joan Doe"\n[packs]'))
    source, table = donation(folder / "donated", studies=2, instances=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOGNAME", "jdoe")
        intake(root, [source], table, deidentify=True, workers=1)
        release(root)
    return root


@pytest.fixture
def root(kept: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(kept, tmp_path / "archive")


def _findings(root: Path) -> list[tuple[str, str]]:
    with ledger(root) as history:
        return [(finding.rule, finding.place) for finding in history.findings]


def _tamper(root: Path, *statements: str) -> None:
    db = sqlite3.connect(root / "ledger.db")
    db.execute("DROP TRIGGER events_keep")
    db.execute("DROP TRIGGER events_fixed")
    for statement in statements:
        db.execute(statement)
    db.commit()
    db.close()


def test_each_event_says_who_with_what(root: Path) -> None:
    """Name by account, the archive's key, the tool and the policy's digest stand with each event."""
    with opened(root, write=False) as archive:
        policy = archive.config.digest
    events = curate_json("ledger", root)["events"]
    assert [event["kind"] for event in events] == ["admitted", "admitted", "release_opened", "released"]
    key = curate_json("key", "show", root)["public"].split("+")[1]
    for event in events:
        assert (event["who"], event["key"], event["policy"]) == ("Joan Doe", key, policy)
        assert event["tool"].startswith("curate ")
    assert "signed for in 1.0.0" in curate("ledger", root).stdout


def test_events_are_filtered(root: Path) -> None:
    """By the day from which on, and by study; no original identifier is shown."""
    study = curate_json("ledger", root)["events"][0]["subject"]
    assert [e["subject"] for e in curate_json("ledger", root, "--study", study)["events"]] == [study]
    assert curate_json("ledger", root, "--since", "2999-01-01")["events"] == []
    shown = curate("ledger", root).stdout
    assert study in shown
    assert synth.uid(0, 0) not in shown


@pytest.mark.parametrize(
    ("statement", "place"),
    [
        ("UPDATE events SET who='Somebody' WHERE seq=2", "event 2"),
        ("UPDATE events SET at='2000-01-01T00:00:00Z' WHERE seq=1", "event 1"),
        ("UPDATE events SET policy='' WHERE seq=4", "event 4"),
        ("DELETE FROM events WHERE seq=3", "event 4"),
        ("UPDATE events SET seq=9 WHERE seq=1", "event 2"),
    ],
)
def test_an_altered_dropped_or_moved_event_is_found(root: Path, statement: str, place: str) -> None:
    """Even by who writes to the file itself."""
    assert _findings(root) == []
    _tamper(root, statement)
    assert ("LEDGER_CHAIN", place) in _findings(root)
    assert "LEDGER_CHAIN" in curate("ledger", root, code=1).stdout
    assert "LEDGER_CHAIN" in curate("doctor", root, "--dry-run", code=1).stdout


def test_a_ledger_that_was_made_up_anew_is_found(root: Path) -> None:
    """Digests that fit each other do not help: a release's checkpoint was signed over the true ones."""
    with opened(root, write=False) as archive:
        events = list(archive.ledger.events())
    _tamper(root, "DELETE FROM events")
    with opened(root, write=True) as archive, archive.ledger.transaction():
        for event in events:
            archive.ledger.append(event.at, event.kind, event.subject, event.payload, who="Somebody", tool=event.tool)
    assert _findings(root) == [("LEDGER_NOT_ANCHORED", "1.0.0")]


def test_leaves_cannot_be_changed(root: Path) -> None:
    """The database itself refuses to alter or delete a leaf or an event."""
    db = sqlite3.connect(root / "ledger.db")
    for statement in ("DELETE FROM leaves", "UPDATE leaves SET kind='x'", "DELETE FROM events"):
        with pytest.raises(sqlite3.IntegrityError, match=r"are (kept|fixed)"):
            db.execute(statement)
    db.close()


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [("--since", "yesterday", "'yesterday' is no day"), ("--since", "2026-1-31", "is no day"),
     ("--since", "2026-02-30", "is no day"), ("--study", "nope", "no event of the study")],
)  # fmt: skip
def test_what_the_ledger_cannot_be_asked_is_refused(root: Path, option: str, value: str, told: str) -> None:
    """A day that is none compared as text and showed nothing, as if nothing had happened."""
    done = curate("ledger", root, option, value, code=2)
    assert told in done.stderr
    assert "Next:" in done.stderr
