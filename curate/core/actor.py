"""Who does a thing, and with what: for the ledger's events."""

from __future__ import annotations

import getpass
from importlib.metadata import PackageNotFoundError, version


def _version() -> str:
    try:
        return version("imaging-curate")
    except PackageNotFoundError:  # run from a source tree that was never installed
        return "0+source"


TOOL = f"curate {_version()}"


def who() -> str:
    """The name of the account that runs the command."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as in containers
        return "unknown"
