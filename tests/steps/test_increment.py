"""A release after 1% was added and one study withdrawn costs what changed: bytes read, written and sent are counted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from curate.archive.repository import opened
from curate.core.errors import RefusedError
from curate.steps.intake import intake
from curate.steps.publish import publish
from curate.steps.release import cut, release
from tests import synth
from tests.corpus import write_table
from tests.steps.archives import donation, files_of, make_archive

STUDIES, SLICES, SIDE = 60, 2, 512
PACK_MB = 4
MB = 1_000_000
_COUNT = """
import json, sys
from pathlib import Path
from curate.steps.publish import publish
from curate.steps.release import cut, release
from curate.steps.withdraw import withdraw
from curate.verify.release import check_release

def moved():
    pairs = (line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return {name: int(value) for name, value in pairs}

root, version, subject = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
steps = {
    "withdraw": lambda: withdraw(root, subject),
    "release": lambda: release(root),
    "publish": lambda: publish(root, version),
}
check_release(root / "releases" / "1.0.0")  # what it imports is not counted
found = {}
for name, step in steps.items():
    before = moved()
    done = step()
    after = moved()
    found[name] = {"read": after["rchar"] - before["rchar"], "written": after["wchar"] - before["wchar"]}
found["sent_bytes"] = done.sent_bytes
print(json.dumps(found))
"""


def _donated(folder: Path, numbers: range) -> tuple[Path, Path]:
    for number in numbers:
        place = folder / f"study{number}"
        place.mkdir(parents=True)
        for n in range(SLICES):
            data = synth.instance_bytes(number, 0, 0, n, rows=SIDE, columns=SIDE)
            (place / f"{n}.dcm").write_bytes(data)
    return folder, write_table(folder.parent / f"{folder.name}.csv", [synth.uid(number, 0) for number in numbers])


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 studies of 1 MB, published in packs of 4 MB; then one more study is there."""
    root = make_archive(tmp_path_factory.mktemp("increment") / "archive")
    config = root / "archive.toml"
    config.write_text(config.read_text().replace("target_size_mb = 32", f"target_size_mb = {PACK_MB}"))
    assert f"target_size_mb = {PACK_MB}" in config.read_text()
    for name, numbers in (("first", range(STUDIES)), ("second", range(STUDIES, STUDIES + 1))):
        source, table = _donated(root.parent / name, numbers)
        intake(root, [source], table, deidentify=True, workers=1)
        if name == "first":
            release(root)
            publish(root, "1.0.0")
    return root


def _counted(root: Path, version: str, subject: str) -> dict[str, Any]:
    command = [sys.executable, "-c", _COUNT, str(root), version, subject]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="the system does not count a process's bytes")
def test_an_increment_costs_what_changed(archive: Path) -> None:
    """Withdrawal, release and publication write, read and send at most 1.2 times what was added, and a pack or two."""
    added = SLICES * SIDE * SIDE * 2
    all_of_it = added * STUDIES
    before = {path for path in files_of(archive) if path.startswith("packs/")}
    with opened(archive, write=False) as held:
        pack = held.config.target_pack_bytes
    counted = _counted(archive, "1.1.0", synth.uid(3, 0))
    new = {path: data for path, data in files_of(archive).items() if path.startswith("packs/") and path not in before}
    assert len(new) == 1 < len(before)  # the one that is without the withdrawn study
    room = 1.2 * added + pack + MB  # the manifest, texts, ledger of so small an archive: 1 MB
    assert 3 * room < all_of_it
    for step in ("release", "publish"):
        assert counted[step]["written"] < room, counted
        assert counted[step]["read"] < 3 * room, counted  # hashed, looked through, copied
    assert counted["withdraw"]["written"] < pack + MB, counted  # the pack is written once, whatever versions held it
    assert counted["sent_bytes"] < room, counted


def test_what_was_verified_is_read_again_only_if_touched_or_asked(tmp_path: Path) -> None:
    """A pack that changed on disk is noticed by its time; one whose time was kept only by `full`."""
    root = make_archive(tmp_path / "archive")
    source, table = donation(tmp_path / "donated")
    intake(root, [source], table, deidentify=True, workers=1)
    release(root)
    publish(root, "1.0.0")
    assert publish(root, "1.0.0").already
    (pack,) = (root / "releases" / "1.0.0" / "packs").rglob("*.parquet")
    state, data = pack.stat(), bytearray(pack.read_bytes())
    data[2000] ^= 1
    pack.chmod(0o644)
    pack.write_bytes(data)
    with pytest.raises(RefusedError, match="does not pass its checks"):
        publish(root, "1.0.0")
    os.utime(pack, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert publish(root, "1.0.0").already
    with pytest.raises(RefusedError, match="does not pass its checks"):
        publish(root, "1.0.0", full=True)


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Above what a hub takes, the message says how many and what to raise; the archive is as it was."""
    root = make_archive(tmp_path / "archive")
    source, table = donation(tmp_path / "donated")
    intake(root, [source], table, deidentify=True, workers=1)
    monkeypatch.setattr(cut, "MAX_FILES", 1)
    with pytest.raises(RefusedError, match=r"would have \d packs; hubs take 1 files") as error:
        release(root)
    assert "target_size_mb" in str(error.value.hint)
    assert not list((root / "releases").iterdir())
