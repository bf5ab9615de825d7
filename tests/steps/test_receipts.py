"""Receipts at the archive: the hospital's are kept by hash, missing ones are made, none stands for two studies."""

from __future__ import annotations

import csv
import shutil
import sqlite3
from pathlib import Path

import pytest

from curate.archive import receipts, repository
from curate.core import durable
from curate.core.errors import StorageError
from curate.keys.derivation import Keys
from curate.steps.intake import intake
from tests.steps.archives import donation, make_archive

GIVEN = "ab" * 32


def _told(root: Path) -> dict[str, list[str]]:
    """The codes of an archive's own file, by study."""
    with repository.opened(root, write=False) as archive:
        path, key = root / receipts.NAME, Keys.from_secret(archive.secret).storage
    found: dict[str, list[str]] = {}
    for receipt in receipts.read(path, key) if path.exists() else ():
        found.setdefault(receipt.study_id, []).append(receipt.code)
    return found


def _kept(root: Path) -> dict[bytes, str]:
    """What the ledger keeps: digests with their studies."""
    with sqlite3.connect(root / "ledger.db") as db:
        return dict(db.execute("SELECT sha256, study_id FROM receipts"))


def _with_column(table: Path, cells: list[str]) -> Path:
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    for row, cell in zip(rows, ["receipt_sha256", *cells], strict=True):
        row.append(cell)
    with table.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return table


def test_each_donation_gets_one_receipt_however_often_it_comes(tmp_path: Path) -> None:
    """The ledger holds the digest alone, the sealed file the code; a second intake makes none."""
    archive, (source, table) = make_archive(tmp_path / "a"), donation(tmp_path / "in", studies=3)
    report = intake(archive, [source], table, deidentify=True, workers=1)
    assert (report.new_receipts, report.receipts) == (3, archive / receipts.NAME)
    codes = _told(archive)
    assert _kept(archive) == {receipts.digest(code): study for study, (code,) in codes.items()}
    assert len(codes) == 3
    assert all(code.encode() not in (archive / "ledger.db").read_bytes() for (code,) in codes.values())
    assert intake(archive, [source], table, deidentify=True, workers=1).new_receipts == 0
    assert _told(archive) == codes


def test_the_tables_receipts_are_kept_and_missing_ones_made(tmp_path: Path) -> None:
    """Only the donation without a receipt gets one here."""
    archive, (source, table) = make_archive(tmp_path / "a"), donation(tmp_path / "in")
    report = intake(archive, [source], _with_column(table, [GIVEN, ""]), deidentify=True, workers=1)
    assert (report.admitted_studies, report.new_receipts) == (2, 1)
    assert bytes.fromhex(GIVEN) in _kept(archive) and len(_kept(archive)) == 2


@pytest.mark.parametrize(
    ("cells", "rule", "admitted"),
    [([GIVEN, GIVEN], "RECEIPT_TAKEN", 1), (["Puigdemunt", ""], "RECEIPT_UNREADABLE", 1)],
)
def test_a_receipt_that_cannot_be_one_keeps_the_study_out(
    tmp_path: Path, cells: list[str], rule: str, admitted: int
) -> None:
    """Not a digest, or another study's: quarantined by its code, with the row and the column."""
    archive, (source, table) = make_archive(tmp_path / "a"), donation(tmp_path / "in")
    report = intake(archive, [source], _with_column(table, cells), deidentify=True, workers=1)
    assert report.admitted_studies == admitted
    assert [(f.tag, f.count) for f in report.findings if f.rule == rule] == [("receipt_sha256", 1)]


def test_what_waits_has_a_receipt_too(tmp_path: Path) -> None:
    """A donor whose study waits can ask after it; one who did not consent has given nothing."""
    archive, (source, table) = make_archive(tmp_path / "a"), donation(tmp_path / "in")
    text = table.read_text(encoding="utf-8").splitlines()
    text[1] = text[1].replace("2020-01-31", "2999-01-01")
    text[2] = text[2].replace("given", "no")
    table.write_text("\n".join(text), encoding="utf-8")
    report = intake(archive, [source], table, deidentify=True, workers=1)
    assert (report.admitted_studies, report.new_receipts) == (0, 1)


def test_a_code_is_on_the_disk_before_the_ledger_knows_it(tmp_path: Path) -> None:
    """A ledger that cannot be written leaves the code for the next run, which uses it again."""
    archive, (source, table) = make_archive(tmp_path / "a"), donation(tmp_path / "in")
    steps: list[tuple[str, str]] = []

    def fail(name: str, path: Path) -> None:
        steps.append((name, path.name))
        if name == "commit" and ("fsync", receipts.NAME) in steps:
            raise OSError(28, "No space left on device")

    durable.observer = fail
    try:
        with pytest.raises(StorageError, match="full"):
            intake(archive, [source], table, deidentify=True, workers=1)
    finally:
        durable.observer = None
    before = _told(archive)
    assert len(before) == 2 and not _kept(archive)
    intake(archive, [source], table, deidentify=True, workers=1)
    assert _told(archive) == before
    assert {receipts.digest(code) for (code,) in before.values()} == set(_kept(archive))


def test_handed_over_codes_may_be_deleted(tmp_path: Path) -> None:
    """The sealed file is for handing over: the archive works on without it, and makes no receipt twice."""
    archive, (source, table) = make_archive(tmp_path / "a"), donation(tmp_path / "in")
    intake(archive, [source], table, deidentify=True, workers=1)
    (archive / receipts.NAME).unlink()
    assert intake(archive, [source], table, deidentify=True, workers=1).new_receipts == 0
    more, other = donation(tmp_path / "more", studies=1, first=5)
    shutil.copy(other, table)
    assert intake(archive, [more], table, deidentify=True, workers=1).new_receipts == 1
