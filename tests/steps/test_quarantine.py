"""What waits goes back to the person who decides, or goes for good; nobody else sees whose it is."""

from __future__ import annotations

import json
import stat
import zipfile
from pathlib import Path

import pytest

from curate.archive import repository
from curate.core.errors import DamagedError, InputError
from curate.steps.intake import intake
from curate.steps.quarantine import discard, export, paths, waiting
from tests import synth
from tests.steps import hospital
from tests.steps.archives import curate, curate_json, files_of, make_archive
from tests.steps.hospital import Study

STUDIES = (Study(0, 0), Study(1, 0))


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """An archive in which two studies wait, one of them from a container."""
    root = make_archive(tmp_path / "archive")
    export = hospital.write(tmp_path / "in", STUDIES[:1])
    with zipfile.ZipFile(export / "XYRKPUJOL.zip", "w") as packed:
        packed.writestr("zwolqferran/NHC-447190.dcm", synth.instance_bytes(1, 0, rows=32, columns=32))
    report = intake(root, [export], hospital.table(tmp_path / "own.csv", STUDIES), workers=1)
    assert (report.quarantined_studies, report.quarantined_instances) == (2, 3)
    return root


def _entry(archive: Path, files: int) -> str:
    return next(entry.id for entry in waiting(archive) if entry.files == files)


def test_an_entry_comes_back_as_it_was_given(archive: Path, tmp_path: Path) -> None:
    """The very bytes, for their owner alone, under numbers; the index says where each came from and why it waits."""
    to = tmp_path / "decide"
    export(archive, _entry(archive, 2), to)
    assert stat.S_IMODE(to.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in to.iterdir()} == {0o600}
    given = sorted(files_of(tmp_path / "in" / "XYRKPUJOL_0").values())
    back = files_of(to)
    assert sorted(data for name, data in back.items() if name.endswith(".dcm")) == given
    index = json.loads(back["index.json"])
    for file in index["files"]:
        assert Path(file["path"]).read_bytes() == back[file["name"]]
    assert {finding["rule"] for finding in index["findings"]} == {"DIRECT_IDENTIFIER"}
    assert len(waiting(archive)) == 2


def test_the_path_of_a_containers_member_is_that_in_the_container(archive: Path, tmp_path: Path) -> None:
    """Not that of the place where it was unpacked, which is gone."""
    (kept,) = paths(archive, _entry(archive, 1))
    assert kept.path == str(tmp_path / "in" / "XYRKPUJOL.zip" / "zwolqferran" / "NHC-447190.dcm")
    assert not list((archive / "tmp").iterdir())


def test_a_discarded_entry_is_gone_and_the_ledger_says_who_and_why(archive: Path) -> None:
    """Its file, its line in the list; an event with the code stays, and the other entry too."""
    name = _entry(archive, 2)
    vaults = set((archive / "quarantine").rglob("*.vault"))
    gone = discard(archive, name, "NOT_CONSENTED")
    assert [entry.files for entry in waiting(archive)] == [1]
    assert len(vaults - set((archive / "quarantine").rglob("*.vault"))) == 1
    with repository.opened(archive, write=False) as opened:
        (event,) = opened.ledger.events("discarded")
    assert event.payload == {"entry": name, "reason": "NOT_CONSENTED", "files": 2}
    assert event.subject == gone.study_id
    with pytest.raises(InputError, match="Nothing waits under this id"):
        discard(archive, name, "NOT_CONSENTED")


@pytest.mark.parametrize("reason", ["", "because of Puigdemunt", "no", "X" * 41])
def test_a_reason_is_a_code(archive: Path, reason: str) -> None:
    """Words could name a person, and the ledger never forgets."""
    with pytest.raises(InputError, match="reason is not a code"):
        discard(archive, _entry(archive, 2), reason)
    assert len(waiting(archive)) == 2


def test_nothing_is_overwritten_and_nothing_half_exported(archive: Path, tmp_path: Path) -> None:
    """A folder that is there, one in the archive, a damaged file: refused, and nothing lies about."""
    name = _entry(archive, 2)
    with pytest.raises(InputError, match="is there already"):
        export(archive, name, tmp_path)
    with pytest.raises(InputError, match="lies in the archive"):
        export(archive, name, archive / "decide")
    vault = max((archive / "quarantine").rglob("*.vault"), key=lambda path: path.stat().st_size)
    vault.write_bytes(vault.read_bytes()[:-40])
    before = set(tmp_path.iterdir())
    with pytest.raises(DamagedError):
        export(archive, name, tmp_path / "decide")
    assert set(tmp_path.iterdir()) == before


def test_the_command_names_nobody_but_to_the_owner_who_asks(archive: Path, tmp_path: Path) -> None:
    """Lists, exports and discards show ids, codes and counts; `--paths` alone shows where files came from."""
    name = _entry(archive, 2)
    assert {entry["id"] for entry in curate_json("quarantine", archive)} == {e.id for e in waiting(archive)}
    shown = [
        curate("quarantine", archive),
        curate("quarantine", archive, "--export", name, "--to", tmp_path / "decide"),
        curate("quarantine", archive, "--discard", _entry(archive, 1), "--reason", "NOT_CONSENTED"),
    ]
    assert [mark for done in shown for mark in hospital.marks_in(done.stdout + done.stderr)] == []
    assert "XYRKPUJOL_0" in curate("quarantine", archive, "--paths", name).stdout
    told = curate("quarantine", archive, "--export", name, code=2)
    assert "Add --to DIR" in told.stderr


def test_the_archive_holds_no_readable_original(archive: Path) -> None:
    """No file of the archive, its temporary folder included, shows a name or an original UID."""
    assert hospital.seen_again(archive) == []
