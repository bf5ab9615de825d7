"""A bucket as a hub, through botocore: digests that S3 compares, the tag last, every version erased."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from curate.core.errors import DamagedError, HubError, RefusedError
from curate.hub import open_target
from curate.hub.protocol import Target
from curate.hub.retry import Patience
from tests.hub.s3_server import S3Server
from tests.hub.small_release import make_release, pack_of, tree_of
from tests.hub.test_folder import recuts

FAULTS: dict[str, dict[str, Any]] = {
    "503": {"status": 503, "code": "SlowDown"},
    "lost": {"lose_answer": True},
    "corrupt": {"corrupt_byte": 50},
    "403": {"status": 403, "code": "AccessDenied"},
    "reset": {"reset_midway": True},
    "always": {"status": 500, "nth": None},
}


def target() -> Target:
    return open_target("s3://scans/public", patience=Patience(attempts=3, sleep=lambda _: None))


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    pytest.importorskip("botocore", reason="botocore is not installed: s3:// is not tested")
    with S3Server() as server:
        for name, value in server.environment(tmp_path).items():
            monkeypatch.setenv(name, value)
        yield server


def visible(bucket: S3Server) -> dict[str, dict[str, str]]:
    """What readers see: the tags that `refs.json` names, with their trees."""
    refs = bucket.objects.get("public/refs.json")
    data = refs[-1].data if refs else None
    return {tag: bucket.tree(f"public/{tag}/") for tag in (json.loads(data)["tags"] if data else {})}


def test_publish_and_read(bucket: S3Server, tmp_path: Path) -> None:
    """Each version lies below its tag; unchanged packs are copied inside the bucket, not sent again."""
    first, second = make_release(tmp_path / "r1"), make_release(tmp_path / "r2", "1.1.0", (1, 2, 3, 4))
    target().publish(first)
    bucket.forget()
    bucket.page_size = 3
    plan = target().plan(second, first)
    done = target().publish(second)
    assert visible(bucket) == {"v1.0.0": tree_of(first), "v1.1.0": tree_of(second)}
    assert done.sent_bytes == plan.send_bytes
    assert bucket.bytes_of("/packs/", method="PUT") == (second / pack_of(second, 4)).stat().st_size
    assert target().publish(second).already
    assert target().versions() == ("1.0.0", "1.1.0")
    assert {path: entry.sha256 for path, entry in target().holds("1.1.0").items()} == tree_of(second)
    pack = pack_of(second, 4)
    assert target().read("1.1.0", pack, 7, 5) == (second / pack).read_bytes()[7:12]
    with pytest.raises(HubError, match="has no nothing"):
        target().read("1.1.0", "nothing")


def test_what_must_not_be_published_is_refused(bucket: S3Server, tmp_path: Path) -> None:
    """Another content under a tag, a pack that is not what was cut, a bucket that can erase nothing."""
    target().publish(make_release(tmp_path / "r1"))
    with pytest.raises(HubError, match="holds another release"):
        target().publish(make_release(tmp_path / "r2", note="changed"))
    broken = make_release(tmp_path / "r3", "1.1.0", (1, 5))
    pack = broken / pack_of(broken, 5)
    pack.write_bytes(bytes(pack.stat().st_size))
    with pytest.raises(DamagedError, match="the bucket refused it"):
        target().publish(broken)
    assert list(visible(bucket)) == ["v1.0.0"]
    bucket.locked = True
    with pytest.raises(RefusedError, match="object lock"):
        target().publish(make_release(tmp_path / "r4", "1.1.0"))


def test_purge_erases_every_version(bucket: S3Server, tmp_path: Path) -> None:
    """After a purge no version of any object holds the study, and each tag is its re-cut."""
    releases, again = recuts(tmp_path)
    for release in releases:
        target().publish(release)
    done = target().purge(again)
    assert visible(bucket) == {
        "v1.0.0": tree_of(again["1.0.0"]),
        "v1.1.0": tree_of(again["1.1.0"]),
        "v1.1.1": tree_of(releases[2]),
    }
    everything = {sha for tree in visible(bucket).values() for sha in tree.values()}
    assert len(bucket.kept() - everything) == 1  # refs.json itself
    assert (done.moved, done.remaining) == (("v1.0.0", "v1.1.0"), ())
    assert target().purge(again, drop=["1.0.0"]).dropped == ("v1.0.0",)
    assert set(visible(bucket)) == {"v1.1.0", "v1.1.1"}
    assert not bucket.tree("public/v1.0.0/")


def test_closing_and_opening(bucket: S3Server, tmp_path: Path) -> None:
    """Closing blocks public access whatever the bucket's policy says; opening lifts that."""
    before = target().close_to_readers()
    assert bucket.closed
    target().open_to_readers(before)
    assert not bucket.closed


def test_two_who_publish_at_once(bucket: S3Server, tmp_path: Path) -> None:
    """A tag that someone else names between look and write is not lost: the second one is told."""
    target().publish(make_release(tmp_path / "r1"))

    def meddle() -> None:
        bucket.store("public/refs.json", b'{"format": 1, "tags": {"v1.0.0": "a", "v2.0.0": "b"}}')

    bucket.fail("PUT /scans/public/refs.json", before=meddle)
    with pytest.raises(HubError, match="PreconditionFailed"):
        target().publish(make_release(tmp_path / "r2", "1.1.0", (1,)))
    assert "v2.0.0" in visible(bucket)


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    "faults",
    [
        pytest.param(list(FAULTS)[:4], id="quick"),
        pytest.param(list(FAULTS)[4:], id="rest", marks=pytest.mark.long),
    ],
)
@pytest.mark.parametrize("endpoint", ["s3-put", "s3-get", "s3-list", "s3-lock", "s3-head", "s3-versions", "s3-delete"])
def test_every_fault_ends_as_undisturbed(bucket: S3Server, tmp_path: Path, endpoint: str, faults: list[str]) -> None:
    """Two versions and a purge end with the same objects, whatever an endpoint does."""
    releases = [make_release(tmp_path / "r1", "1.0.0", (1, 2)), make_release(tmp_path / "r2", "1.0.1", (1,))]
    again = {"1.0.0": make_release(tmp_path / "c1", "1.0.0", (1,))}

    def work() -> None:
        if visible(bucket).get("v1.0.0") != tree_of(again["1.0.0"]):
            for release in releases:
                target().publish(release)
        target().purge(again)

    work()
    expected = (copy.deepcopy(visible(bucket)), bucket.kept())
    for fault in faults:
        how = FAULTS[fault]
        bucket.objects.clear()
        bucket.fail(endpoint, **{"nth": 1, **how})
        try:
            work()
        except HubError as error:
            assert fault in ("403", "always"), f"{fault}: {error}"
            assert error.hint
            assert "secret" not in str(error)
            bucket.heal()
            work()
        bucket.heal()
        assert (visible(bucket), bucket.kept()) == expected, fault
