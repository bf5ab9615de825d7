"""Erasing from the Hub through its real client, and looking at what is left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from curate.core.errors import HubError, RefusedError
from curate.hub import open_target
from curate.hub.protocol import Remaining, Target
from curate.hub.retry import Patience
from tests.hub.server import HubServer
from tests.hub.small_release import make_release, pack_of, tree_of
from tests.hub.test_folder import recuts

REPO = "org/scans"


def target() -> Target:
    return open_target(f"hf://{REPO}", patience=Patience(sleep=lambda _: None))


@pytest.fixture
def published(hub: HubServer, tmp_path: Path) -> tuple[list[Path], dict[str, Path]]:
    """Three versions on the hub, and the re-cuts of the first two without study 2."""
    releases, again = recuts(tmp_path)
    for release in releases:
        target().publish(release)
    return releases, again


def test_purge_leaves_each_tag_without_the_study(hub: HubServer, published: tuple[list[Path], dict[str, Path]]) -> None:
    """Each tag holds its re-cut, in one commit without history, and the old objects are gone."""
    releases, again = published
    done = target().purge(again)
    repo = hub.repo(REPO)
    assert repo.tree("v1.0.0") == tree_of(again["1.0.0"])
    assert repo.tree("v1.1.0") == tree_of(again["1.1.0"])
    assert repo.tree("v1.1.1") == repo.tree("main") == tree_of(releases[2])
    assert all(len(repo.history(tag)) == 1 for tag in (*repo.tags, "main"))
    gone = tree_of(releases[0])[pack_of(releases[0], 2)]
    assert gone not in repo.lfs
    assert set(repo.lfs) == repo.reachable()
    assert set(repo.branches) == {"main"}
    assert done.moved == ("v1.1.1", "v1.0.0", "v1.1.0")
    assert done.erased_files >= 5
    assert done.remaining == ()


def test_purge_again_changes_nothing(hub: HubServer, published: tuple[list[Path], dict[str, Path]]) -> None:
    """A second purge finds the work done."""
    target().purge(published[1])
    before = dict(hub.repo(REPO).refs)
    done = target().purge(published[1])
    assert hub.repo(REPO).refs == before
    assert (done.moved, done.erased_files) == ((), 0)


def test_a_version_before_the_study_stays_as_it_is(hub: HubServer, tmp_path: Path) -> None:
    """A tag whose history never held the study keeps its commit."""
    releases = [
        make_release(tmp_path / "r1", "1.0.0", (1,)),
        make_release(tmp_path / "r2", "1.1.0", (1, 2)),
        make_release(tmp_path / "r3", "1.1.1", (1,)),
    ]
    for release in releases:
        target().publish(release)
    before = hub.repo(REPO).tags["v1.0.0"]
    done = target().purge({"1.1.0": make_release(tmp_path / "c", "1.1.0", (1,), note="cut again")})
    assert hub.repo(REPO).tags["v1.0.0"] == before
    assert "v1.0.0" not in done.moved
    assert hub.repo(REPO).tree("v1.1.1") == tree_of(releases[2])


def test_the_newest_version_can_be_cut_again(hub: HubServer, tmp_path: Path) -> None:
    """`main` follows the re-cut of the newest version."""
    target().publish(make_release(tmp_path / "r1", "1.0.0", (1, 2)))
    again = make_release(tmp_path / "c1", "1.0.0", (1,))
    target().purge({"1.0.0": again})
    repo = hub.repo(REPO)
    assert repo.tree("main") == repo.tree("v1.0.0") == tree_of(again)
    assert len(repo.history()) == 1


def test_pull_requests_and_copies_that_keep_a_study_are_named(
    hub: HubServer, published: tuple[list[Path], dict[str, Path]]
) -> None:
    """What pull requests still point at is listed by looking: a pointer, whose bytes are gone."""
    releases, again = published
    hub.repo(REPO).open_pull_request(7, hub.repo(REPO).commit("v1.0.0").tree)
    remaining = target().purge(again).remaining
    pack = pack_of(releases[0], 2)
    assert Remaining("refs/pr/7", pack, "pointer") in remaining
    assert {item.what for item in remaining} == {"pointer"}
    assert {item.place for item in remaining} == {"refs/pr/7"}


def test_a_hub_that_keeps_the_bytes_is_found_out(
    hub: HubServer, published: tuple[list[Path], dict[str, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hub that says "deleted" and still serves is reported as serving."""
    releases, again = published
    monkeypatch.setattr(hub.repo(REPO), "erase", lambda shas, rewrite: None)
    remaining = target().purge(again).remaining
    assert any(item.path == pack_of(releases[0], 2) and item.what == "bytes" for item in remaining)


def test_old_commits_that_are_still_served_are_named(
    hub: HubServer, published: tuple[list[Path], dict[str, Path]]
) -> None:
    """A hub that still lists a commit which no ref leads to is reported by that commit."""
    repo = hub.repo(REPO)
    repo.keeps_old_commits = True
    old = {repo.tags[tag] for tag in ("v1.0.0", "v1.1.0", "v1.1.1")}
    remaining = target().purge(published[1]).remaining
    assert {(item.place, item.what) for item in remaining} == {(commit, "small files") for commit in old}


def test_the_newest_version_is_not_dropped(hub: HubServer, published: tuple[list[Path], dict[str, Path]]) -> None:
    """Dropping the newest version is refused before anything is changed."""
    before = dict(hub.repo(REPO).refs)
    with pytest.raises(RefusedError, match="newest version"):
        target().purge(published[1], drop=["1.1.1"])
    assert hub.repo(REPO).refs == before


def test_purge_drops_tags(hub: HubServer, published: tuple[list[Path], dict[str, Path]]) -> None:
    """A dropped tag goes with its objects."""
    again = published[1]
    done = target().purge({"1.1.0": again["1.1.0"]}, drop=["1.0.0"])
    assert done.dropped == ("v1.0.0",)
    assert set(hub.repo(REPO).tags) == {"v1.1.0", "v1.1.1"}
    assert set(hub.repo(REPO).lfs) == hub.repo(REPO).reachable()


def test_other_studies_load_under_every_tag(
    hub: HubServer, published: tuple[list[Path], dict[str, Path]], run_python: Callable[..., str]
) -> None:
    """After a purge the real `datasets` loads each version, with the other studies and without that one."""
    target().purge(published[1])
    text = """
from datasets import load_dataset
for tag in ("v1.0.0", "v1.1.0", "v1.1.1"):
    rows = load_dataset("org/scans", "images", revision=tag, split="train")
    print("ROWS", tag, sorted(rows["study_id"]))
"""
    rows = [line for line in run_python(text).splitlines() if line.startswith("ROWS")]
    assert rows == [
        "ROWS v1.0.0 ['2.25.1']",
        "ROWS v1.1.0 ['2.25.1', '2.25.3']",
        "ROWS v1.1.1 ['2.25.1', '2.25.3']",
    ]


@pytest.mark.parametrize("call", range(2, 60, 7))
def test_purge_broken_off_anywhere(hub: HubServer, tmp_path: Path, call: int) -> None:
    """A purge whose login expires at any of its calls is finished by the next run."""
    releases, again = recuts(tmp_path)
    for release in releases:
        target().publish(release)

    def expire() -> None:
        hub.expired = True

    hub.fail("^(POST|DELETE|PUT|GET) /api/", nth=call, before=expire)
    try:
        target().purge(again)
    except HubError:
        hub.expired = False
        hub.heal()
        target().purge(again)
    repo = hub.repo(REPO)
    trees = {tag: repo.tree(tag) for tag in repo.tags}
    assert trees == {
        "v1.0.0": tree_of(again["1.0.0"]),
        "v1.1.0": tree_of(again["1.1.0"]),
        "v1.1.1": tree_of(releases[2]),
    }
    assert set(repo.lfs) == repo.reachable()
    assert set(repo.branches) == {"main"}
