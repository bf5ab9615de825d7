"""The folder hub: whole or not at all, resumable after a kill, purged without a trace."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from curate.core import durable
from curate.core.errors import DamagedError, HubError, InputError
from curate.hub import open_target
from curate.hub.protocol import Target
from tests.hub.small_release import make_release, pack_of, tree_of

pytestmark = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # a child of fork only dies
# The system calls that change a disk; a kill comes right before the nth of them.
STEPS = ("rename", "replace", "link", "fsync", "unlink", "mkdir", "rmdir", "chmod")


@pytest.fixture(autouse=True)
def no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """A killed process loses nothing that the kernel has; syncing here would only cost time."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


def published(tmp_path: Path, *releases: Path) -> Target:
    target = open_target((tmp_path / "hub").as_uri())
    for release in releases:
        target.publish(release)
    return target


def killed_at(step: int, work: Callable[[], object]) -> bool:
    """Run `work` in a process that dies before its nth change of the disk; says whether it died."""
    child = os.fork()
    if child == 0:
        count = 0

        def counted(module: ModuleType, name: str) -> Callable[..., object]:
            real = getattr(module, name)

            def call(*args: object, **kwargs: object) -> object:
                nonlocal count
                count += 1
                if count == step:
                    os._exit(9)
                return real(*args, **kwargs)

            return call

        try:
            for name in STEPS:
                setattr(os, name, counted(os, name))
            fcntl.ioctl = counted(fcntl, "ioctl")  # type: ignore[assignment]  # a file was opened, nothing written
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, 9)
    return status == 9


def visible(root: Path) -> dict[str, dict[str, str]]:
    """What a reader sees: the tags that `refs.json` names, with their trees."""
    refs = json.loads((root / "refs.json").read_bytes())["tags"] if (root / "refs.json").exists() else {}
    return {tag: tree_of(root / tag) for tag in refs}


def test_publish_copies_everything_and_names_the_tag(tmp_path: Path) -> None:
    """The tag's folder holds exactly the release, read-only, and `refs.json` its digest."""
    release = make_release(tmp_path / "r1")
    target = published(tmp_path, release)
    assert visible(tmp_path / "hub") == {"v1.0.0": tree_of(release)}
    assert {entry.sha256 for entry in target.holds("v1.0.0").values()} == set(tree_of(release).values())
    assert all(not path.stat().st_mode & 0o222 for path in (tmp_path / "hub/v1.0.0").rglob("*.*"))
    assert target.publish(release).already
    assert target.versions() == ("1.0.0",)


def test_unchanged_packs_are_linked(tmp_path: Path) -> None:
    """The second version shares the first one's packs on the hub, and none with the archive."""
    first, second = make_release(tmp_path / "r1"), make_release(tmp_path / "r2", "1.1.0", (1, 2, 3, 4))
    target = published(tmp_path, first)
    plan = target.plan(second)
    done = target.publish(second)
    assert (done.sent_files, done.sent_bytes) == (len(plan.send), plan.send_bytes)
    pack = pack_of(second, 1)
    one, two = (tmp_path / "hub" / tag / pack for tag in ("v1.0.0", "v1.1.0"))
    assert one.stat().st_ino == two.stat().st_ino != (second / pack).stat().st_ino
    assert visible(tmp_path / "hub")["v1.1.0"] == tree_of(second)


def test_a_changed_release_is_refused(tmp_path: Path) -> None:
    """Another content under a published version is refused, and a pack that is not what was cut."""
    target = published(tmp_path, make_release(tmp_path / "r1"))
    with pytest.raises(HubError, match=r"holds another release under v1\.0\.0"):
        target.publish(make_release(tmp_path / "r2", note="changed"))
    broken = make_release(tmp_path / "r3", "1.1.0", (1, 5))
    pack = broken / pack_of(broken, 5)
    pack.write_bytes(bytes(pack.stat().st_size))
    with pytest.raises(DamagedError, match="does not have the digest"):
        target.publish(broken)
    pack.write_bytes(b"short")
    with pytest.raises(DamagedError, match="another size"):
        target.publish(broken)
    assert target.versions() == ("1.0.0",)


def test_a_strangers_folder_is_not_touched(tmp_path: Path) -> None:
    """A folder with the tag's name that is no release stays as it is."""
    (tmp_path / "hub/v1.0.0").mkdir(parents=True)
    (tmp_path / "hub/v1.0.0/mine.txt").write_text("mine")
    with pytest.raises(HubError, match="in the way"):
        published(tmp_path, make_release(tmp_path / "r1"))
    assert (tmp_path / "hub/v1.0.0/mine.txt").read_text() == "mine"


def test_publish_killed_at_every_step(tmp_path: Path) -> None:
    """Whatever step a kill comes before, readers see whole versions only, and a second run finishes."""
    first, second = make_release(tmp_path / "r1"), make_release(tmp_path / "r2", "1.1.0", (2, 3, 4))
    wanted = {"v1.0.0": tree_of(first), "v1.1.0": tree_of(second)}
    step, died = 0, True
    published(tmp_path / "k0", first)
    while died:
        step += 1
        place = tmp_path / f"k{step}"
        subprocess.run(["cp", "-a", tmp_path / "k0", place], check=True)
        target = open_target((place / "hub").as_uri())
        died = killed_at(step, lambda target=target: target.publish(second))
        seen = visible(place / "hub")
        assert seen in ({"v1.0.0": wanted["v1.0.0"]}, wanted), step
        target.publish(second)
        assert visible(place / "hub") == wanted, step
        assert not [path.name for path in (place / "hub").iterdir() if path.name.startswith(".")], step
    assert step > 40


def test_another_cut_of_an_interrupted_version(tmp_path: Path) -> None:
    """What a killed publish left of an earlier cut never gets into the later one."""
    first, again = make_release(tmp_path / "r1"), make_release(tmp_path / "r2", "1.0.0", (1, 2), note="other")
    step, died = 0, True
    while died:
        step += 5
        target = open_target((tmp_path / f"k{step}").as_uri())
        died = killed_at(step, lambda target=target: target.publish(first))
        if died:
            target.publish(again)
            assert visible(tmp_path / f"k{step}") == {"v1.0.0": tree_of(again)}
            assert {path.name for path in (tmp_path / f"k{step}").iterdir()} == {"v1.0.0", "refs.json"}


def recuts(tmp_path: Path) -> tuple[list[Path], dict[str, Path]]:
    """Three versions, and what the first two are without study 2 (which the third no longer has)."""
    releases = [
        make_release(tmp_path / "r1", "1.0.0", (1, 2)),
        make_release(tmp_path / "r2", "1.1.0", (1, 2, 3)),
        make_release(tmp_path / "r3", "1.1.1", (1, 3)),
    ]
    again = {
        "1.0.0": make_release(tmp_path / "c1", "1.0.0", (1,)),
        "1.1.0": make_release(tmp_path / "c2", "1.1.0", (1, 3)),
    }
    return releases, again


def test_purge_leaves_no_byte_of_a_study(tmp_path: Path) -> None:
    """After a purge each tag is the re-cut, the study's pack is nowhere below the hub, others stay linked."""
    releases, again = recuts(tmp_path)
    target = published(tmp_path, *releases)
    done = target.purge(again)
    assert done.moved == ("v1.0.0", "v1.1.0")
    assert done.remaining == ()
    assert visible(tmp_path / "hub") == {
        "v1.0.0": tree_of(again["1.0.0"]),
        "v1.1.0": tree_of(again["1.1.0"]),
        "v1.1.1": tree_of(releases[2]),
    }
    gone = tree_of(releases[0])[pack_of(releases[0], 2)]
    assert gone not in tree_of(tmp_path / "hub").values()
    pack = pack_of(releases[0], 1)
    assert len({(tmp_path / "hub" / tag / pack).stat().st_ino for tag in visible(tmp_path / "hub")}) == 1
    assert target.purge(again).moved == ()


def test_purge_drops_tags(tmp_path: Path) -> None:
    """A dropped tag is gone with its files; the others stay."""
    releases, again = recuts(tmp_path)
    target = published(tmp_path, *releases)
    assert target.purge({"1.1.0": again["1.1.0"]}, drop=["1.0.0"]).dropped == ("v1.0.0",)
    assert target.versions() == ("1.1.0", "1.1.1")
    assert {path.name for path in (tmp_path / "hub").iterdir()} == {"v1.1.0", "v1.1.1", "refs.json"}


@pytest.mark.parametrize(("closed", "exchanges"), [(False, True), (True, True), (False, False)])
def test_purge_killed_at_every_step(
    tmp_path: Path, closed: bool, exchanges: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A purge that is killed never shows a mixture, nor hides a version where the file system exchanges names."""
    if not exchanges:  # as on NFS
        monkeypatch.setattr(durable, "exchange", lambda one, other: False)
    releases, again = recuts(tmp_path)
    whole = [tree_of(path) for path in (*releases, *again.values())]
    original = published(tmp_path / "k0", *releases)
    if closed:
        original.close_to_readers()
    step, died = 0, True
    while died:
        step += 11 if closed else 5  # no multiple of the six calls that a copied file takes
        place = tmp_path / f"k{step}"
        subprocess.run(["cp", "-a", tmp_path / "k0", place], check=True)  # keeps the links between versions
        target = open_target((place / "hub").as_uri())
        died = killed_at(step, lambda target=target: target.purge(again))
        for tag in ("v1.0.0", "v1.1.0", "v1.1.1"):
            assert (place / "hub" / tag).is_dir() or closed or not exchanges, (step, tag)
            if (place / "hub" / tag).is_dir():
                seen = tree_of(place / "hub" / tag)
                assert seen in whole, (step, tag)
        target.purge(again)
        shown = {path.name for path in (place / "hub").iterdir() if not path.name.startswith(".v1.1.1")}
        assert shown == {"v1.0.0", "v1.1.0", "refs.json"} | (set() if closed else {"v1.1.1"}), step
        assert tree_of(place / "hub/v1.0.0") == tree_of(again["1.0.0"])
        assert tree_of(place / "hub/v1.1.0") == tree_of(again["1.1.0"])
    assert step > 40


def test_remaining_files_are_reported(tmp_path: Path) -> None:
    """A copy that someone left below the hub is named, not assumed gone."""
    releases, again = recuts(tmp_path)
    target = published(tmp_path, *releases)
    (tmp_path / "hub/copy.parquet").write_bytes((releases[0] / pack_of(releases[0], 2)).read_bytes())
    assert [item.path for item in target.purge(again).remaining] == ["copy.parquet"]


def test_closing_and_opening(tmp_path: Path) -> None:
    """Closed versions are not where readers look; opening brings them back; publishing works meanwhile."""
    first, second = make_release(tmp_path / "r1"), make_release(tmp_path / "r2", "1.0.1", (1,))
    target = published(tmp_path, first)
    before = target.close_to_readers()
    assert not (tmp_path / "hub/v1.0.0").exists()
    target.publish(second)
    assert (tmp_path / "hub/v1.0.1").is_dir()
    target.open_to_readers(before)
    assert set(visible(tmp_path / "hub")) == {"v1.0.0", "v1.0.1"}


def test_reading_a_part(tmp_path: Path) -> None:
    """Bytes are read from the middle; an unknown version or file is a line that says so."""
    release = make_release(tmp_path / "r1")
    target = published(tmp_path, release)
    pack = pack_of(release, 1)
    assert target.read("1.0.0", pack, 10, 5) == (release / pack).read_bytes()[10:15]
    with pytest.raises(HubError, match=r"has no v2\.0\.0"):
        target.read("2.0.0", pack)
    with pytest.raises(HubError, match="has no nothing"):
        target.read("1.0.0", "nothing")


@pytest.mark.parametrize("url", ["ftp://host/x", "hf://only-a-name", "hf://a/b/c"])
def test_targets_that_are_none(url: str) -> None:
    """A wrong target is refused with the forms that are right."""
    with pytest.raises(InputError) as caught:
        open_target(url)
    assert "hf://ORG/NAME" in caught.value.hint


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a//b", "a/../../b", "a\\b", ""])
def test_paths_that_leave_the_release_are_refused(tmp_path: Path, path: str) -> None:
    """A `release.json` that names a place outside the release is refused, whoever wrote it."""
    release = make_release(tmp_path / "r1")
    found = json.loads((release / "release.json").read_bytes())
    found["files"][0]["path"] = path
    (release / "release.json").write_text(json.dumps(found))
    with pytest.raises(InputError, match="cannot be read"):
        published(tmp_path, release)
