"""What a worker process may know of its coordinator's environment: no token, no passphrase, no login.

Workers of a step that reads from a store of objects, or writes to one, are told the store's login through the pool's
own pipe; nobody else's processes see that.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

_STORES = re.compile(r"(AWS|S3|GOOGLE|GCS|AZURE|FSSPEC)_")
_SECRET = re.compile(r"TOKEN|SECRET|PASS(WORD|PHRASE)|CREDENTIAL|API_?KEY|PRIVATE_?KEY|NETRC", re.IGNORECASE)


def secrets() -> dict[str, str]:
    """The variables of this process that workers do not inherit."""
    return {name: value for name, value in os.environ.items() if _STORES.match(name) or _SECRET.search(name)}


def of_stores() -> dict[str, str]:
    """Those of them that stores of objects are opened with."""
    return {name: value for name, value in os.environ.items() if _STORES.match(name)}


def forget() -> None:
    """Drop them from this process."""
    for name in secrets():
        del os.environ[name]


@contextmanager
def without_secrets() -> Iterator[None]:
    """A process that is started meanwhile inherits none of them."""
    kept = secrets()
    forget()
    try:
        yield
    finally:
        os.environ.update(kept)
