"""A loss that can never be made good is asked about before it is cut."""

from __future__ import annotations

from collections.abc import Callable

from curate.archive.repository import Archive
from curate.core.errors import RefusedError, quoted
from curate.privacy.loss import Loss

Accept = Callable[[Loss], bool]


def refuse_unaccepted(archive: Archive, loss: Loss | None, accept: bool | Accept) -> None:
    """Stop before a loss that can never be made good, unless somebody said yes to it.

    Raises:
        RefusedError: nobody did.
    """
    if loss is None or not loss.grave or accept is True:
        return
    if callable(accept) and accept(loss):
        return
    hint = f"See it all: curate release {quoted(archive.root)} --dry-run; cut it with --accept-loss."
    if loss.gated is not None:
        hint += f' access = "gated" in [privacy] of archive.toml would show {loss.gated.shown:,} studies.'
    raise RefusedError(f"{' '.join(loss.grave)} Nothing published is ever made finer.", hint=hint)
