"""A DOI reserved before the cut, and a record that never receives a row about a person."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from curate.core.errors import HubError, RefusedError
from curate.hub.retry import Patience
from curate.hub.zenodo.records import Deposit, Description, deposit, reserve
from tests.hub.zenodo_server import ROUTES, TOKEN, ZenodoServer

SAID = Description(
    "Donated scans", ("An archive",), "An archive", "About it.", date(2026, 1, 2), "1.0.0", ("CC-BY-4.0",)
)
FILES = {
    "README.md": b"# Card",
    "counts.json": b"{}",
    "release.sha256": b"0" * 64,
    "LICENSE-CC0.txt": b"text",
}
PATIENCE = Patience(attempts=3, sleep=lambda _: None)
FAULTS: dict[str, dict[str, Any]] = {
    "429": {"status": 429, "retry_after": 3},
    "503": {"status": 503},
    "reset": {"reset_midway": True},
    "lost": {"lose_answer": True},
    "corrupt": {"corrupt_byte": 0},
    "401": {"status": 401},
    "always": {"status": 503, "nth": None},
}


@pytest.fixture
def zenodo(monkeypatch: pytest.MonkeyPatch) -> Iterator[ZenodoServer]:
    with ZenodoServer() as server:
        monkeypatch.setenv("ZENODO_ENDPOINT", server.url)
        monkeypatch.setenv("ZENODO_TOKEN", TOKEN)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield server


def both() -> Deposit:
    reserved = reserve(SAID, patience=PATIENCE)
    return deposit(reserved, SAID, FILES, patience=PATIENCE)


def test_the_doi_is_known_before_and_kept(zenodo: ZenodoServer) -> None:
    """The DOI that the release will bear is the one that its record is published with."""
    reserved = reserve(SAID, patience=PATIENCE)
    assert not reserved.published
    assert reserve(SAID, patience=PATIENCE) == reserved
    done = deposit(reserved, SAID, FILES, patience=PATIENCE)
    assert (done.doi, done.published) == (reserved.doi, True)
    record = zenodo.records[done.id]
    assert record.files == FILES
    assert record.body["metadata"]["rights"] == [{"id": "cc-by-4.0"}]
    assert len(zenodo.records) == 1


def test_a_second_run_finds_it_published(zenodo: ZenodoServer) -> None:
    """Depositing again changes nothing; other files under a published record are refused."""
    done = both()
    zenodo.forget()
    assert deposit(done, SAID, FILES, patience=PATIENCE) == done
    assert set(zenodo.calls()) == {"z-record", "z-record-files"}
    with pytest.raises(HubError, match="published with other files"):
        deposit(done, SAID, {**FILES, "counts.json": b"[]"}, patience=PATIENCE)


def test_the_next_version_shares_the_concept(zenodo: ZenodoServer) -> None:
    """A new version is a record of its own below the same parent, asked for twice or once."""
    first = both()
    later = replace(SAID, version="1.1.0")
    second = reserve(later, previous=first.id, patience=PATIENCE)
    assert reserve(later, previous=first.id, patience=PATIENCE) == second
    assert zenodo.records[second.id].parent == zenodo.records[first.id].parent
    assert second.doi != first.doi
    assert deposit(second, later, FILES, patience=PATIENCE).published


@pytest.mark.parametrize(
    "name",
    ["manifest/studies.parquet", "studies.parquet", "release.json", "scan.dcm", "previews.zip", "a.csv"],
)
def test_rows_about_persons_are_never_sent(zenodo: ZenodoServer, name: str) -> None:
    """What may say anything about a person is refused before a connection is opened."""
    reserved = reserve(SAID, patience=PATIENCE)
    zenodo.forget()
    with pytest.raises(RefusedError, match="nothing can be erased"):
        deposit(reserved, SAID, {**FILES, name: b"x"}, patience=PATIENCE)
    assert not zenodo.requests


def test_files_left_by_another_cut_are_replaced(zenodo: ZenodoServer) -> None:
    """A draft that holds files of an interrupted earlier cut ends with exactly these."""
    reserved = reserve(SAID, patience=PATIENCE)
    record = zenodo.records[reserved.id]
    record.files = {"old.md": b"old", "README.md": b"# Older", "counts.json": None}
    record.completed = {"old.md", "README.md"}
    deposit(reserved, SAID, FILES, patience=PATIENCE)
    assert record.files == FILES


def test_no_login_is_one_line(zenodo: ZenodoServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing or wrong token is told with what to do, and is not shown."""
    monkeypatch.setenv("ZENODO_TOKEN", "wrong-secret-token")
    with pytest.raises(HubError, match="does not accept the login") as caught:
        reserve(SAID, patience=PATIENCE)
    assert "wrong-secret-token" not in f"{caught.value} {caught.value.hint}"
    monkeypatch.delenv("ZENODO_TOKEN")
    with pytest.raises(HubError, match="not logged in"):
        reserve(SAID, patience=PATIENCE)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("endpoint", sorted({name for name, *_ in ROUTES} - {"z-drop", "z-version"}))
def test_every_fault_ends_with_one_record(zenodo: ZenodoServer, endpoint: str) -> None:
    """Whatever an endpoint does, the last run ends with one published record, its files and its DOI."""
    for fault, how in FAULTS.items():
        if fault == "corrupt" and endpoint != "z-content":
            continue
        zenodo.records.clear()
        zenodo.fail(endpoint, **{"nth": 1, **how})
        try:
            done = both()
        except HubError as error:
            assert fault in ("401", "always", "corrupt"), f"{fault}: {error}"
            assert error.hint
            zenodo.heal()
            done = both() if not any(r.published for r in zenodo.records.values()) else done_of(zenodo)
        zenodo.heal()
        assert len(zenodo.records) == 1, fault
        record = zenodo.records[done.id]
        assert (record.published, record.files) == (True, FILES), fault
        assert record.pids["doi"]["identifier"] == done.doi


def done_of(zenodo: ZenodoServer) -> Deposit:
    """What the archive's ledger remembers: the reserved id and DOI."""
    (record,) = zenodo.records.values()
    reserved = Deposit(record.id, record.pids["doi"]["identifier"], "", False)
    return deposit(reserved, SAID, FILES, patience=PATIENCE)
