"""The Hub's client made patient: calls are tried again, look before they send twice, fail in one line."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import httpx2
from huggingface_hub import HfApi, hf_hub_url
from huggingface_hub.errors import (
    HfHubHTTPError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import logging
from huggingface_hub.utils._headers import build_hf_headers
from huggingface_hub.utils._http import get_session, hf_raise_for_status
from huggingface_hub.utils.tqdm import (
    are_progress_bars_disabled,
    disable_progress_bars,
    enable_progress_bars,
)

from curate.core.errors import AbsentError, CurateError, HubError
from curate.hub.retry import Patience, again

T = TypeVar("T")
MAIN = "main"
KIND = "dataset"
_PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})
_SECRETS = re.compile(r"hf_\w+|Bearer\s+\S+|(?<=[?&])[\w-]*(?:sig|token|credential)[\w-]*=[^&\s]+", re.I)

_silencing = threading.Lock()
_silenced = 0
_sounds = contextlib.ExitStack()


class HeadMovedError(Exception):
    """Someone else committed since the head was read."""


@dataclass(frozen=True, slots=True)
class Repository:
    """A data set repository and the patience to talk to it."""

    name: str
    api: HfApi
    patience: Patience

    def call(self, doing: str, call: Callable[[], T], look: Callable[[], T | None] | None = None) -> T:
        """The result of a client's call.

        Raises:
            HubError: it failed for good; `doing` says what was being done.
        """
        try:
            with _quiet():
                return again(call, patience=self.patience, wait=seconds_to_wait, look=look)
        except HeadMovedError:
            raise
        except Exception as error:
            cause = _cause(error)
            failure = cause if isinstance(cause, CurateError) else told(cause, doing, self.name)
        failure.__cause__ = failure.__context__ = None
        raise failure  # outside of `except`: the client's error holds the login in its request


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """While any call lasts, in any thread, the client shows no bars and logs no addresses (they are signed)."""
    global _silenced
    with _silencing:
        if not _silenced:
            _sounds.enter_context(_silence())
        _silenced += 1
    try:
        yield
    finally:
        with _silencing:
            _silenced -= 1
            if not _silenced:
                _sounds.close()


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """What the whole process shares: the client's level and bars, and the filters of warnings."""
    level, bars = logging.get_verbosity(), not are_progress_bars_disabled()
    logging.set_verbosity(40)  # errors only
    if bars:
        disable_progress_bars()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Use 'content=", DeprecationWarning)  # the client's own affair
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            enable_progress_bars()


def connect(name: str, patience: Patience) -> Repository:
    """The repository `ORG/NAME` at `HF_ENDPOINT`, with the client's own login. Opens no connection."""
    return Repository(name, HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None), patience)


def tree(repo: Repository, revision: str) -> dict[str, RepoFile]:
    """Every file at a revision by path, without `.gitattributes`, which the Hub keeps itself."""
    listed = repo.call(
        f"listing {revision}",
        lambda: list(repo.api.list_repo_tree(repo.name, recursive=True, revision=revision, repo_type=KIND)),
    )
    return {item.path: item for item in listed if isinstance(item, RepoFile) and item.path != ".gitattributes"}


def refs(repo: Repository) -> dict[str, str]:
    """The commit of every ref, pull requests and converted copies included, by its full name."""
    found = repo.call(
        "reading the refs",
        lambda: repo.api.list_repo_refs(repo.name, repo_type=KIND, include_pull_requests=True),
    )
    every = [*found.branches, *found.tags, *found.converts, *(found.pull_requests or [])]
    return {item.ref: item.target_commit for item in every}


def head(repo: Repository, branch: str = MAIN) -> str:
    """The commit that a branch is at.

    Raises:
        HubError: the repository has no such branch.
    """
    found = refs(repo)
    if (name := f"refs/heads/{branch}") not in found:
        raise HubError(f"{repo.name} has no branch {branch}", hint="Create it on the hub, then publish again.")
    return found[name]


def small_file(repo: Repository, revision: str, item: RepoFile) -> bytes:
    """The bytes of a file, compared with the id that the tree states for them."""

    def fetch() -> bytes:
        data = ranged(repo, revision, item.path, 0, None)
        stated = item.lfs.sha256 if item.lfs else item.blob_id
        if stated != (hashlib.sha256(data).hexdigest() if item.lfs else git_oid(data)):
            raise ConnectionError("the bytes changed on the way")  # neither client notices
        return data

    return repo.call(f"reading {item.path}", fetch)


def git_oid(data: bytes) -> str:
    """Git's id of a blob, by which the Hub lists regular files."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def ranged(repo: Repository, revision: str, path: str, offset: int, length: int | None) -> bytes:
    """Bytes of a file by one range request, all of them or an error."""
    url = hf_hub_url(repo.name, path, repo_type=KIND, revision=revision, endpoint=repo.api.endpoint)
    headers = build_hf_headers()
    if offset or length is not None:
        last = "" if length is None else str(offset + length - 1)
        headers["Range"] = f"bytes={offset}-{last}"
    response = get_session().get(url, headers=headers)
    hf_raise_for_status(response)
    whole = response.status_code == httpx2.codes.OK  # a server may ignore `Range`
    found = response.content[offset:] if whole else response.content
    return found if length is None else found[:length]


def seconds_to_wait(error: Exception) -> float | None:
    """Seconds that the hub asks to wait before the next try; `None` for what will not pass by itself."""
    cause = _cause(error)
    if isinstance(cause, HfHubHTTPError):
        status = cause.response.status_code
        in_storage = cause is not error and status not in (401, 412)  # a new try gets new upload addresses
        return _asked(cause.response) if status in _PASSING or in_storage else None
    if isinstance(cause, httpx2.TransportError | json.JSONDecodeError | ConnectionError | TimeoutError):
        return 0.0
    return None


def _cause(error: BaseException) -> BaseException:
    """The client wraps what went wrong in an upload."""
    while isinstance(error, RuntimeError) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _asked(response: httpx2.Response) -> float:
    text = response.headers.get("Retry-After", "")
    if text.replace(".", "", 1).isdigit():
        return float(text)
    match = re.search(r"r\s*=\s*0\s*;\s*t\s*=\s*(\d+)", response.headers.get("RateLimit", ""))
    return float(match.group(1)) if match else 0.0


def told(cause: BaseException, doing: str, name: str) -> HubError:
    """What went wrong as one line, with what to do; no address, no login."""
    again_hint = "Run the same command again: it goes on where it stopped."
    if isinstance(cause, LocalTokenNotFoundError):
        return HubError(f"{doing} of {name}: not logged in", hint="Run `hf auth login`, then the same command.")
    if isinstance(cause, OfflineModeIsEnabled):
        return HubError(f"{doing} of {name}: HF_HUB_OFFLINE is set", hint="Unset it, then run this again.")
    if isinstance(cause, HfHubHTTPError):
        return _told_status(cause, doing, name, again_hint)
    if isinstance(cause, httpx2.HTTPError | OSError):
        return HubError(f"{doing} of {name}: the connection failed ({type(cause).__name__})", hint=again_hint)
    return HubError(f"{doing} of {name}: {type(cause).__name__}: {redacted(str(cause))}", hint=again_hint)


def _told_status(error: HfHubHTTPError, doing: str, name: str, again_hint: str) -> HubError:
    status, said = error.response.status_code, redacted(error.server_message or "")
    if isinstance(error, RevisionNotFoundError):
        return HubError(f"{doing} of {name}: no such version or branch", hint="List the versions first.")
    if status == 401:
        return HubError(
            f"{doing} of {name}: the hub does not accept the login (missing, expired or revoked)",
            hint="Run `hf auth login`, then the same command again: it goes on where it stopped.",
        )
    if status == 403:
        return HubError(f"{doing} of {name}: the login may not do this", hint="Use a token with write access to it.")
    if isinstance(error, RepositoryNotFoundError):
        return AbsentError(f"{doing} of {name}: no such repository, or not for this login", hint="Check the name.")
    if status == 429:
        return HubError(f"{doing} of {name}: the hub's rate limit is reached", hint=again_hint)
    return HubError(f"{doing} of {name}: the hub answered {status} {said}".rstrip(), hint=again_hint)


def redacted(text: str) -> str:
    """One line without logins or signed addresses."""
    return _SECRETS.sub("<redacted>", " ".join(text.split()))[:200]
