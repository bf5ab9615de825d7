"""Versions of releases: MAJOR the contract changed, MINOR studies added, PATCH only removed or corrected."""

from __future__ import annotations

import re

from curate.core.errors import InputError

FIRST = "1.0.0"
_FORM = re.compile(r"v?(0|[1-9][0-9]{0,5})\.(0|[1-9][0-9]{0,5})\.(0|[1-9][0-9]{0,5})")


def parse(text: str) -> tuple[int, int, int]:
    """The three numbers of a version or tag: `1.2.0` and `v1.2.0` are the same.

    Raises:
        InputError: not of that form.
    """
    match = _FORM.fullmatch(text.strip())
    if not match:
        raise InputError(f"{text!r} is not a version.", hint="Write it as 1.2.0 or v1.2.0.")
    major, minor, patch = (int(part) for part in match.groups())
    return major, minor, patch


def is_version(text: str) -> bool:
    """Whether a text is a version without the tag's `v`."""
    return _FORM.fullmatch(text) is not None and not text.startswith("v")


def normal(text: str) -> str:
    """A version without the tag's `v`.

    Raises:
        InputError: not a version.
    """
    return ".".join(map(str, parse(text)))


def tag(version: str) -> str:
    """The tag of a version, such as `v1.2.0`."""
    return f"v{normal(version)}"


def following(last: str | None, *, contract_changed: bool, added: bool) -> str:
    """The version after the last published one."""
    if last is None:
        return FIRST
    major, minor, patch = parse(last)
    if contract_changed:
        return f"{major + 1}.0.0"
    return f"{major}.{minor + 1}.0" if added else f"{major}.{minor}.{patch + 1}"
