"""What the hub of the tests holds: repositories with refs, commits, blobs and large objects."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from fnmatch import fnmatch
from typing import Any

from tests.hub.http import ProtocolError

MAIN = "refs/heads/main"
GITATTRIBUTES = b"".join(
    b"%s filter=lfs diff=lfs merge=lfs -text\n" % pattern
    for pattern in (b"*.arrow", b"*.bin", b"*.gz", b"*.npy", b"*.parquet", b"*.zip", b"*.zst", b"*.png")
)


def git_blob(data: bytes) -> str:
    """Git's id of a blob."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def pointer(sha256: str, size: int) -> bytes:
    """The text that git holds in place of a large object."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of a tree: `sha256` of a large object, none for a regular blob."""

    oid: str
    size: int
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit; `tree` maps paths to entries."""

    oid: str
    parent: str | None
    title: str
    message: str
    date: datetime
    tree: Mapping[str, Entry]


@dataclass
class Repo:
    """One data set repository."""

    id: str
    private: bool = False
    gated: str | bool = False
    downloads: int = 0
    likes: int = 0
    refs: dict[str, str] = field(default_factory=dict)
    commits: dict[str, Commit] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    lfs: dict[str, bytes] = field(default_factory=dict)
    lfs_names: dict[str, str] = field(default_factory=dict)
    keeps_old_commits: bool = False
    granted: set[str] = field(default_factory=set)
    _serial: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        attributes = self.add_blob(GITATTRIBUTES)
        self.refs[MAIN] = self.add_commit(None, "initial commit", {".gitattributes": attributes}).oid

    # What tests ask.

    @property
    def tags(self) -> dict[str, str]:
        """Commit of each tag."""
        return {name.removeprefix("refs/tags/"): oid for name, oid in self.refs.items() if "/tags/" in name}

    @property
    def branches(self) -> dict[str, str]:
        """Commit of each branch."""
        return {name.removeprefix("refs/heads/"): oid for name, oid in self.refs.items() if "/heads/" in name}

    def tree(self, revision: str = "main") -> dict[str, str]:
        """SHA-256 of the content by path, without `.gitattributes`: equal trees hold equal bytes."""
        return {
            path: entry.sha256 or hashlib.sha256(self.blobs[entry.oid]).hexdigest()
            for path, entry in sorted(self.commit(revision).tree.items())
            if path != ".gitattributes"
        }

    def content(self, path: str, revision: str = "main") -> bytes:
        """The bytes of a file as the hub would serve them."""
        entry = self.entry(revision, path)
        return self.lfs[entry.sha256] if entry.sha256 else self.blobs[entry.oid]

    def history(self, revision: str = "main") -> list[Commit]:
        """The commit of a revision and its ancestors, newest first."""
        found, oid = [], self.resolve(revision)
        while oid is not None:
            found.append(self.commits[oid])
            oid = self.commits[oid].parent
        return found

    def reachable(self) -> set[str]:
        """SHA-256 of every stored large object that some ref, or an ancestor of it, points at."""
        return {
            entry.sha256
            for ref in self.refs.values()
            for commit in self.history(ref)
            for entry in commit.tree.values()
            if entry.sha256 and entry.sha256 in self.lfs
        }

    # What the protocol does.

    def resolve(self, revision: str) -> str:
        """The commit id of a branch, tag, full ref or commit id.

        Raises:
            ProtocolError: no such revision.
        """
        for name in (f"refs/heads/{revision}", f"refs/tags/{revision}", revision, f"refs/{revision}"):
            if name in self.refs:
                return self.refs[name]
        if revision in self.commits and (self.keeps_old_commits or revision in self._led_to()):
            return revision
        raise ProtocolError(404, f"Invalid rev id: {revision}", "RevisionNotFound")

    def _led_to(self) -> set[str]:
        """Every commit that some ref leads to."""
        found: set[str] = set()
        for start in self.refs.values():
            oid: str | None = start
            while oid is not None and oid not in found:
                found.add(oid)
                oid = self.commits[oid].parent
        return found

    def commit(self, revision: str) -> Commit:
        """The commit of a revision."""
        return self.commits[self.resolve(revision)]

    def entry(self, revision: str, path: str) -> Entry:
        """The entry of a path.

        Raises:
            ProtocolError: no such entry.
        """
        tree = self.commit(revision).tree
        if path not in tree:
            raise ProtocolError(404, "Entry not found", "EntryNotFound")
        return tree[path]

    def add_blob(self, data: bytes) -> Entry:
        """Store a regular file."""
        oid = git_blob(data)
        self.blobs[oid] = data
        return Entry(oid, len(data))

    def add_commit(self, parent: str | None, title: str, tree: Mapping[str, Entry], message: str = "") -> Commit:
        """Store a commit; each has an id of its own, even with an equal tree."""
        serial = next(self._serial)
        oid = hashlib.sha1(f"{self.id} {serial} {parent} {title}".encode()).hexdigest()
        date = datetime.fromtimestamp(1_700_000_000 + serial, UTC)
        self.commits[oid] = Commit(oid, parent, title, message, date, dict(tree))
        return self.commits[oid]

    def apply(self, revision: str, lines: Iterable[bytes], *, trusting: bool = False) -> Commit:
        """One commit on a branch, from the client's ndjson; `trusting` takes large objects that Xet holds.

        Raises:
            ProtocolError: the head moved, a large object is not stored, or a deleted file is not there.
        """
        ref = self._branch(revision)
        header: dict[str, str] = {}
        tree = dict(self.commits[self.refs[ref]].tree)
        for line in lines:
            item = json.loads(line)
            if item["key"] == "header":
                header = item["value"]
            else:
                self._operation(tree, item["key"], item["value"], trusting)
        if header.get("parentCommit", self.refs[ref]) != self.refs[ref]:
            raise ProtocolError(412, "A commit has happened since. Please refresh and try again.")
        commit = self.add_commit(self.refs[ref], header["summary"], tree, header.get("description", ""))
        self.refs[ref] = commit.oid
        return commit

    def _branch(self, revision: str) -> str:
        name = revision if revision.startswith("refs/") else f"refs/heads/{revision}"
        if name not in self.refs:
            raise ProtocolError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return name

    def _operation(self, tree: dict[str, Entry], key: str, value: Mapping[str, Any], trusting: bool) -> None:
        path = value["path"]
        if key == "file":
            tree[path] = self.add_blob(base64.b64decode(value["content"]))
        elif key == "lfsFile":
            if value["oid"] not in self.lfs and not trusting:
                raise ProtocolError(400, f"LFS object {value['oid']} of {path} is not uploaded")
            size = len(self.lfs[value["oid"]]) if value["oid"] in self.lfs else value["size"]
            tree[path] = Entry(git_blob(pointer(value["oid"], size)), size, value["oid"])
            self.lfs_names[value["oid"]] = path
        elif key == "deletedFile":
            if tree.pop(path, None) is None:
                raise ProtocolError(404, f"A file with this name doesn't exist: {path}", "EntryNotFound")
        elif key == "deletedFolder":
            for name in [name for name in tree if name.startswith(path.rstrip("/") + "/")]:
                del tree[name]
        else:
            raise ProtocolError(400, f"unknown operation {key}")

    def squash(self, revision: str, title: str) -> None:
        """Replace a branch's history by one commit with the same tree."""
        ref = self._branch(revision)
        self.refs[ref] = self.add_commit(None, title, self.commits[self.refs[ref]].tree).oid

    def open_pull_request(self, number: int = 1, tree: Mapping[str, Entry] | None = None) -> str:
        """A pull request's ref, which keeps what it held whatever happens to `main`."""
        base = self.commits[self.refs[MAIN]]
        commit = self.add_commit(base.oid, "a pull request", tree or base.tree)
        self.refs[f"refs/pr/{number}"] = commit.oid
        return commit.oid

    def erase(self, sha256s: Iterable[str], *, rewrite: bool) -> None:
        """Delete large objects for good; `rewrite` takes them out of the history of branches and tags."""
        gone = set(sha256s)
        for sha256 in gone:
            self.lfs.pop(sha256, None)
        if rewrite:
            renamed: dict[str, str] = {}
            for name in [name for name in self.refs if not name.startswith("refs/pr/")]:
                self.refs[name] = self._rewritten(self.refs[name], gone, renamed)

    def _rewritten(self, oid: str, gone: set[str], renamed: dict[str, str]) -> str:
        """The id of a commit after `gone` left it and its ancestors: the same where nothing changed."""
        chain = self.history(oid)[::-1]
        for commit in chain:
            parent = renamed.get(commit.parent, commit.parent) if commit.parent else None
            tree = {path: entry for path, entry in commit.tree.items() if entry.sha256 not in gone}
            if parent != commit.parent or len(tree) != len(commit.tree):
                if commit.oid not in renamed:
                    new = self.add_commit(parent, commit.title, tree, commit.message)
                    self.commits[new.oid] = replace(new, date=commit.date)
                    renamed[commit.oid] = new.oid
            else:
                renamed[commit.oid] = commit.oid
        return renamed[oid]

    def upload_mode(self, path: str, size: int) -> str:
        """`lfs` for what `.gitattributes` names and for anything above 10 MB, else `regular`."""
        patterns = [line.split()[0].decode() for line in GITATTRIBUTES.splitlines()]
        large = any(fnmatch(path.rsplit("/", 1)[-1], pattern) for pattern in patterns)
        return "lfs" if large or size > 10_000_000 else "regular"
