"""Erasing from the Hub: re-cut tags without history, large objects deleted for good, then a look again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.hf_api import LFSFileInfo, RepoFile

from curate.core import versions
from curate.core.errors import HubError, RefusedError
from curate.core.progress import Progress
from curate.hub.huggingface import client, files
from curate.hub.huggingface.client import KIND, MAIN, Repository
from curate.hub.huggingface.commit import bring, set_tag, tags
from curate.hub.protocol import RELEASE_FILE, Contents, Purged, Remaining, contents_of, is_tag

_BRANCH = "purge-"


def purge(repo: Repository, recuts: Mapping[str, Path], drop: Collection[str], progress: Progress) -> Purged:
    """Leave under each tag its re-cut release, or what it held, as one commit without history.

    Raises:
        HubError: the hub refuses or fails; the same call again finishes the work.
    """
    wanted = {versions.tag(version): contents_of(path) for version, path in recuts.items()}
    dropped = {versions.tag(version) for version in drop}
    _refuse_newest(repo, wanted, dropped)
    # (1) dropped tags go at once
    before = set(tags(repo).values())
    for tag in sorted(dropped & set(tags(repo))):
        _delete_tag(repo, tag)
    kept = {tag for tag in {*tags(repo), *wanted, *_interrupted(repo)} if tag not in dropped}
    known = _places(repo)
    clean = _clean_commits(repo, wanted)
    # (2) main, which is the newest version
    newest = max(kept, key=versions.parse)
    moved = _recut_main(repo, newest, wanted.get(newest), clean, progress)
    # (3) every other tag, on a branch of its own that is squashed
    for tag in sorted(kept - {newest}, key=versions.parse):
        moved += _recut_tag(repo, tag, wanted.get(tag), clean, progress)
    # (4) what no tag holds any more is erased, (5) and looked for
    erased = _erase(repo, kept)
    found = _look(repo, {item.file_oid for item in erased}, known) | _old_commits(repo, before)
    remaining = tuple(sorted(found))
    size = sum(item.size for item in erased)
    return Purged(tuple(moved), tuple(sorted(dropped)), len(erased), size, remaining)


def _refuse_newest(repo: Repository, wanted: Mapping[str, Contents], dropped: Collection[str]) -> None:
    """`main` holds the newest version, so that one is cut again, not dropped.

    Raises:
        RefusedError: it would be dropped, or there is no version at all.
    """
    known = {*tags(repo), *wanted, *_interrupted(repo)}
    if not known or max(known, key=versions.parse) in dropped:
        raise RefusedError(
            f"the newest version of {repo.name} cannot be dropped",
            hint="Cut it again without the study, or delete the repository on the hub.",
        )


def _branches(repo: Repository) -> dict[str, str]:
    found = client.refs(repo).items()
    return {name.removeprefix("refs/heads/"): at for name, at in found if name.startswith("refs/heads/")}


def _interrupted(repo: Repository) -> set[str]:
    """Tags whose branch of an earlier, interrupted purge is still there."""
    found = {name.removeprefix(_BRANCH) for name in _branches(repo) if name.startswith(_BRANCH)}
    return {name for name in found if is_tag(name)}


def _places(repo: Repository) -> dict[str, tuple[str, str]]:
    """Commit and path of each large object that any ref holds now, to ask for it again afterwards."""
    return {
        item.lfs.sha256: (commit, path)
        for commit in sorted(set(client.refs(repo).values()))
        for path, item in client.tree(repo, commit).items()
        if item.lfs is not None
    }


def _history(repo: Repository, revision: str) -> list[str]:
    listed = repo.call(
        f"reading the history of {revision}",
        lambda: repo.api.list_repo_commits(repo.name, revision=revision, repo_type=KIND),
    )
    return [item.commit_id for item in listed]


def _clean_commits(repo: Repository, wanted: Mapping[str, Contents]) -> frozenset[str]:
    """Commits that may stay in a history: of tags that keep their content, and the empty first one."""
    kept = {
        commit
        for tag, commit in tags(repo).items()
        if tag not in wanted or not files.differences(client.tree(repo, commit), wanted[tag])
    }
    first = {_history(repo, MAIN)[-1]}
    return frozenset(kept | {commit for commit in first if not client.tree(repo, commit)})


def _recut_main(
    repo: Repository, newest: str, contents: Contents | None, clean: frozenset[str], progress: Progress
) -> list[str]:
    """Bring `main` to the newest version, without what was before it, and its tag there."""
    if contents is not None:
        bring(repo, MAIN, contents, f"Cut {newest} again", progress)
    if not set(_history(repo, MAIN)) <= clean:
        _squash(repo, MAIN, f"Release {newest.removeprefix('v')}")
    at = client.head(repo, MAIN)
    return [newest] if _move_tag(repo, newest, at) else []


def _recut_tag(
    repo: Repository, tag: str, contents: Contents | None, clean: frozenset[str], progress: Progress
) -> list[str]:
    """Put a tag on a commit without parents that holds its re-cut release, or what it held before."""
    branch, at = f"{_BRANCH}{tag}", tags(repo).get(tag)
    if at in clean and branch not in _branches(repo) and set(_history(repo, tag)) <= clean:
        return []
    if branch not in _branches(repo):
        _create_branch(repo, branch, at or client.head(repo))
    if contents is not None:
        bring(repo, branch, contents, f"Cut {tag} again", progress)
    elif at is not None and _oids(client.tree(repo, branch)) != _oids(client.tree(repo, at)):
        raise HubError(f"branch {branch} of {repo.name} is not {tag}", hint="Delete it, then run this again.")
    if len(_history(repo, branch)) > 1:
        _squash(repo, branch, f"Release {tag.removeprefix('v')}")
    _move_tag(repo, tag, client.head(repo, branch))
    return [tag]


def _oids(tree: Mapping[str, RepoFile]) -> dict[str, str]:
    return {path: item.blob_id for path, item in tree.items()}


def _squash(repo: Repository, branch: str, message: str) -> None:
    repo.call(
        f"erasing the history of {branch}",
        lambda: repo.api.super_squash_history(repo.name, branch=branch, commit_message=message, repo_type=KIND),
    )
    if len(_history(repo, branch)) > 1:
        raise HubError(f"{branch} of {repo.name} still has a history", hint="Run the same command again.")


def _move_tag(repo: Repository, tag: str, commit: str) -> bool:
    """Put a tag on another commit; meanwhile a branch remembers it, so that no interruption loses it."""
    at, branch = tags(repo).get(tag), f"{_BRANCH}{tag}"
    if at not in (None, commit):
        if branch not in _branches(repo):
            _create_branch(repo, branch, commit)
        _delete_tag(repo, tag)
    if at != commit:
        set_tag(repo, tag, commit)
    if branch in _branches(repo):
        _delete_branch(repo, branch)
    return at != commit


def _delete_tag(repo: Repository, tag: str) -> None:
    _ensure(
        repo,
        f"deleting {tag}",
        lambda: repo.api.delete_tag(repo.name, tag=tag, repo_type=KIND),
        lambda: tag not in tags(repo),
    )


def _delete_branch(repo: Repository, branch: str) -> None:
    _ensure(
        repo,
        f"deleting {branch}",
        lambda: repo.api.delete_branch(repo.name, branch=branch, repo_type=KIND),
        lambda: branch not in _branches(repo),
    )


def _create_branch(repo: Repository, branch: str, commit: str) -> None:
    _ensure(
        repo,
        f"creating {branch}",
        lambda: repo.api.create_branch(repo.name, branch=branch, revision=commit, repo_type=KIND),
        lambda: branch in _branches(repo),
    )


def _ensure(repo: Repository, doing: str, send: Callable[[], None], done: Callable[[], bool]) -> None:
    """Do something once: where the answer is lost, or says that it is done, look."""

    def attempt() -> bool:
        send()
        return True

    def refused() -> bool:
        try:
            return attempt()
        except HfHubHTTPError as error:
            if error.response.status_code in (404, 409) and done():
                return True
            raise

    repo.call(doing, refused, lambda: done() or None)


def _erase(repo: Repository, kept: Collection[str]) -> list[LFSFileInfo]:
    """Delete for good every large object that neither a kept tag nor `main` holds."""
    wanted = {
        item.lfs.sha256
        for revision in (*sorted(kept), MAIN)
        for item in client.tree(repo, revision).values()
        if item.lfs is not None
    }
    gone = [item for item in _stored(repo) if not {item.file_oid, item.oid} & wanted]
    if gone:
        repo.call("erasing", lambda: repo.api.permanently_delete_lfs_files(repo.name, gone, repo_type=KIND))
    return gone


def _stored(repo: Repository) -> list[LFSFileInfo]:
    return repo.call("listing the stored objects", lambda: list(repo.api.list_lfs_files(repo.name, repo_type=KIND)))


def _look(repo: Repository, erased: Collection[str], known: Mapping[str, tuple[str, str]]) -> set[Remaining]:
    """What is left of the erased: objects still stored, pointers in any ref, bytes at the old addresses."""
    found = {Remaining("lfs-files", item.filename, "bytes") for item in _stored(repo) if item.file_oid in erased}
    for ref, commit in client.refs(repo).items():
        for path, item in client.tree(repo, commit).items():
            if item.lfs is not None and item.lfs.sha256 in erased:
                found.add(Remaining(ref, path, "bytes" if _is_served(repo, commit, path) else "pointer"))
    for commit, path in (known[sha256] for sha256 in erased if sha256 in known):
        if _is_served(repo, commit, path):
            found.add(Remaining(commit, path, "bytes"))
    return found


def _old_commits(repo: Repository, before: Collection[str]) -> set[Remaining]:
    """Commits that no ref leads to any more and that the hub still lists: their small files can be read."""

    def is_listed(commit: str) -> bool:
        try:
            return any(True for _ in repo.api.list_repo_tree(repo.name, revision=commit, repo_type=KIND))
        except HfHubHTTPError as error:
            if error.response.status_code == 404:
                return False
            raise

    gone = set(before) - {commit for ref in client.refs(repo) for commit in _history(repo, ref)}
    found = {at for at in gone if repo.call("looking for old commits", lambda at=at: is_listed(at))}  # type: ignore[misc]
    return {Remaining(commit, RELEASE_FILE, "small files") for commit in found}


def _is_served(repo: Repository, commit: str, path: str) -> bool:
    def look() -> bool:
        try:
            return bool(client.ranged(repo, commit, path, 0, 1))
        except HfHubHTTPError as error:
            if error.response.status_code in (403, 404, 410):
                return False
            raise

    return repo.call("looking for what was erased", look)
