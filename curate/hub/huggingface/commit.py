"""One commit on the head that was seen, one tag on that commit; looked for before anything is sent twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from huggingface_hub import CommitOperationDelete
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.hf_api import RepoFile

from curate.core.errors import HubError
from curate.core.progress import Progress, silent
from curate.hub.huggingface import client, files
from curate.hub.huggingface.client import KIND, HeadMovedError, Repository
from curate.hub.huggingface.files import Addition
from curate.hub.protocol import ATTESTATIONS, RELEASE_FILE, Contents, UploadPlan, is_tag, parse_release

LARGE_FILES_A_COMMIT = 25_000  # the Hub's documented bound
_HEADS = 4  # how often a head that moves is followed


def tags(repo: Repository) -> dict[str, str]:
    """The commit of each release's tag."""
    found = {name.removeprefix("refs/tags/"): oid for name, oid in client.refs(repo).items()}
    return {name: oid for name, oid in found.items() if is_tag(name)}


def bring(
    repo: Repository, branch: str, contents: Contents, message: str, progress: Progress = silent
) -> tuple[str, UploadPlan]:
    """Bring a branch to a release by one commit, or none; gives the commit and what was sent.

    Raises:
        HubError: the head moves faster than it can be followed, or holds what belongs to no release.
    """
    for _ in range(_HEADS):
        head = client.head(repo, branch)
        plan = _plan(repo, head, contents)
        if plan.is_empty:
            return head, plan
        additions = files.send(repo, branch, contents, plan, progress)
        try:
            return _commit(repo, branch, head, contents, plan, additions, message), plan
        except HeadMovedError:
            continue  # what was sent stays; the plan is made anew on the new head
    raise HubError(
        f"{branch} of {repo.name} keeps moving while it is published to",
        hint="Let nobody else commit to it, then run the same command again.",
    )


def _plan(repo: Repository, head: str, contents: Contents) -> UploadPlan:
    held = client.tree(repo, head)
    differing = files.differences(held, contents)
    same = tuple(entry for path, entry in contents.files.items() if path not in differing)
    extra = tuple(sorted(set(held) - set(contents.files)))
    _refuse_strangers(repo, head, held, extra)
    send = tuple(contents.files[path] for path in sorted(differing & set(contents.files)))
    large = sum(path.endswith((".parquet", ".png")) for path in (entry.path for entry in send))
    if large > LARGE_FILES_A_COMMIT:
        raise HubError(
            f"{contents.tag} adds {large:,} large files; the hub takes {LARGE_FILES_A_COMMIT:,} in a commit",
            hint="Raise the packs' target size in archive.toml and cut the release again.",
        )
    return UploadPlan(contents.tag, send, same, extra)


def _refuse_strangers(repo: Repository, head: str, held: Mapping[str, RepoFile], extra: Sequence[str]) -> None:
    """Only what an earlier release brought is ever deleted."""
    unknown = {path for path in extra if not path.startswith(ATTESTATIONS)}
    if unknown and RELEASE_FILE in held:
        _, listed = parse_release(client.small_file(repo, head, held[RELEASE_FILE]))
        unknown -= {entry.path for entry in listed} | {RELEASE_FILE}
    if unknown:
        raise HubError(
            f"{repo.name} holds {len(unknown)} files that belong to no release, such as {min(unknown)}",
            hint="Remove them on the hub, or publish to a repository of its own.",
        )


def _commit(
    repo: Repository,
    branch: str,
    head: str,
    contents: Contents,
    plan: UploadPlan,
    additions: Sequence[Addition],
    message: str,
) -> str:
    """One commit on `head`. An answer that was lost is looked for, never sent again unseen.

    Raises:
        HeadMovedError: another commit came between.
    """
    deletions = [CommitOperationDelete(path, is_folder=False) for path in plan.delete]

    def send() -> str:
        try:
            return repo.api.create_commit(
                repo.name,
                [*additions, *deletions],
                commit_message=message,
                repo_type=KIND,
                revision=branch,
                parent_commit=head,
            ).oid
        except HfHubHTTPError as error:
            if error.response.status_code == 412:
                raise HeadMovedError from None
            raise

    def look() -> str | None:
        now = client.head(repo, branch)
        if now == head:
            return None
        if files.differences(client.tree(repo, now), contents):
            raise HeadMovedError
        return now

    return repo.call("committing", send, look)


def set_tag(repo: Repository, tag: str, commit: str) -> None:
    """Set a tag on a commit and look that it is there.

    Raises:
        HubError: it is on another commit.
    """

    def look() -> bool | None:
        at = tags(repo).get(tag)
        if at not in (None, commit):
            raise HubError(
                f"{tag} of {repo.name} was set on another commit meanwhile",
                hint="Someone else publishes there; look at its history before anything else.",
            )
        return True if at else None

    def send() -> bool:
        repo.api.create_tag(repo.name, tag=tag, revision=commit, repo_type=KIND)
        return True

    repo.call("tagging", send, look)
    if not look():
        raise HubError(f"{tag} of {repo.name} was not set", hint="Run the same command again.")
