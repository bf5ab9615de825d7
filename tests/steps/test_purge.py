"""A purge waits for no new version: whatever else is wrong, what was withdrawn leaves the hub."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from curate.archive import arrow_ipc
from curate.archive.repository import opened
from curate.core.errors import CurateError, HubError
from curate.core.findings import Severity
from curate.hub import open_target
from curate.steps.doctor import doctor
from curate.steps.intake import intake
from curate.steps.publish import publish
from curate.steps.purge import purge
from curate.steps.release import release
from curate.steps.withdraw import withdraw
from curate.verify.release import check_release
from tests import synth
from tests.hub.server import HubServer
from tests.steps import donors
from tests.steps.archives import curate, donation, make_archive
from tests.steps.test_recall import id_of, places

Break = Callable[[Path], None]


def build(root: Path, hub: str) -> Path:
    """An archive that published 1.0.0 with studies 0 to 2, which share a pack."""
    make_archive(root, hub=hub)
    (root / "secret.key").write_text("60" * 32 + "\n")
    source, table = donation(root.parent / "donated", studies=3, instances=2)
    intake(root, [source], table, deidentify=True, workers=1)
    publish(root, release(root).version)
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The archive, whose hub is a folder."""
    return build(tmp_path / "archive", (tmp_path / "hub").as_uri())


def _write(path: Path, data: bytes) -> None:
    path.chmod(0o600)
    path.write_bytes(data)


def _approvals(root: Path) -> None:
    toml = root / "archive.toml"
    toml.write_text(toml.read_text().replace("required = 0", "required = 2"))


def _pack_of_another(root: Path) -> None:
    """A byte of study 0, in the pack that all share, in the archive and its release."""
    with opened(root, write=False) as archive:
        record = archive.ledger.study(id_of(root, 0))
        assert record is not None
        row = arrow_ipc.from_ipc(record.instances).to_pylist()[0]
    path = root / row["pack"]
    data = bytearray(path.read_bytes())
    data[row["offset_bytes"] + row["size_bytes"] // 2] ^= 255
    _write(path, bytes(data))


def _pack_cut_short(root: Path) -> None:
    for path in (root / "packs").rglob("*.parquet"):
        _write(path, path.read_bytes()[:3000])


def _table(root: Path) -> None:
    _write(root / "releases/1.0.0/manifest/instances.parquet", b"PAR1 garbage PAR1")


def _cell(root: Path) -> None:
    path = root / "releases/1.0.0/manifest/studies.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    _write(path, bytes(data))


def _seal(root: Path) -> None:
    _write(root / "releases/1.0.0/release.json", b"{")


def _signed(root: Path) -> None:
    _write(root / "releases/1.0.0/attestations/checkpoint.txt", b"")


def _previews(root: Path) -> None:
    for path in (root / "previews").glob("*.parquet"):
        _write(path, path.read_bytes()[:-40])


def _folder(root: Path) -> None:
    shutil.rmtree(root / "releases/1.0.0")


BREAKS = (_approvals, _pack_of_another, _pack_cut_short, _table, _cell, _seal, _signed, _previews, _folder)


def _errors(folder: Path) -> list[str]:
    return [f.rule for r in check_release(folder) for f in r.findings if f.severity is Severity.ERROR]


@pytest.mark.sampled(5)
@pytest.mark.parametrize("broken", BREAKS, ids=lambda broken: broken.__name__.strip("_"))
@pytest.mark.parametrize("when", ["before", "after"])
def test_what_was_withdrawn_leaves_the_hub_whatever_else_is_wrong(root: Path, broken: Break, when: str) -> None:
    """Damaged before the withdrawal or after it: nothing of the study stays, the others are served whole."""
    hub, study = root.parent / "hub", id_of(root, 1)
    if when == "before":
        broken(root)
    withdraw(root, study)
    if when == "after":
        broken(root)
    (done,) = purge(root)
    assert (done.purged, done.dropped, done.remaining) == (("v1.0.0",), (), ())
    assert not places(hub, study)
    assert _errors(hub / "v1.0.0") == []
    ids = pq.read_table(hub / "v1.0.0/manifest/studies.parquet")["study_id"].to_pylist()
    assert ids == sorted(id_of(root, n) for n in (0, 2))
    assert pq.read_table(hub / "v1.0.0/manifest/revocations.parquet")["version"].to_pylist() == ["1.0.1"] * 2
    assert not places(root / "releases", study)
    assert not places(root / "packs", study)
    assert purge(root)[0].purged == ()
    if broken is not _approvals:
        assert [f.rule for f in doctor(root).damaged] == []
        publish(root, release(root).version)
        assert not places(hub, study)


def test_a_version_that_is_damaged_everywhere_goes_off_the_hub(root: Path) -> None:
    """Neither here nor there can it be had whole: it is served no more."""
    study = id_of(root, 1)
    withdraw(root, id_of(root, 2))
    publish(root, release(root).version)
    _table(root)
    path = root.parent / "hub/v1.0.0/manifest/instances.parquet"
    _write(path, b"PAR1 garbage PAR1")
    withdraw(root, study)
    (done,) = purge(root)
    assert (done.purged, done.dropped) == (("v1.0.1",), ("v1.0.0",))
    assert not places(root.parent / "hub", study)
    assert list(json.loads((root.parent / "hub/refs.json").read_text())["tags"]) == ["v1.0.1"]


def test_publish_purges_before_it_refuses(root: Path) -> None:
    """A publication that is refused has taken what was withdrawn off the hub all the same."""
    study = id_of(root, 1)
    withdraw(root, study)
    _approvals(root)
    source, table = donation(root.parent / "later", studies=1, instances=1, first=9)
    intake(root, [source], table, deidentify=True, workers=1)
    version = release(root).version
    curate("publish", root, version, code=2)
    assert not places(root.parent / "hub", study)


def test_one_hub_that_fails_holds_up_no_other(root: Path) -> None:
    """The purge of the second goes on; the first is told."""
    second = root.parent / "a-second"
    publish(root, "1.0.0", second.as_uri())
    withdraw(root, id_of(root, 1))
    refs = second / "refs.json"
    good = refs.read_bytes()
    _write(refs, b"{")
    with pytest.raises(HubError):
        purge(root)
    assert not places(root.parent / "hub", id_of(root, 1))
    _write(refs, good)
    purge(root)
    assert not places(second, id_of(root, 1))


def test_a_release_that_disclosure_control_holds_back_holds_no_purge(tmp_path: Path) -> None:
    """Of persons: the next release can't even be judged, and the donor is off the hub."""
    root = donors.make_archive(tmp_path / "archive")
    hub = tmp_path / "hub"
    donors.take_in(root, tmp_path / "given", range(12))
    cut = release(root, accept_loss=True)
    publish(root, cut.version, hub.as_uri())
    study = pq.read_table(cut.path / "manifest/studies.parquet")["study_id"].to_pylist()[0]
    withdraw(root, study)
    for path in (root / "disclosure").glob("*.arrow"):
        path.unlink()
    with pytest.raises(CurateError):
        release(root)
    assert purge(root)[0].purged == (f"v{cut.version}",)
    assert not places(hub, study)


@pytest.mark.parametrize("broken", [_approvals, _seal, _pack_of_another], ids=lambda broken: broken.__name__)
def test_the_hub_of_hugging_face_is_purged_too(tmp_path: Path, hub: HubServer, broken: Break) -> None:
    """The same over HTTP, with the real client: a damaged version is taken back from there and cut again."""
    root = build(tmp_path / "archive", "hf://org/held")
    broken(root)
    study = id_of(root, 1)
    withdraw(root, study)
    assert purge(root)[0].purged == ("v1.0.0",)
    target = open_target("hf://org/held")
    packs = [path for path in target.holds("1.0.0") if path.startswith("packs/")]
    assert packs
    assert not any(study.encode() in target.read("1.0.0", path) for path in packs)


def test_the_command_says_what_it_did(root: Path) -> None:
    """In words: which versions, what was erased; and that nothing is left to do."""
    told = curate("withdraw", root, synth.uid(1, 0)).stdout
    assert "curate purge" in told
    assert "serves v1.0.0 without what was withdrawn" in curate("purge", root).stdout
    assert "holds nothing that was withdrawn" in curate("purge", root).stdout
