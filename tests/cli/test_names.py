"""Names that are not UTF-8, as older systems wrote them: read and written as they are, or refused in one clear line."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from curate.metadata import cells
from curate.steps.intake import intake
from curate.steps.quarantine import waiting
from tests import synth
from tests.corpus import write_table
from tests.steps.archives import donation, make_archive

_LATIN = os.fsdecode("Núñez".encode("latin-1"))
_ASCII = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}


def _run(*words: object, code: int = 0, **environment: str) -> bytes:
    """What the command writes, as bytes: the names in it are no text."""
    command = [sys.executable, "-m", "curate", *map(str, words)]
    done = subprocess.run(command, capture_output=True, env={**os.environ, **environment}, timeout=300, check=False)
    shown = done.stdout + done.stderr
    assert b"Traceback" not in shown, shown
    assert b"defect" not in shown, shown
    assert done.returncode == code, shown
    return shown


def _donated(folder: Path) -> Path:
    """A study in a folder of a Latin-1 name, as the table names it, and a truncated file under one."""
    inside = folder / "in" / _LATIN
    inside.mkdir(parents=True)
    (inside / f"{_LATIN}.dcm").write_bytes(synth.instance_bytes(0, 0, 0, 0, rows=16, columns=16))
    (folder / "in" / f"x{_LATIN}").write_bytes(synth.instance_bytes(1, 0, 0, 0, rows=16, columns=16)[:-40])
    with tarfile.open(folder / "names.tar", "w") as container:
        for path in sorted((folder / "in").rglob("*")):
            if path.is_file():
                info = tarfile.TarInfo(str(path.relative_to(folder / "in")))
                info.size = path.stat().st_size
                container.addfile(info, io.BytesIO(path.read_bytes()))
    return write_table(folder / "t.csv", ["Núñez", synth.uid(1, 0)])


@pytest.mark.parametrize("source", ["in", "names.tar"])
def test_intake_takes_what_is_good_and_keeps_the_rest(source: str, tmp_path: Path) -> None:
    """The study whose folder the table names enters, the truncated one waits, and its path is shown as it is."""
    table = _donated(tmp_path)
    archive = make_archive(tmp_path / "archive")
    words = (
        "intake",
        archive,
        tmp_path / source,
        "--studies",
        table,
        "--deidentify",
        "--json",
        "--workers",
        "1",
    )
    report = json.loads(_run(*words, **_ASCII))
    assert (report["admitted_studies"], report["quarantined_studies"]) == (1, 1)
    (entry,) = json.loads(_run("quarantine", archive, "--json"))
    assert _LATIN.encode("latin-1", "surrogateescape") in _run("quarantine", archive, "--paths", entry["id"], **_ASCII)
    shown = json.loads(_run("quarantine", archive, "--paths", entry["id"], "--json"))
    assert _LATIN in json.dumps(shown, ensure_ascii=False)


def test_what_belongs_to_no_study_waits_under_such_a_name(tmp_path: Path) -> None:
    """It is known by its path alone, and by the same one in the next batch."""
    folder, table = donation(tmp_path / "in", studies=1, instances=1)
    (folder / _LATIN).write_bytes(synth.instance_bytes(1, 0, 0, 0, rows=16, columns=16)[:300])
    archive = make_archive(tmp_path / "archive")
    for _ in range(2):
        report = intake(archive, [folder], table, deidentify=True, workers=1)
        assert (report.admitted_instances, report.quarantined_instances) == (1, 1)
        assert len(list(waiting(archive))) == 1
        (folder / "note.txt").write_text("so that the sources are looked at again")


def test_deidentify_writes_to_such_a_place(tmp_path: Path) -> None:
    """Sources and DEST; the sealed list of what was refused says where it lay, in any locale."""
    _donated(tmp_path)
    dest = tmp_path / _LATIN / "out"
    _run("deidentify", tmp_path / "in", dest, "--key", tmp_path / "key", "--workers", "1", **_ASCII)
    assert len(list(dest.rglob("*.dcm"))) == 1
    for line in _run("unseal", tmp_path / "key.refused", "--key", tmp_path / "key", **_ASCII).splitlines():
        assert _LATIN in json.loads(line)["path"]
    _run("inspect", tmp_path / "in", "--paths", "--workers", "1", code=1, **_ASCII)


def test_an_archive_or_release_at_such_a_place_is_refused(tmp_path: Path) -> None:
    """Its tables could not be opened there: one line says so, whatever the command."""
    place = tmp_path / _LATIN
    init = (
        "init",
        place,
        "--title",
        "T",
        "--publisher",
        "P",
        "--license",
        "CC-BY-4.0",
        "--population",
        "test",
    )
    assert b"not UTF-8" in _run(*init, code=2)
    assert not place.exists()
    golden = Path(__file__).resolve().parents[2] / "manifests" / "golden"
    place.symlink_to(golden)
    for command in (("check",), ("audit",), ("diff", golden), ("fetch", "--to", tmp_path / "chosen")):
        shown = _run(*command, place, code=2)
        assert b"not UTF-8" in shown, (command, shown)


def test_a_table_cannot_hold_what_no_encoding_has(tmp_path: Path) -> None:
    """Half of a letter, as UTF-16 can state it, is read as the mark for what is no letter."""
    path = tmp_path / "t.csv"
    path.write_bytes("study,donor\n1,x".encode("utf-16-le") + b"\x3d\xd8" + "y\n".encode("utf-16-le"))
    rows = [row for _, row in cells.read(path, frozenset(("study", "donor")))]
    assert rows[1] is not None
    assert "".join(rows[1]).encode()
