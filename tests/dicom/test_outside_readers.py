"""Readers of other makers on what is released: dciodvfy finds no new errors, dcmdump reads every file.

`CURATE_READERS_FILES` sets how many corpus files are looked at.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from tests.planter import bases, system
from tests.planter.raw import BIG, write

FILES = int(os.environ.get("CURATE_READERS_FILES", "60"))


@cache
def pairs() -> tuple[tuple[str, bytes, bytes], ...]:
    """Originals and what is released of each: our own files, and every so many of the corpus.

    Without big-endian ones, which dciodvfy reads less closely than what comes of them.
    """
    found = [(draft.name, write(draft)) for draft in bases.drafts() if not draft.bare and draft.syntax != BIG]
    real = sorted(path for path in bases.CORPUS.rglob("*") if path.is_file() and path.stat().st_size < 400_000)
    found += [(path.name, path.read_bytes()) for path in real[:: max(1, len(real) // FILES)]]
    done = ((name, data, system.attack(data).released) for name, data in found)
    return tuple((name, data, released) for name, data, released in done if released is not None)


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def _errors(program: str, path: Path) -> Counter[str]:
    """The errors that dciodvfy reports, by their text without values."""
    done = subprocess.run([program, str(path)], capture_output=True, check=False)
    lines = (done.stderr + done.stdout).decode("latin-1").splitlines()
    errors = [line for line in lines if line.startswith("Error")]
    return Counter(re.sub(r"<[^>]*>|\d+(\.\d+)+", "", line) for line in errors)


def test_dciodvfy_finds_no_more_errors_than_before(tmp_path: Path) -> None:
    """A released file has no more errors of its IOD than the original had."""
    program = _program("dciodvfy")
    worse = []
    for name, original, released in pairs():
        before, after = tmp_path / "before.dcm", tmp_path / "after.dcm"
        before.write_bytes(original)
        after.write_bytes(released)
        old, new = _errors(program, before), _errors(program, after)
        if new.total() > old.total():
            worse.append((name, old.total(), new.total(), list((new - old).items())[:4]))
    assert len(pairs()) > 20
    assert not worse, f"{len(worse)} of {len(pairs())}: {worse[:12]}"


def test_dcmdump_reads_every_file(tmp_path: Path) -> None:
    """Dcmtk reads each released file to its end, without a complaint."""
    program = _program("dcmdump")
    failed = []
    for name, _, released in pairs():
        path = tmp_path / "file.dcm"
        path.write_bytes(released)
        done = subprocess.run([program, "+fo", str(path)], capture_output=True, check=False)
        if done.returncode or b"E:" in done.stderr or b"W:" in done.stderr:
            failed.append((name, done.returncode, done.stderr[-300:]))
    assert not failed, failed[:10]
