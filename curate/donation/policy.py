"""Which options of the profile apply where no archive is open: those of a TOML file, or of a release."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from curate.dicom.types import Policy
from curate.errors import InputError


def of_file(path: Path | None) -> Policy:
    """The table [profile] of a file such as `archive.toml`; the defaults where no file is named.

    Raises:
        InputError: it cannot be read, or states what the profile does not take.
    """
    if path is None:
        return Policy()
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8")).get("profile", {})
    except (OSError, ValueError):
        raise InputError(f"{path} cannot be read as TOML.", hint="Name the archive's archive.toml.") from None
    if not isinstance(found, dict):
        raise InputError(f"{path} has no table [profile].", hint="Name the archive's archive.toml.")
    return Policy.from_mapping(found)


def of_release(folder: Path) -> Policy | None:
    """What a release's folder states of itself; None for any other folder, or where it states nothing usable."""
    try:
        stated: Any = json.loads((folder / "release.json").read_bytes())["profile"]
        return Policy.from_mapping(stated)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, InputError):
        return None
