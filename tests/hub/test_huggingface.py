"""Publishing to the Hub through its real client."""

from __future__ import annotations

import hashlib
import os
import socket
from pathlib import Path

import pytest

from curate.core.errors import DamagedError, HubError
from curate.hub import open_target
from curate.hub.protocol import Settings, Target
from curate.hub.retry import Patience
from tests.hub.server import TOKEN, HubServer
from tests.hub.small_release import make_release, pack_of, seal, tree_of

REPO = "org/scans"


def target() -> Target:
    return open_target(f"hf://{REPO}", patience=Patience(sleep=lambda _: None))


def test_publish_makes_one_commit_and_one_tag(hub: HubServer, tmp_path: Path) -> None:
    """A release becomes one commit with exactly its files, and a tag on that commit."""
    release = make_release(tmp_path / "r1")
    done = target().publish(release)
    repo = hub.repo(REPO)
    assert repo.tree("v1.0.0") == tree_of(release)
    assert repo.tags == {"v1.0.0": done.commit}
    assert [commit.title for commit in repo.history()] == ["Release 1.0.0", "initial commit"]
    assert done.sent_files == len(tree_of(release))
    assert hub.leaked_logins == 0
    assert target().versions() == ("1.0.0",)
    assert {path: entry.sha256 for path, entry in target().holds("1.0.0").items()} == tree_of(release)


def test_second_run_sends_nothing(hub: HubServer, tmp_path: Path) -> None:
    """Publishing what is published writes nothing and says so."""
    release = make_release(tmp_path / "r1")
    target().publish(release)
    hub.forget()
    done = target().publish(release)
    assert done.already
    assert (done.sent_files, done.sent_bytes) == (0, 0)
    assert not {"commit", "tag", "lfs-put", "preupload"} & set(hub.calls())


def test_next_version_sends_only_what_changed(hub: HubServer, tmp_path: Path) -> None:
    """Unchanged packs are neither read nor uploaded, and what the release lost is deleted."""
    first = make_release(tmp_path / "r1", "1.0.0", (1, 2, 3))
    second = make_release(tmp_path / "r2", "1.1.0", (2, 3, 4))
    target().publish(first)
    hub.forget()
    unread = second / pack_of(second, 2)
    size = unread.stat().st_size
    unread.unlink()
    unread.touch()
    os.truncate(unread, size)  # if its bytes were read, its digest would be wrong
    plan = target().plan(second, first)
    done = target().publish(second)
    assert hub.calls()["lfs-put"] == 3 + 1  # three tables and one pack
    assert plan.send_bytes == done.sent_bytes
    assert {entry.path for entry in plan.send if entry.path.startswith("packs/")} == {pack_of(second, 4)}
    assert plan.delete == (pack_of(first, 1),)
    assert hub.repo(REPO).tree("v1.0.0") == tree_of(first)
    assert pack_of(first, 1) not in hub.repo(REPO).tree("v1.1.0")


def test_plan_opens_no_connection(hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dry run works with the network cut."""

    def refuse(*_: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    plan = target().plan(make_release(tmp_path / "r1"))
    assert plan.send_bytes == sum(path.stat().st_size for path in (tmp_path / "r1").rglob("*") if path.is_file())


def test_settings_are_set_before_anything_is_sent(hub: HubServer, tmp_path: Path) -> None:
    """A repository is private and gated before its first file arrives."""
    seen = []
    hub.fail("preupload", before=lambda: seen.append((hub.repo(REPO).private, hub.repo(REPO).gated)))
    target().publish(make_release(tmp_path / "r1"), settings=Settings(private=True, gated="manual"))
    assert seen == [(True, "manual")]


def test_changed_content_under_a_published_version_is_refused(hub: HubServer, tmp_path: Path) -> None:
    """A tag never moves to another content by publishing."""
    target().publish(make_release(tmp_path / "r1"))
    before = hub.repo(REPO).tags
    with pytest.raises(HubError, match=r"holds another release under v1\.0\.0"):
        target().publish(make_release(tmp_path / "r2", note="changed"))
    assert hub.repo(REPO).tags == before


def test_an_older_version_is_refused(hub: HubServer, tmp_path: Path) -> None:
    """Main never goes back to an older version."""
    target().publish(make_release(tmp_path / "r2", "1.1.0"))
    with pytest.raises(HubError, match=r"holds v1\.1\.0 already"):
        target().publish(make_release(tmp_path / "r1", "1.0.0"))


def test_files_of_strangers_are_refused(hub: HubServer, tmp_path: Path) -> None:
    """A repository that is used for something else is not overwritten."""
    from huggingface_hub import HfApi

    api = HfApi(endpoint=hub.url)
    api.create_repo(REPO, repo_type="dataset")
    api.upload_file(path_or_fileobj=b"x", path_in_repo="thesis.txt", repo_id=REPO, repo_type="dataset")
    with pytest.raises(HubError, match=r"belong to no release, such as thesis\.txt"):
        target().publish(make_release(tmp_path / "r1"))


@pytest.mark.parametrize("multipart_above", [10_000_000, 500])
def test_a_file_that_is_not_what_was_cut_never_leaves(hub: HubServer, tmp_path: Path, multipart_above: int) -> None:
    """A pack that changed after the cut is noticed while it is sent, and is not stored by the hub."""
    hub.multipart_above = multipart_above
    release = make_release(tmp_path / "r1")
    pack = release / pack_of(release, 2)
    pack.write_bytes(bytes(pack.stat().st_size))
    with pytest.raises(DamagedError, match="does not have the digest"):
        target().publish(release)
    assert not hub.repo(REPO).tags
    assert hashlib.sha256(pack.read_bytes()).hexdigest() not in hub.repo(REPO).lfs
    assert pack_of(release, 2).split("/")[-1].removesuffix(".parquet") not in hub.repo(REPO).lfs


def test_large_files_go_in_parts(hub: HubServer, tmp_path: Path) -> None:
    """A pack above the hub's limit is sent in parts and arrives whole."""
    hub.multipart_above, hub.part_size = 2000, 700
    release = make_release(tmp_path / "r1")
    target().publish(release)
    assert hub.calls()["lfs-part"] > 3
    assert hub.repo(REPO).tree("v1.0.0") == tree_of(release)


def test_expired_login_is_one_line(hub: HubServer, tmp_path: Path) -> None:
    """An expired token stops at once, says what to do, and shows no token."""
    hub.expired = True
    with pytest.raises(HubError, match="does not accept the login") as caught:
        target().publish(make_release(tmp_path / "r1"))
    assert "hf auth login" in caught.value.hint
    assert caught.value.exit_code == 3
    assert TOKEN not in f"{caught.value}{caught.value.hint}"
    assert sum(hub.calls().values()) < 5


def test_login_that_expires_midway_leaves_a_run_to_finish(hub: HubServer, tmp_path: Path) -> None:
    """What was sent before the token expired is kept for the next run."""
    release = make_release(tmp_path / "r1")

    def expire() -> None:
        hub.expired = True

    hub.fail("commit", before=expire)
    with pytest.raises(HubError, match="does not accept the login"):
        target().publish(release)
    hub.expired = False
    hub.heal()
    hub.forget()
    target().publish(release)
    assert hub.calls()["lfs-put"] == 0
    assert len(hub.repo(REPO).history()) == 2


def test_retry_after_is_honoured(hub: HubServer, tmp_path: Path) -> None:
    """A rate limit is waited out for as long as the hub asks."""
    slept: list[float] = []
    hub.fail("commit", status=429, retry_after=17)
    open_target(f"hf://{REPO}", patience=Patience(sleep=slept.append)).publish(make_release(tmp_path / "r1"))
    assert slept == [17]


def test_a_lost_commit_is_not_sent_twice(hub: HubServer, tmp_path: Path) -> None:
    """A commit whose answer is lost is found by looking."""
    hub.fail("commit", lose_answer=True)
    target().publish(make_release(tmp_path / "r1"))
    assert hub.calls()["commit"] == 1
    assert len(hub.repo(REPO).history()) == 2


def test_a_head_that_moved_is_followed(hub: HubServer, tmp_path: Path) -> None:
    """A commit of somebody else in between is noticed, and the release comes on top of it."""
    first = make_release(tmp_path / "r1")
    target().publish(first)
    second = make_release(tmp_path / "r2", "1.1.0", (1, 2, 3, 4))

    def meddle() -> None:
        repo = hub.repo(REPO)
        tree = {**repo.commit("main").tree, "README.md": repo.add_blob(b"edited by hand")}
        repo.refs["refs/heads/main"] = repo.add_commit(repo.refs["refs/heads/main"], "edit", tree).oid

    hub.fail("commit", before=meddle)
    target().publish(second)
    assert hub.repo(REPO).tree("v1.1.0") == tree_of(second)
    assert [commit.title for commit in hub.repo(REPO).history()][:3] == [
        "Release 1.1.0",
        "edit",
        "Release 1.0.0",
    ]


def test_nothing_is_committed_on_a_head_that_was_not_seen(hub: HubServer, tmp_path: Path) -> None:
    """A stranger's file that arrives between look and commit stops the publishing before its commit."""

    def meddle() -> None:
        repo = hub.repo(REPO)
        tree = {**repo.commit("main").tree, "thesis.txt": repo.add_blob(b"not ours")}
        repo.refs["refs/heads/main"] = repo.add_commit(repo.refs["refs/heads/main"], "edit", tree).oid

    hub.fail("commit", before=meddle)
    with pytest.raises(HubError, match="belong to no release"):
        target().publish(make_release(tmp_path / "r1"))
    assert [commit.title for commit in hub.repo(REPO).history()] == ["edit", "initial commit"]
    assert not hub.repo(REPO).tags


def test_nothing_secret_is_printed(
    hub: HubServer, tmp_path: Path, capfd: pytest.CaptureFixture[str], no_waiting: list[float]
) -> None:
    """The client's warnings would show signed addresses; neither they nor the login reach the terminal."""
    hub.fail("lfs-part", status=503)
    hub.fail("lfs-put", reset_midway=True, nth=2)
    hub.fail("commit", status=500)
    hub.multipart_above, hub.part_size = 2000, 700
    target().publish(make_release(tmp_path / "r1"))
    printed = capfd.readouterr()
    assert printed.out + printed.err == ""


def test_a_tag_set_elsewhere_meanwhile_is_an_error(hub: HubServer, tmp_path: Path) -> None:
    """A tag that someone else sets on another commit is never taken for ours."""
    repo_created = make_release(tmp_path / "r1")

    def meddle() -> None:
        repo = hub.repo(REPO)
        repo.refs["refs/tags/v1.0.0"] = repo.history()[-1].oid

    hub.fail("tag", before=meddle)
    with pytest.raises(HubError, match="set on another commit"):
        target().publish(repo_created)


def test_what_the_hub_holds_otherwise_is_not_tagged(hub: HubServer, tmp_path: Path) -> None:
    """A hub that commits something else than was sent gets no tag."""
    release = make_release(tmp_path / "r1")

    def lie() -> None:
        repo = hub.repo(REPO)
        apply = repo.apply

        def other(revision: str, lines: object, **how: bool) -> object:
            made = apply(revision, lines, **how)  # type: ignore[arg-type]
            tree = dict(made.tree)
            tree["README.md"] = repo.add_blob(b"x" * tree["README.md"].size)
            repo.commits[made.oid] = type(made)(made.oid, made.parent, made.title, "", made.date, tree)
            return made

        repo.apply = other  # type: ignore[method-assign,assignment]

    hub.fail("commit", before=lie)
    with pytest.raises(HubError, match=r"such as README\.md; it was not tagged"):
        target().publish(release)
    assert not hub.repo(REPO).tags


def test_ranges_are_read(hub: HubServer, tmp_path: Path) -> None:
    """Bytes in the middle of a pack come by one range of exactly these bytes."""
    release = make_release(tmp_path / "r1")
    target().publish(release)
    pack = pack_of(release, 1)
    hub.forget()
    assert target().read("1.0.0", pack, 100, 50) == (release / pack).read_bytes()[100:150]
    assert hub.bytes_of("/object/") == 50
    assert target().read("v1.0.0", "README.md") == (release / "README.md").read_bytes()


def test_what_is_not_there_is_told(hub: HubServer, tmp_path: Path) -> None:
    """An unknown version, file or repository is one line, without an address."""
    target().publish(make_release(tmp_path / "r1"))
    for ask in (
        lambda: target().holds("9.9.9"),
        lambda: target().read("1.0.0", "nothing"),
        lambda: open_target("hf://org/none").versions(),
    ):
        with pytest.raises(HubError) as caught:
            ask()
        assert "http" not in str(caught.value)
        assert caught.value.hint


def test_closing_hides_and_opening_restores(hub: HubServer, tmp_path: Path) -> None:
    """A closed repository is private; opening brings back what was set before."""
    target().publish(make_release(tmp_path / "r1"), settings=Settings(private=False, gated="auto"))
    before = target().close_to_readers()
    assert hub.repo(REPO).private
    target().open_to_readers(before)
    assert (hub.repo(REPO).private, hub.repo(REPO).gated) == (False, "auto")


def test_resealed_release_is_read(tmp_path: Path) -> None:
    """The builder's own seal is reproducible, so that the comparisons above mean something."""
    one, two = make_release(tmp_path / "a"), make_release(tmp_path / "b")
    assert tree_of(one) == tree_of(seal(two, "1.0.0"))
