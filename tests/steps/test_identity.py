"""The bytes of a release are a function of what was taken in and of the keys: of nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import synth
from tests.corpus import write_table
from tests.steps.archives import sealed_files_of

STUDIES = 5
_CUT = """
import os, sys
from pathlib import Path
from curate.steps.intake import intake
from curate.steps.publish import publish
from curate.steps.release import release
from tests.steps.archives import make_archive, with_fixed_keys

root, mask, workers, table, *sources = sys.argv[1:]
os.umask(int(mask, 8))
archive = with_fixed_keys(make_archive(Path(root), hub=Path(root + "-hub").as_uri()))
for named in sources:
    found = [Path(source) for source in named.split(os.pathsep)]
    intake(archive, found, Path(table), deidentify=True, workers=int(workers))
publish(archive, release(archive).version)
"""
_ENVIRONMENT = {"SOURCE_DATE_EPOCH": "1767225600", "TZ": "UTC", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0"}


@pytest.fixture(scope="module")
def donated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Five studies of two series, in a folder each; the second folder has the same files in another order."""
    folder = tmp_path_factory.mktemp("identity")
    for study in range(STUDIES):
        for number in range(4):
            data = synth.instance_bytes(study, 0, number % 2, number // 2, rows=16, columns=16)
            for name, file in (("plain", f"{number}.dcm"), ("mixed", f"é {9 - number}")):
                path = folder / name / f"{study if name == 'plain' else STUDIES - study}" / file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
    table = write_table(folder / "plain.csv", [synth.uid(study, 0) for study in range(STUDIES)])
    heading, *rows = table.read_text().splitlines()
    (folder / "mixed.csv").write_text("\n".join([heading, *reversed(rows)]) + "\n")
    yield folder
    shutil.rmtree(folder)


def _cut(
    donated: Path,
    root: Path,
    *sources: str,
    table: str = "plain",
    mask: str = "022",
    workers: int = 1,
    **environment: str,
) -> dict[str, bytes]:
    """What a process of its own makes of the donation: the release, in the archive and on the hub."""
    named = sources or (str(donated / "plain"),)
    command = [
        sys.executable,
        "-c",
        _CUT,
        str(root),
        mask,
        str(workers),
        str(donated / f"{table}.csv"),
        *named,
    ]
    env = {**os.environ, **_ENVIRONMENT, **environment}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 0, done.stderr
    found = sealed_files_of(root / "releases" / "1.0.0")
    assert sealed_files_of(Path(f"{root}-hub") / "v1.0.0") == found
    return found


@pytest.fixture(scope="module")
def plain(donated: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The release that everything else is compared with."""
    return _cut(donated, tmp_path_factory.mktemp("plain") / "archive")


def _same(found: dict[str, bytes], plain: dict[str, bytes]) -> None:
    assert sorted(found) == sorted(plain)
    assert [name for name in plain if found[name] != plain[name]] == []


def test_any_order_of_input(donated: Path, plain: dict[str, bytes], tmp_path: Path) -> None:
    """Other names of files and folders, another order of rows, folders one by one, and in two goes."""
    folders = sorted((donated / "mixed").iterdir(), key=lambda path: path.name, reverse=True)
    together = os.pathsep.join(map(str, folders))
    _same(_cut(donated, tmp_path / "a", together, table="mixed"), plain)
    two = (os.pathsep.join(map(str, folders[:2])), os.pathsep.join(map(str, folders[2:])))
    _same(_cut(donated, tmp_path / "b", *two, table="mixed"), plain)


def test_any_number_of_workers(donated: Path, plain: dict[str, bytes], tmp_path: Path) -> None:
    """Two processes give what one gives."""
    _same(_cut(donated, tmp_path / "archive", workers=2), plain)


def test_any_locale_zone_seed_and_umask(donated: Path, plain: dict[str, bytes], tmp_path: Path) -> None:
    """The account's settings leave no trace."""
    other = {"LC_ALL": "C", "LANG": "tr_TR.ISO-8859-9", "TZ": "Pacific/Kiritimati", "PYTHONHASHSEED": "4711"}
    other |= {"PYTHONUTF8": "0", "USER": "somebody", "LOGNAME": "somebody", "COLUMNS": "40"}
    _same(_cut(donated, tmp_path / "archive", mask="077", **other), plain)


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="the system has no file system in memory")
def test_any_file_system(donated: Path, plain: dict[str, bytes], tmp_path: Path) -> None:
    """An archive in memory gives what one on disk gives."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as memory:
        assert Path(memory).stat().st_dev != tmp_path.stat().st_dev
        try:
            _same(_cut(donated, Path(memory) / "archive"), plain)
        finally:
            for path in Path(memory).rglob("*"):
                path.chmod(0o755) if path.is_dir() else None
