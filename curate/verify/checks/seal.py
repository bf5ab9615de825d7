"""Checks `seal` and `files`: `release.json` is in order, and lists exactly the files that are there, as they are."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate.core import versions
from curate.core.digests import canonical_json, parse_json, sha256_stream
from curate.core.errors import InputError
from curate.core.findings import Finding
from curate.core.records import CheckResult
from curate.policies import Policy
from curate.untrusted import foreign_files
from curate.untrusted.foreign_files import UnsafeFileError
from curate.verify.verified_cache import Remembered, digest_of

OUTSIDE = "attestations"
LARGEST_SEAL = 64 << 20  # bytes: ten times what 90,000 files take
MOST_FILES = 200_000
_KEYS = {
    "version": str,
    "date": str,
    "contract": str,
    "title": str,
    "publisher": str,
    "population": str,
    "tool": str,
    "counts": dict,
    "statements": list,
    "files": dict,
}


@dataclass(frozen=True, slots=True)
class Seal:
    """A release's folder with its parsed and validated `release.json`."""

    folder: Path
    version: str
    content: dict[str, Any]

    @property
    def digest(self) -> str:
        """The SHA-256 of `release.json`, in hex: the release's identity.

        Raises:
            UnsafeFileError: it is not there any more.
        """
        return hashlib.sha256(foreign_files.read(self.folder, "release.json", LARGEST_SEAL)).hexdigest()

    @property
    def files(self) -> dict[str, dict[str, Any]]:
        """Path -> {sha256, size_bytes} of every sealed file."""
        return dict(self.content["files"])

    @property
    def profile(self) -> Mapping[str, Any]:
        """The options of the profile that the release states; an unusable statement is a finding elsewhere."""
        stated = self.content.get("profile")
        return stated if isinstance(stated, dict) and _usable_profile(self.content) else {}


def read(folder: Path) -> tuple[Seal | None, list[Finding]]:
    """The seal of a folder; None where it is so broken that nothing else can be checked.

    Raises:
        InputError: there is no folder, or no `release.json` in it.
    """
    try:
        text = foreign_files.read(folder, "release.json", LARGEST_SEAL)
    except UnsafeFileError as error:
        if error.rule != "FILE_MISSING":
            return None, [Finding(error.rule, "release.json")]
        raise InputError(
            f"{folder} is not a release: it has no release.json.", hint="Name a release's folder."
        ) from None
    try:
        content = parse_json(text)
    except ValueError:
        return None, [Finding("RELEASE_JSON_INVALID", "release.json")]
    if not isinstance(content, dict):
        return None, [Finding("RELEASE_JSON_INVALID", "release.json")]
    if bad := list(_unusable(content)):
        return None, [Finding("RELEASE_JSON_INVALID", "release.json", key) for key in bad]
    findings = [] if _is_canonical(content, text) else [Finding("RELEASE_JSON_NOT_CANONICAL", "release.json")]
    if not _usable_profile(content):
        findings.append(Finding("RELEASE_JSON_INVALID", "release.json", "profile"))
    return Seal(folder, content["version"], content), findings


def _is_canonical(content: dict[str, Any], text: bytes) -> bool:
    try:
        return (canonical_json(content) + "\n").encode() == text
    except (ValueError, RecursionError):  # a float, half of a surrogate pair: the answer asked for
        return False


def _unusable(content: Mapping[str, Any]) -> Iterator[str]:
    """The keys without which, or with which, nothing else can be checked."""
    wrong = [key for key, kind in _KEYS.items() if not isinstance(content.get(key), kind)]
    yield from wrong
    if wrong:
        return
    texts = (*(content[key] for key, kind in _KEYS.items() if kind is str), *content["statements"])
    if not all(isinstance(text, str) and _is_text(text) for text in texts):
        yield "statements"
    if not all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in content["counts"].values()):
        yield "counts"
    if not _is_version(content["version"]):
        yield "version"
    if len(content["files"]) > MOST_FILES or not all(_valid_entry(*item) for item in content["files"].items()):
        yield "files"


def _is_text(text: str) -> bool:
    try:
        return len(text.encode()) <= 1 << 20
    except UnicodeEncodeError:  # half of a surrogate pair: False
        return False


def _is_version(text: str) -> bool:
    try:
        return len(text) < 64 and versions.normal(text) == text
    except InputError:  # False: the answer asked for
        return False


def _usable_profile(content: Mapping[str, Any]) -> bool:
    """Whether the options of the profile, if it is a table, are ones that a check can apply."""
    stated = content.get("profile")
    try:
        return not isinstance(stated, dict) or bool(Policy.from_mapping(stated))
    except InputError:  # False: the answer asked for
        return False


def _valid_entry(name: str, entry: Any) -> bool:
    if not isinstance(entry, dict) or not foreign_files.is_name(name):
        return False
    digest, size = entry.get("sha256"), entry.get("size_bytes")
    hexadecimal = isinstance(digest, str) and len(digest) == 64 and set(digest) <= set("0123456789abcdef")
    return hexadecimal and isinstance(size, int) and not isinstance(size, bool) and size >= 0


def check_files(seal: Seal, digests: Mapping[str, str] | None = None, known: Remembered | None = None) -> CheckResult:
    """Every file has its digest and size, nothing is missing, nothing is extra, nothing is a link.

    `digests` maps a path to a digest that the caller has just computed or remembers as verified.
    """
    findings: list[Finding] = []
    for name, entry in seal.files.items():
        if rule := _fault(seal.folder, name, entry, (digests or {}).get(name), known):
            findings.append(Finding(rule, name))
    findings += [Finding("FILE_EXTRA", name) for name in extra_files(seal)]
    return CheckResult("files", "Every file has its digest; none is missing or extra", len(seal.files), tuple(findings))


def _fault(folder: Path, name: str, entry: Mapping[str, Any], digest: str | None, known: Remembered | None) -> str:
    """The rule that a listed file breaks, or nothing."""
    try:
        with foreign_files.opened(folder, name) as file:
            if os.fstat(file.fileno()).st_size != entry["size_bytes"]:
                return "FILE_SIZE"
            if digest is None and known is not None and name.startswith("previews/"):
                digest = digest_of(folder / name, name, known)
            return "" if (digest or sha256_stream(file)) == entry["sha256"] else "FILE_DIGEST"
    except UnsafeFileError as error:
        return error.rule
    except OSError:  # such as a disk that fails
        return "FILE_UNREADABLE"


def extra_files(seal: Seal) -> list[str]:
    """Paths in the folder that the seal does not list, `release.json` and `attestations/` apart."""
    listed = seal.files.keys() | {"release.json"}
    here = (p for p in seal.folder.rglob("*") if p.is_symlink() or not p.is_dir())
    names = (p.relative_to(seal.folder).as_posix() for p in here)
    return sorted(name for name in names if name not in listed and not name.startswith(f"{OUTSIDE}/"))
