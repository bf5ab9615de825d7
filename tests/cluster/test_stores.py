"""Packs and quarantine in a folder of their own and in an S3 bucket: stored whole, read in part, erased for good."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from curate.archive.stores import Store
from curate.core import remote
from curate.core.errors import DamagedError, InputError, StorageError
from tests import synth
from tests.cluster.machines import FIXED, s3
from tests.cluster.test_dask import make, release_of, upload
from tests.steps.archives import curate, curate_json, donation, files_of

s3fs = pytest.importorskip("s3fs")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """An S3 server that this process and the commands that it starts use."""
    with pytest.MonkeyPatch.context() as patch, s3(tmp_path_factory.mktemp("s3")) as environment:
        for name, value in environment.items():
            patch.setenv(name, value)
        remote.filesystem("s3://").mkdir("bucket")
        yield environment


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty store."""
    if request.param == "folder":
        return Store(str(tmp_path / "store"), str(tmp_path / "store" / "unfinished"))
    request.getfixturevalue("server")
    return Store(f"s3://bucket/{tmp_path.name}")


def _put(store: Store, data: bytes, **how: Any) -> str:
    name = f"packs/ab/{hashlib.sha256(data).hexdigest()}.parquet"
    with store.scratch() as folder:
        (folder / "pack").write_bytes(data)
        store.put(folder / "pack", name, **how)
    return name


def test_a_file_comes_back_whole_and_in_part(store: Store, tmp_path: Path) -> None:
    """What is put is there under its name, opens, seeks, copies, is listed, and is gone once it is removed."""
    data = bytes(range(256)) * 500
    name = _put(store, data)
    assert store.has(name)
    with store.open(name) as file:
        assert file.read(10) == data[:10]
        file.seek(-7, 2)
        assert file.read() == data[-7:]
    with store.local(name) as path:
        assert path.read_bytes() == data
    assert list(store.names("packs")) == [name]
    (tmp_path / "release").mkdir()
    store.take(name, tmp_path / "release" / "pack", tmp_path / "releases")
    assert (tmp_path / "release" / "pack").read_bytes() == data
    store.remove(name)
    store.remove(name)
    assert not store.has(name)
    assert list(store.names("packs")) == []
    with pytest.raises(FileNotFoundError):
        store.open(name)


def test_what_is_there_stays_unless_it_is_to_be_replaced(store: Store) -> None:
    """A pack's name says its content, so a second one is not written; a quarantined file is."""
    name = _put(store, b"first")
    with store.scratch() as folder:
        (folder / "other").write_bytes(b"second")
        store.put(folder / "other", name)
        with store.open(name) as file:
            assert file.read() == b"first"
        store.put(folder / "other", name, replace=True)
    with store.open(name) as file:
        assert file.read() == b"second"


def test_two_archives_do_not_share_a_store(store: Store) -> None:
    """The second one is refused: each removes what none of its own studies needs."""
    store.claim("one")
    store.claim("one")
    with pytest.raises(InputError, match="another archive's"):
        store.claim("two")


def test_a_bucket_that_keeps_old_versions_is_refused(server: dict[str, str]) -> None:
    """Where removed objects stay readable, nothing about a person may lie."""
    fs = remote.filesystem("s3://")
    fs.mkdir("kept")
    fs.call_s3("put_bucket_versioning", Bucket="kept", VersioningConfiguration={"Status": "Enabled"})
    with pytest.raises(InputError, match="would not erase"):
        Store("s3://kept/archive").claim("one")


def test_a_damaged_or_missing_object_is_told(server: dict[str, str], tmp_path: Path) -> None:
    """A copy whose bytes are not what its name says does not get into a release."""
    store = Store("s3://bucket/damaged")
    name = _put(store, b"good")
    remote.put(b"bad", f"s3://bucket/damaged/{name}")
    with pytest.raises(DamagedError, match="is damaged"):
        store.take(name, tmp_path / "pack", tmp_path / "releases")
    store.remove(name)
    with pytest.raises(DamagedError, match="is missing"):
        store.take(name, tmp_path / "pack", tmp_path / "releases")
    assert list(tmp_path.iterdir()) == []


def test_errors_name_the_bucket_and_never_the_object(server: dict[str, str]) -> None:
    """A key may be a person's name: a failure says bucket and reason only; no library for a URL is said too."""
    with pytest.raises(StorageError) as refused:
        remote.put(b"x", "s3://no-such-bucket-here/Puigdomenech/1.dcm")
    assert "s3://no-such-bucket-here" in str(refused.value)
    assert "Puigdomenech" not in str(refused.value) + refused.value.hint
    with pytest.raises(InputError, match="Nothing here can read nothing://"):
        remote.put(b"x", "nothing://a/b")


def test_the_whole_life_of_an_archive_on_s3(server: dict[str, str], tmp_path: Path) -> None:
    """Intake from a bucket, quarantine, doctor, withdrawal: as with folders, and what goes is gone from the bucket."""
    given, table = donation(tmp_path / "in", studies=2, instances=2)
    (given / "more").mkdir()
    (given / "more" / "1.dcm").write_bytes(synth.instance_bytes(90, 0, 0, 0))
    (given / "more" / "note.txt").write_text("no instance")
    bucket = upload(server, given)
    bucket.pipe_file("given/more/note.txt", b"no instance")
    here, there = make(tmp_path / "here"), make(tmp_path / "there", "s3://shared/archive")
    how = ("--studies", table, "--deidentify", "--workers", 1)
    curate("intake", here, given, *how, **FIXED)
    report = curate_json("intake", there, "s3://given", *how)
    assert (report["files"], report["admitted_studies"], report["quarantined_instances"]) == (6, 2, 1)
    assert report["kinds"] == {"text": 1}
    assert release_of(here) == release_of(there)
    packs = bucket.find("shared/archive/packs")
    assert [path.removeprefix("shared/archive/") for path in packs] == [
        f"packs/{path}" for path in files_of(here / "packs")
    ]
    _mended(bucket, packs[0], there)
    entry = curate_json("quarantine", there)[0]["id"]
    curate("quarantine", there, "--export", entry, "--to", tmp_path / "decide")
    assert (tmp_path / "decide" / "000001.dcm").read_bytes() == (given / "more" / "1.dcm").read_bytes()
    for study in range(2):
        curate("withdraw", there, synth.uid(study, 0))
    assert bucket.find("shared/archive/packs") == []
    curate("quarantine", there, "--discard", entry, "--reason", "NOT_CONSENTED")
    assert bucket.find("shared") == ["shared/archive/curate-owner"]


def test_a_later_batch_joins_a_study_whose_packs_lie_on_s3(server: dict[str, str], tmp_path: Path) -> None:
    """The admitted instances come out of the bucket's packs; these go, and the release is that of one batch."""
    given, table = donation(tmp_path / "in", studies=2, instances=3)
    here, there = make(tmp_path / "here"), make(tmp_path / "there", "s3://bucket/joined")
    how = ("--studies", table, "--deidentify", "--workers", 1)
    curate("intake", here, given, *how, **FIXED)
    late = [given / f"study{study}" / "002.dcm" for study in range(2)]
    for number, path in enumerate(late):
        path.rename(tmp_path / f"{number}.dcm")
    curate("intake", there, given, *how, **FIXED)
    report = curate_json("intake", there, tmp_path / "0.dcm", tmp_path / "1.dcm", *how)
    assert (report["joined_instances"], report["joined_studies"]) == (2, 2)
    found = remote.filesystem("s3://").find("bucket/joined/packs")
    assert [path.removeprefix("bucket/joined/packs/") for path in found] == [*files_of(here / "packs")]
    assert release_of(here) == release_of(there)


def _mended(bucket: Any, pack: str, archive: Path) -> None:
    """Doctor puts an altered pack right, out of the release."""
    data = bucket.cat_file(pack)
    bucket.pipe_file(pack, b"altered")
    assert "PACK_DAMAGED" in curate("doctor", archive).stdout
    assert bucket.cat_file(pack) == data


def test_a_container_in_a_bucket_is_unpacked(server: dict[str, str], tmp_path: Path) -> None:
    """A .zip among the objects is copied and unpacked here, its members go in; nothing of it stays."""
    import shutil

    given, table = donation(tmp_path / "in", studies=2, instances=2)
    shutil.make_archive(str(tmp_path / "all"), "zip", given)
    fs = remote.filesystem("s3://")
    fs.mkdir("zipped")
    fs.pipe_file("zipped/sent/all.zip", (tmp_path / "all.zip").read_bytes())
    archive = make(tmp_path / "archive")
    report = curate_json("intake", archive, "s3://zipped/sent", "--studies", table, "--deidentify", "--workers", 1)
    assert (report["files"], report["admitted_studies"]) == (4, 2)
    assert files_of(archive / "tmp") == {}
    told = curate("intake", archive, "s3://zipped/none", "--studies", table, code=2).stderr
    assert "Nothing lies below s3://zipped/none" in told
