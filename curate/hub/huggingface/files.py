"""A release's files on their way to the Hub: watched while they are sent, compared when they are there."""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO

from huggingface_hub import CommitOperationAdd
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils._runtime import is_xet_available

from curate.core.errors import DamagedError, HubError
from curate.core.progress import Progress
from curate.core.records import FileEntry
from curate.hub.huggingface.client import KIND, Repository, git_oid
from curate.hub.protocol import Contents, UploadPlan

_BATCH = 64


class _Watched(io.FileIO):
    """A file that is hashed while the client sends it; a wrong last byte never leaves."""

    def __init__(self, path: str, entry: FileEntry) -> None:
        super().__init__(path, "rb")
        self._entry, self._digest, self._seen = entry, hashlib.sha256(), 0

    def read(self, size: int | None = -1) -> bytes:
        """Bytes from here on; the digest is compared before the last of them is given.

        Raises:
            DamagedError: the file is not the one that was cut.
        """
        start = self.tell()
        block = super().read(-1 if size is None else size) or b""
        if start <= self._seen < start + len(block):
            self._digest.update(block[self._seen - start :])
            self._seen = start + len(block)
            if self._seen >= self._entry.size_bytes and self._digest.hexdigest() != self._entry.sha256:
                raise damaged(self._entry.path)
        return block


def damaged(path: str) -> DamagedError:
    """A file of the release is not what `release.json` says."""
    return DamagedError(
        f"{path} does not have the digest that release.json states; nothing was published",
        hint="Run `curate check` on the release, then cut it again.",
    )


class Addition(CommitOperationAdd):
    """A file to send, whose digest is known: it is read once, while it is sent."""

    entry: FileEntry

    @contextlib.contextmanager
    def as_file(self, with_tqdm: bool = False) -> Iterator[BinaryIO]:
        """The file, watched."""
        del with_tqdm
        with _Watched(str(self.path_or_fileobj), self.entry) as file:
            yield file


def to_add(entry: FileEntry, path: str) -> Addition:
    """The operation that adds a file of a release."""
    made = Addition(entry.path, path)
    made.entry = entry
    if made.upload_info.size != entry.size_bytes:
        raise damaged(entry.path)
    if not is_xet_available():  # Xet hashes in its own pass; `sent_as_stated` compares
        made.upload_info.sha256 = bytes.fromhex(entry.sha256)
    return made


def sent_as_stated(made: Addition) -> bool:
    """Whether the digest of what was sent is the stated one."""
    return not made.upload_info.is_hashed or made.upload_info.sha256.hex() == made.entry.sha256


def differences(held: Mapping[str, RepoFile], contents: Contents) -> set[str]:
    """Paths of a release that the hub lacks or holds otherwise, and paths that only the hub has."""
    found = set(held) - set(contents.files)
    return found | {path for path, entry in contents.files.items() if not _same(held.get(path), entry, contents)}


def _same(item: RepoFile | None, entry: FileEntry, contents: Contents) -> bool:
    if item is None or item.size != entry.size_bytes:
        return False
    if item.lfs is not None:
        return item.lfs.sha256 == entry.sha256
    return item.blob_id == git_oid((contents.root / entry.path).read_bytes())


def compare(held: Mapping[str, RepoFile], contents: Contents) -> None:
    """Refuse to tag what is not the release.

    Raises:
        HubError: paths, sizes or digests differ.
    """
    if wrong := differences(held, contents):
        raise HubError(
            f"the hub holds {len(wrong)} files otherwise than {contents.tag} has them, such as {min(wrong)};"
            " it was not tagged",
            hint="Run the same command again; if it stays, look at the repository's own history.",
        )


def send(repo: Repository, branch: str, contents: Contents, plan: UploadPlan, progress: Progress) -> list[Addition]:
    """Upload what is large, a few files at a time; what the hub has stored already costs one question."""
    made: list[Addition] = []
    waiting: list[Addition] = []
    for entry in progress.over(plan.send, "files", len(plan.send)):
        waiting.append(to_add(entry, str(contents.root / entry.path)))
        progress.add(size_bytes=entry.size_bytes)
        if len(waiting) == _BATCH or len(made) + len(waiting) == len(plan.send):
            made += _preupload(repo, branch, waiting)
            waiting = []
    return made


def _preupload(repo: Repository, branch: str, additions: Sequence[Addition]) -> Sequence[Addition]:
    def upload() -> None:
        repo.api.preupload_lfs_files(repo.name, additions, repo_type=KIND, revision=branch, free_memory=False)

    repo.call("sending files", upload)
    for addition in additions:
        if not sent_as_stated(addition):
            raise damaged(addition.entry.path)
    return additions
