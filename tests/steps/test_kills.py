"""A step that is killed, or refused by the disk, at any single write, sync, rename, link, removal or commit."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from curate.archive import arrow_ipc, receipts
from curate.archive.packs import read_instance
from curate.archive.repository import opened, vault_name
from curate.core.digests import canonical_json
from curate.keys.derivation import Keys
from tests import synth
from tests.steps.archives import donation, files_of, make_archive

STAGES = ("intake", "join", "release", "publish", "withdraw", "purge", "release again", "publish again")
PARTS = 4  # so that several processes share the exhaustive ones
FAULTS = {"SIGKILL": "", "ENOSPC": "the disk is full", "EIO": "the device reports an I/O error"}
_Answer = dict[str, Any]


@dataclass(frozen=True)
class Bench:
    """The driver, a folder to work in, and what each stage left in an undisturbed run."""

    driver: subprocess.Popen[str]
    folder: Path

    @property
    def archive(self) -> Path:
        """The archive that the commands work on."""
        return self.folder / "work" / "archive"

    @property
    def hub(self) -> Path:
        """The folder hub to which it publishes."""
        return self.folder / "work" / "hub"

    def command(self, stage: str) -> list[str]:
        """The command of a stage."""
        archive, studies = str(self.archive), ["--studies", str(self.folder / "donated.csv")]
        options = [*studies, "--deidentify", "--workers", "1"]
        return {
            "intake": ["intake", archive, str(self.folder / "donated"), *options],
            "join": ["intake", archive, str(self.folder / "late"), *options],
            "release": ["release", archive],
            "publish": ["publish", archive, "1.0.0"],
            "withdraw": ["withdraw", archive, synth.uid(1, 0)],
            "purge": ["purge", archive],
            "release again": ["release", archive],
            "publish again": ["publish", archive, "1.0.1"],
        }[stage]

    def run(self, stage: str, at: int = 0, fault: str = "") -> _Answer:
        """Run a stage's command, and stop it before its `at`-th durable step."""
        request = {"arguments": self.command(stage), "at": at, "fault": fault}
        assert self.driver.stdin and self.driver.stdout
        self.driver.stdin.write(json.dumps(request) + "\n")
        self.driver.stdin.flush()
        answer: _Answer = json.loads(self.driver.stdout.readline())
        assert "Traceback" not in answer["output"], answer["output"]
        return answer

    def restore(self, name: str) -> None:
        """Put the archive and the hub back to how they were after a stage."""
        _remove(self.folder / "work")
        shutil.copytree(self.folder / name, self.folder / "work")

    def keep(self, name: str) -> None:
        """Remember the archive and the hub as they are."""
        shutil.copytree(self.folder / "work", self.folder / name)


@pytest.fixture(scope="module")
def bench(fast_folder: Path) -> Iterator[Bench]:
    """All stages run once, undisturbed: three studies of which one has no row in the table."""
    folder = fast_folder / "kills"
    folder.mkdir()
    (folder / "work").mkdir()
    archive = make_archive(folder / "work" / "archive", hub=(folder / "work" / "hub").as_uri())
    (archive / "secret.key").write_text("60" * 32 + "\n")
    donation(folder / "donated", studies=3, instances=2)
    (folder / "donated" / "study9").mkdir()
    (folder / "donated" / "study9" / "0.dcm").write_bytes(synth.instance_bytes(9, 0, 0, 0))
    _late(folder / "late")
    driver = subprocess.Popen(
        [sys.executable, "-m", "tests.steps.fault_driver"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "SOURCE_DATE_EPOCH": "1767225600"},
    )
    made = Bench(driver, folder)
    made.keep("before intake")
    for stage, following in zip(STAGES, (*STAGES[1:], "the end"), strict=True):
        answer = made.run(stage)
        assert answer["code"] == 0, answer["output"]
        assert stage != "join" or _joined(archive) == [1, 2], answer["output"]
        (folder / f"{stage}.steps").write_text(str(answer["steps"]))
        made.keep(f"before {following}")
    yield made
    driver.communicate()
    _remove(folder)


def _late(folder: Path) -> None:
    """A second batch: a series that joins study 0, and all of study 2 with an earlier one, so that it is taken anew."""
    first = synth.load_instance(2, 0, 1, 0, rows=32, columns=32)
    first.AcquisitionTime = "070000"
    files = {"a": synth.to_bytes(first)}
    files |= {f"0-{n}": synth.instance_bytes(0, 0, 1, n, rows=32, columns=32) for n in range(2)}
    files |= {f"2-{n}": synth.instance_bytes(2, 0, 0, n, rows=32, columns=32) for n in range(2)}
    folder.mkdir()
    for name, data in files.items():
        (folder / f"{name}.dcm").write_bytes(data)


def _remove(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")] if folder.exists() else ():
        if path.is_dir():
            path.chmod(0o755)
    shutil.rmtree(folder, ignore_errors=True)


def _joined(archive: Path) -> list[int]:
    """How many instances joined each study that there was."""
    with opened(archive, write=False) as held:
        return sorted(event.payload["joined"] for event in held.ledger.events("joined"))


def _trees(work: Path) -> dict[str, dict[str, bytes]]:
    """Every release folder that shows, of the archive and of the hub, with its bytes."""
    folders = [*(work / "archive" / "releases").glob("[0-9]*")]
    refs = work / "hub" / "refs.json"
    folders += [work / "hub" / tag for tag in json.loads(refs.read_text())["tags"]] if refs.exists() else []
    return {folder.relative_to(work).as_posix(): files_of(folder) for folder in folders}


def _ledger(archive: Path) -> list[str]:
    """What the ledger says, the random receipts apart."""
    with opened(archive, write=False) as held:
        ledger = held.ledger
        said = [canonical_json([e.kind, e.subject, e.at, e.payload]) for e in ledger.events()]
        said += [f"{r}" for r in ledger.studies()] + [f"{q}" for q in ledger.quarantined()]
        said += [f"{digest.hex()} {version}" for digest, version in ledger.revocations()]
        codes = list(receipts.read(archive / receipts.NAME, Keys.from_secret(held.secret).storage))
        assert all(ledger.receipt(receipts.digest(r.code)) == r.study_id for r in codes)
        return said + sorted(r.study_id for r in codes)


def _stored(archive: Path) -> dict[str, bytes]:
    """Packs, previews and releases with their bytes; of the quarantine the names, it is encrypted anew."""
    found = {}
    for name in ("packs", "previews", "releases"):
        found |= {f"{name}/{path}": data for path, data in files_of(archive / name).items()}
    return found | {f"quarantine/{path}": b"" for path in files_of(archive / "quarantine")}


def _nothing_lost(archive: Path) -> None:
    """Every admitted study has all of its instances, with their digests."""
    with opened(archive, write=False) as held:
        assert held.ledger.verify()
        for record in held.ledger.studies():
            for row in arrow_ipc.from_ipc(record.instances).to_pylist():
                data = read_instance(archive / row["pack"], row["offset_bytes"], row["size_bytes"])
                assert hashlib.sha256(data).digest() == row["sha256"]
        for entry in held.ledger.quarantined():
            assert held.quarantine.has(vault_name(entry.id))


def _check(bench: Bench, stage: str, fault: str, at: int) -> None:
    """One fault: what shows afterwards is as before or as it should be; the next run finishes."""
    following = (*STAGES[1:], "the end")[STAGES.index(stage)]
    before, after = bench.folder / f"before {stage}", bench.folder / f"before {following}"
    bench.restore(before.name)
    answer = bench.run(stage, at, fault)
    if fault == "SIGKILL":
        assert answer["signal"] == signal.SIGKILL, f"step {at}: {answer}"
    else:
        assert answer["code"] == 2, f"step {at}: {answer}"
        told = " ".join(answer["output"].split())
        assert told.startswith("Error: Cannot ") and FAULTS[fault] in told and "Next: " in told, f"{at}: {told}"
    _nothing_lost(bench.archive)
    allowed = [_trees(before), _trees(after)]
    for name, tree in _trees(bench.folder / "work").items():
        assert tree in [trees.get(name) for trees in allowed], f"step {at}: {name} is half-done"
    again = bench.run(stage)
    assert again["code"] == 0, f"after step {at}: {again['output']}"
    assert _ledger(bench.archive) == _ledger(after / "archive"), f"after step {at}"
    assert _stored(bench.archive) == _stored(after / "archive"), f"after step {at}"
    if after.joinpath("hub").exists():
        assert files_of(bench.hub) == files_of(after / "hub"), f"after step {at}"


def _steps(bench: Bench, stage: str) -> int:
    return int((bench.folder / f"{stage}.steps").read_text())


@pytest.mark.sampled(3)
@pytest.mark.parametrize("stage", STAGES)
def test_a_fault_leaves_what_was_or_what_should_be(bench: Bench, stage: str) -> None:
    """At steps spread over each command: nothing is lost, nothing half-done shows, a rerun ends it."""
    steps = _steps(bench, stage)
    faults = ("SIGKILL", "ENOSPC", "SIGKILL", "EIO")
    for number, fault in enumerate(faults, 1):
        _check(bench, stage, fault, steps * number // len(faults))


@pytest.mark.sampled(6)
@pytest.mark.long
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("kind", ["killed", "refused"])
@pytest.mark.parametrize("stage", STAGES)
def test_a_fault_at_every_step(bench: Bench, stage: str, kind: str, part: int) -> None:
    """The same at every single durable step; a full disk and an I/O error take turns, for one path leads from both."""
    broken = []
    for at in range(1 + part, _steps(bench, stage) + 1, PARTS):
        try:
            _check(bench, stage, "SIGKILL" if kind == "killed" else ("ENOSPC", "EIO")[at % 2], at)
        except AssertionError as error:
            broken.append(f"{at}: {str(error)[:400]}")
    assert not broken, "\n".join(broken)
