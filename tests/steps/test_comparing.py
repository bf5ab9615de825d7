"""verify-copy tells a researcher's files apart, diff two releases, doctor what is damaged from what is sound."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate import decoding
from curate.archive import receipts
from curate.archive.repository import opened
from curate.cli import comparing
from curate.core.errors import InputError
from curate.deid import pseudonyms
from curate.keys.derivation import Keys
from curate.loading.fetch import fetch
from curate.steps.diff import diff
from curate.steps.doctor import doctor
from curate.steps.intake import intake
from curate.steps.publish import publish
from curate.steps.release import release
from curate.steps.verify_copy import verify_copy
from curate.steps.withdraw import withdraw
from tests import synth
from tests.steps.archives import curate, curate_json, donation, files_of, make_archive


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive with 1.0.0 published, and a study added in an unpublished 1.1.0; tests take copies."""
    root = make_archive(tmp_path_factory.mktemp("made") / "archive")
    (root / "secret.key").write_text("60" * 32 + "\n")
    for first, count in ((0, 3), (3, 1)):
        source, table = donation(root.parent / f"donated{first}", studies=count, instances=2, first=first)
        intake(root, [source], table, deidentify=True, workers=1)
        release(root)
        if not first:
            publish(root, "1.0.0")
    return root


@pytest.fixture
def archive(made: Path, tmp_path: Path) -> Path:
    """A copy of that archive; its hub is the first one's, which only reads reach."""
    return Path(shutil.copytree(made, tmp_path / "archive"))


@pytest.fixture
def mine(made: Path, tmp_path: Path) -> Path:
    """What a researcher fetched of 1.0.0, and a pack."""
    folder = tmp_path / "mine"
    fetch(str(made / "releases" / "1.0.0"), folder)
    (pack,) = (made / "releases" / "1.0.0" / "packs").rglob("*.parquet")
    shutil.copy(pack, folder / "pack.parquet")
    return folder


def _dicoms(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.dcm"))


def test_a_fetched_copy_is_current(made: Path, mine: Path) -> None:
    """Every fetched file is an instance of the release; a licence's text is no DICOM."""
    report = verify_copy(mine, str(made / "releases" / "1.0.0"))
    assert report.current == len(_dicoms(mine)) + 1 == 7
    assert report.instances == {"current": 6 + 6, "revoked": 0, "altered": 0, "unknown": 0}
    assert (report.revoked, report.altered, report.unknown) == ((), (), ())
    assert report.other > 0


def test_altered_and_unknown_files_are_named(made: Path, mine: Path) -> None:
    """One byte changed is `altered`, an instance of somewhere else is `unknown`."""
    altered = _dicoms(mine)[0]
    altered.chmod(0o644)
    data = bytearray(altered.read_bytes())
    data[-1] ^= 1
    altered.write_bytes(data)
    (mine / "other.dcm").write_bytes(synth.instance_bytes(50, 0, 0, 0))
    report = curate_json("verify-copy", mine, "--release", made / "releases" / "1.0.0", code=1)
    assert report["altered"] == [altered.relative_to(mine).as_posix()]
    assert report["unknown"] == ["other.dcm"]
    assert report["current"] == 6


def test_revoked_files_are_named_and_deleted_after_asking(archive: Path, mine: Path, tmp_path: Path) -> None:
    """After a withdrawal the holder of a copy learns which files to delete, and `--purge` deletes only those."""
    withdraw(archive, synth.uid(1, 0))
    cut = release(archive)
    keys = Keys.from_secret(bytes.fromhex("60" * 32))
    study = pseudonyms.new_uid(keys, synth.uid(1, 0))
    told = curate("verify-copy", mine, "--release", cut.path, code=1)
    assert "6 revoked files (4 instances)" in told.stdout
    assert "8 instances of version" in told.stdout
    assert "4 files hold nothing else" in told.stdout
    assert all(path.exists() for path in _dicoms(mine))
    done = curate_json("verify-copy", mine, "--release", cut.path, "--purge", "--yes")
    tables = {f"manifest/{name}.parquet" for name in ("instances", "series", "studies")}
    assert done["deleted"] == 6  # two instances, the pack that holds them too, and tables with rows of them
    assert tables | {"pack.parquet"} < set(done["revoked"])
    assert not any(study in path.as_posix() for path in _dicoms(mine))
    assert len(_dicoms(mine)) == 4


def test_diff_counts_rows_and_columns(archive: Path) -> None:
    """A study was added between the versions; nothing else differs but where its first version is told."""
    releases = archive / "releases"
    found = diff(str(releases / "1.0.0"), str(releases / "1.1.0"))
    by_name = {table.name: table for table in found.tables}
    studies = by_name["studies"]
    assert (studies.rows_before, studies.rows_after, studies.added, studies.removed) == (3, 4, 1, 0)
    assert studies.changed == 0
    assert by_name["instances"].added == 2
    assert found.licenses == {"CC-BY-4.0": (3, 4)}
    assert diff(str(releases / "1.0.0"), str(releases / "1.0.0")).same
    shown = curate("diff", releases / "1.0.0", releases / "1.1.0", "--markdown").stdout
    assert "| studies | 3 | 4 | 1 | 0 | 0 |" in shown


def test_diff_of_files_takes_a_key(tmp_path: Path) -> None:
    """Two Parquet files: changed values by column, nulls and new columns included; a key must be one."""
    a, b = tmp_path / "a.parquet", tmp_path / "b'.parquet"
    pq.write_table(pa.table({"id": [1, 2, 3, 4], "x": ["p", None, "r", "s"], "gone": [1, 1, 1, 1]}), a)
    pq.write_table(pa.table({"id": [2, 3, 4, 5], "x": ["q", "r", None, "t"], "new": [1, 1, 1, 1]}), b)
    (table,) = diff(str(a), str(b), ["id"]).tables
    assert (table.added, table.removed, table.changed, table.columns) == (1, 1, 2, {"x": 2})
    assert (table.columns_added, table.columns_removed) == (("new",), ("gone",))
    with pytest.raises(InputError, match="need a key"):
        diff(str(a), str(b))
    with pytest.raises(InputError, match="does not identify"):
        diff(str(a), str(a), ["gone"])


def test_a_sound_archive_is_told_so(archive: Path) -> None:
    """Nothing is found, and nothing is changed."""
    before = {n: d for n, d in files_of(archive).items() if n.startswith(("packs", "releases", "previews"))}
    told = curate("doctor", archive)
    assert "sound" in told.stdout
    assert {n: d for n, d in files_of(archive).items() if n in before} == before


def test_a_machine_that_cannot_confine_the_decoder_is_named(
    archive: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The archive is sound all the same: what the machine lacks is a note beside it, with what to do."""
    assert decoding.confinement().is_whole
    monkeypatch.setattr(decoding, "confinement", lambda: decoding.Confinement(limits=True, seccomp=False, landlock=0))
    health = doctor(archive)
    assert [(f.rule, f.place) for f in health.damaged] == [("DECODER_NOT_CONFINED", "this machine")]
    comparing._print_health(health, dry_run=False)
    told = capsys.readouterr().out
    assert told.index("The archive is sound.") < told.index("To note:") < told.index("DECODER_NOT_CONFINED")
    assert "Damaged:" not in told


def _damage(path: Path) -> bytes:
    """Change a byte in the middle, in place, so that linked names change with it."""
    good = path.read_bytes()
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(len(good) // 2)
        file.write(bytes([good[len(good) // 2] ^ 255]))
    return good


@pytest.mark.parametrize("how", ["missing", "damaged"])
def test_a_pack_is_mended_from_what_remains(archive: Path, how: str) -> None:
    """A pack of the archive comes back from a release or the hub, byte for byte."""
    path = sorted((archive / "packs").rglob("*.parquet"))[0]
    good = path.read_bytes()
    if how == "missing":
        path.unlink()
    else:
        _damage(path)
    looked = doctor(archive, dry_run=True)
    assert [f.rule for f in looked.repaired] == [f"PACK_{how.upper()}"]
    assert not path.exists() or path.read_bytes() != good
    assert [f.rule for f in doctor(archive).repaired] == [f"PACK_{how.upper()}"]
    assert path.read_bytes() == good
    assert not doctor(archive).repaired


def test_a_pack_of_which_nothing_remains_is_named(archive: Path) -> None:
    """Where the only pack of a new study is damaged everywhere, doctor says so and exits 1."""
    both = {p.name: p for p in (archive / "releases" / "1.1.0" / "packs").rglob("*.parquet")}
    old = {p.name for p in (archive / "releases" / "1.0.0" / "packs").rglob("*.parquet")}
    (name,) = both.keys() - old
    for path in [both[name], *(archive / "packs").rglob(name)]:
        _damage(path)
    told = curate_json("doctor", archive, code=1)
    assert [f["rule"] for f in told["damaged"]] == ["PACK_DAMAGED"]
    assert [f["rule"] for f in told["repaired"]] == ["RELEASE_TO_CUT_AGAIN"]


def test_a_published_release_is_mended_from_the_hub(archive: Path) -> None:
    """Card, manifest and seal of a published version come back; a file too many goes."""
    folder = archive / "releases" / "1.0.0"
    before = files_of(folder)
    _damage(folder / "README.md")
    _damage(folder / "manifest" / "studies.parquet")
    (folder / "release.json").unlink()
    (folder / "notes.txt").write_text("x")
    health = doctor(archive)
    assert not health.damaged
    assert len(health.repaired) == 4
    assert files_of(folder) == before


def test_unused_files_go(archive: Path) -> None:
    """What a killed step left is removed; what the ledger knows stays."""
    stray = archive / "packs" / "aa" / f"{'a' * 64}.parquet"
    stray.parent.mkdir(exist_ok=True)
    stray.write_bytes(b"x")
    health = doctor(archive)
    assert [(f.rule, f.place) for f in health.repaired] == [("FILE_UNUSED", f"packs/aa/{'a' * 64}.parquet")]
    assert not stray.exists()


def test_a_damaged_ledger_or_receipts_are_told(archive: Path) -> None:
    """Garbage in ledger.db is an error with a next step; a torn list of receipts is a finding."""
    with opened(archive, write=False):
        pass
    path = archive / receipts.NAME
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"AAAA\n" + b"".join(lines[2:]))
    assert [f.rule for f in doctor(archive).damaged] == ["RECEIPTS_DAMAGED"]
    for name in ("ledger.db-wal", "ledger.db-shm"):
        (archive / name).unlink(missing_ok=True)
    (archive / "ledger.db").write_bytes(os.urandom(8192))
    told = curate("doctor", archive, code=2)
    assert "ledger" in told.stderr
