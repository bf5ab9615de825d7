"""Which options of the profile apply where no archive is open: those of a TOML file, or of a release."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from curate.archive import config
from curate.core.errors import InputError
from curate.policies import Policy

_HINT = "Name the archive's archive.toml, or a file with the table [profile] alone."


def of_file(path: Path | None) -> Policy:
    """The effective profile of a TOML file; the profile's own defaults where no file is named.

    An `archive.toml` is validated whole, and has the defaults of its population as at the archive itself; a file
    that has the table [profile] alone is no archive's, and states all that differs from the profile's defaults.

    Raises:
        InputError: it cannot be read, or states what its tables do not take.
    """
    if path is None:
        return Policy()
    try:
        text = path.read_text(encoding="utf-8")
        tables = tomllib.loads(text)
    except (OSError, ValueError):
        raise InputError(f"{path} cannot be read as TOML.", hint=_HINT) from None
    if "archive" in tables:
        return Policy.from_mapping(config.parse(text, str(path), path.parent).profile)
    if set(tables) - {"profile"} or not isinstance(tables.get("profile", {}), dict):
        raise InputError(f"{path} is no archive.toml, and has other tables than [profile].", hint=_HINT)
    try:
        return Policy.from_mapping(tables.get("profile", {}))
    except InputError as error:
        raise InputError(f"{path}: {error.message}", hint=error.hint) from None


def of_release(folder: Path) -> Policy | None:
    """What a release's folder states of itself; None for any other folder, or where it states nothing usable."""
    try:
        stated: Any = json.loads((folder / "release.json").read_bytes())["profile"]
        return Policy.from_mapping(stated)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, InputError):
        return None
