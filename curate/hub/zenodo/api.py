"""Requests to Zenodo: a login from the environment, patience, and one clear line where they fail."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx2

from curate.core.errors import CurateError, HubError, InputError
from curate.hub.retry import Patience, again

ENDPOINT, TOKEN = "ZENODO_ENDPOINT", "ZENODO_TOKEN"
_PUBLIC = "https://zenodo.org"
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Api:
    """Where Zenodo is, the connections to it, and the patience."""

    endpoint: str
    client: httpx2.Client
    patience: Patience


def open_client() -> httpx2.Client:
    """Connections that bear the login of the environment.

    Raises:
        HubError: there is none.
    """
    token = os.environ.get(TOKEN, "")
    if not token:
        raise HubError(
            "not logged in to Zenodo", hint=f"Set {TOKEN} to a token with deposit:write and deposit:actions."
        )
    return httpx2.Client(headers={"Authorization": f"Bearer {token}"}, timeout=120)


def endpoint() -> str:
    """Zenodo, its sandbox, or any InvenioRDM that the environment names.

    Raises:
        InputError: it names no address.
    """
    found = os.environ.get(ENDPOINT, _PUBLIC).rstrip("/")
    if not re.match(r"https?://", found):
        raise InputError(f"{ENDPOINT} is not an address", hint=f"Set it like {_PUBLIC}, or unset it.")
    return found


def call(
    api: Api,
    method: str,
    path: str,
    *,
    look: Callable[[], dict[str, Any] | None] | None = None,
    missing: bool = False,
    gone: bool = False,
    **content: Any,
) -> dict[str, Any]:
    """One request, tried again while it fails in a way that passes; `missing` and `gone` allow 404.

    Raises:
        HubError: it failed for good.
    """

    def send() -> dict[str, Any]:
        response = api.client.request(method, f"{api.endpoint}{path}", **content)
        if response.status_code == 404 and (missing or gone):
            return {}
        response.raise_for_status()
        found = response.json() if response.content else {}
        return found if isinstance(found, dict) else {}

    try:
        return again(send, patience=api.patience, wait=_wait, look=look)
    except CurateError:
        raise
    except Exception as error:
        failure = _told(error)
    raise failure  # outside of `except`: the client's error holds the login in its request


def _wait(error: Exception) -> float | None:
    if isinstance(error, httpx2.HTTPStatusError):
        asked = error.response.headers.get("Retry-After", "0")
        return (float(asked) if asked.isdigit() else 0.0) if error.response.status_code in _PASSING else None
    return 0.0 if isinstance(error, httpx2.TransportError | ValueError) else None


def _told(error: Exception) -> HubError:
    """One line with what to do; no address, no login."""
    hint = "Run the same command again: it goes on where it stopped."
    if not isinstance(error, httpx2.HTTPStatusError):
        return HubError(f"the connection to Zenodo failed ({type(error).__name__})", hint=hint)
    status = error.response.status_code
    if status in (401, 403):
        return HubError(
            "Zenodo does not accept the login (missing, expired, or without the right)",
            hint=f"Set {TOKEN} to a token with deposit:write and deposit:actions, then run this again.",
        )
    return HubError(f"Zenodo answered {status}", hint=hint)
