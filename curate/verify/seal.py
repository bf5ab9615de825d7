"""Checks (1) and (2): `release.json` is in order, and lists exactly the files that are there, as they are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from curate.digests import canonical_json, sha256_file
from curate.errors import InputError
from curate.findings import Finding
from curate.records import CheckResult
from curate.verify.remembered import Remembered, digest_of

OUTSIDE = "attestations"
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
    def files(self) -> dict[str, dict[str, Any]]:
        """Path -> {sha256, size_bytes} of every sealed file."""
        return dict(self.content["files"])

    @property
    def profile(self) -> Mapping[str, Any]:
        """The options of the profile that the release states; an unusable statement is a finding elsewhere."""
        stated = self.content.get("profile")
        return stated if isinstance(stated, dict) else {}


def read(folder: Path) -> tuple[Seal | None, list[Finding]]:
    """The seal of a folder; None where it is so broken that nothing else can be checked.

    Raises:
        InputError: there is no folder, or no `release.json` in it.
    """
    path = folder / "release.json"
    if not path.is_file():
        raise InputError(
            f"{folder} is not a release: it has no release.json.", hint="Name a release's folder."
        )
    text = path.read_bytes()
    try:
        content = json.loads(text)
    except ValueError:
        return None, [Finding("RELEASE_JSON_INVALID", "release.json")]
    if not isinstance(content, dict):
        return None, [Finding("RELEASE_JSON_INVALID", "release.json")]
    bad = [key for key, kind in _KEYS.items() if not isinstance(content.get(key), kind)]
    if bad:
        return None, [Finding("RELEASE_JSON_INVALID", "release.json", key) for key in bad]
    findings = [
        Finding("RELEASE_JSON_INVALID", "release.json", "files")
        for name, entry in content["files"].items()
        if not _valid_entry(name, entry)
    ]
    if findings:
        return None, findings
    if (canonical_json(content) + "\n").encode() != text:
        findings.append(Finding("RELEASE_JSON_NOT_CANONICAL", "release.json"))
    return Seal(folder, content["version"], content), findings


def _valid_entry(name: str, entry: Any) -> bool:
    path = PurePosixPath(name)
    safe = not path.is_absolute() and ".." not in path.parts and str(path) == name
    if not isinstance(entry, dict) or not safe:
        return False
    digest, size = entry.get("sha256"), entry.get("size_bytes")
    hexadecimal = isinstance(digest, str) and len(digest) == 64 and set(digest) <= set("0123456789abcdef")
    return hexadecimal and isinstance(size, int) and not isinstance(size, bool) and size >= 0


def check_files(
    seal: Seal, digests: Mapping[str, str] | None = None, known: Remembered | None = None
) -> CheckResult:
    """Every file has its digest and size, nothing is missing, nothing is extra, nothing is a link.

    `digests` maps a path to a digest that the caller has just computed or remembers as verified.
    """
    findings: list[Finding] = []
    for name, entry in seal.files.items():
        path = seal.folder / name
        if path.is_symlink():
            findings.append(Finding("FILE_LINK", name))
        elif not path.is_file():
            findings.append(Finding("FILE_MISSING", name))
        elif path.stat().st_size != entry["size_bytes"]:
            findings.append(Finding("FILE_SIZE", name))
        elif ((digests or {}).get(name) or _digest(path, name, known)) != entry["sha256"]:
            findings.append(Finding("FILE_DIGEST", name))
    findings += [Finding("FILE_EXTRA", name) for name in extra_files(seal)]
    return CheckResult(
        "files", "Every file has its digest; none is missing or extra", len(seal.files), tuple(findings)
    )


def _digest(path: Path, name: str, known: Remembered | None) -> str:
    return digest_of(path, name, known) if name.startswith("previews/") else sha256_file(path)


def extra_files(seal: Seal) -> list[str]:
    """Paths in the folder that the seal does not list, `release.json` and `attestations/` apart."""
    listed = seal.files.keys() | {"release.json"}
    here = (p for p in seal.folder.rglob("*") if p.is_symlink() or not p.is_dir())
    names = (p.relative_to(seal.folder).as_posix() for p in here)
    return sorted(name for name in names if name not in listed and not name.startswith(f"{OUTSIDE}/"))
