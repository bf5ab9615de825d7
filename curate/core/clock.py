"""The one source of the time of day and of randomness; tests and reproducible builds set it."""

from __future__ import annotations

import os
import secrets
from datetime import UTC, date, datetime


def now() -> datetime:
    """The time in UTC; `SOURCE_DATE_EPOCH` (seconds since 1970) fixes it."""
    fixed = os.environ.get("SOURCE_DATE_EPOCH")
    return datetime.fromtimestamp(int(fixed), UTC) if fixed else datetime.now(UTC)


def today() -> date:
    """The day in UTC by the machine's own clock: what lasts some days for a person's sake is moved by nothing else."""
    return datetime.now(UTC).date()


def stamp() -> str:
    """The time as `2026-01-31T12:00:00Z`."""
    return now().strftime("%Y-%m-%dT%H:%M:%SZ")


def random_bytes(count: int) -> bytes:
    """Random bytes from the operating system."""
    return secrets.token_bytes(count)
