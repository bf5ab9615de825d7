"""`python -m tests.supply.audit`: known vulnerabilities of what the lock file pins, by the package index's own JSON.

The index is PyPI, or the one that PIP_INDEX_URL tells pip of; certificates and proxies are the environment's.
Exit 1 where something is known; where the index gives no such data, that is said, and nothing was audited.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from tests.supply import lock

_TRIED_FIRST = 3
_SECONDS = 20


@dataclass(frozen=True)
class Known:
    """One vulnerability of a pinned package, and the versions that mend it."""

    package: str
    version: str
    id: str
    fixed_in: tuple[str, ...]


Ask = Callable[[str, str], dict[str, Any] | None]


def ask(name: str, version: str) -> dict[str, Any] | None:
    """What the index says of a version; None where it says nothing."""
    index = os.environ.get("PIP_INDEX_URL", "https://pypi.org/simple").rstrip("/").removesuffix("/simple")
    try:
        with urllib.request.urlopen(f"{index}/pypi/{name}/{version}/json", timeout=_SECONDS) as answer:
            told: dict[str, Any] = json.load(answer)
    except (OSError, ValueError, urllib.error.URLError):  # the answer asked for
        return None
    return told if "vulnerabilities" in told else None


def audit(packages: Iterable[lock.Package], asked: Ask = ask) -> tuple[list[Known], list[str]]:
    """What is known, and the packages of which the index says nothing; it is not asked on where it has no such data."""
    found: list[Known] = []
    silent: list[str] = []
    waiting = list(packages)
    first, rest = waiting[:_TRIED_FIRST], waiting[_TRIED_FIRST:]
    with ThreadPoolExecutor(8) as threads:
        for part in (first, rest):
            for package, told in zip(part, threads.map(lambda p: asked(p.name, p.version), part), strict=True):
                if told is None:
                    silent.append(package.name)
                else:
                    found += _known(package, told)
            if len(silent) == len(first) and part is first:
                return [], [package.name for package in waiting]
    return found, silent


def _known(package: lock.Package, told: dict[str, Any]) -> list[Known]:
    return [
        Known(package.name, package.version, str(one.get("id", "")), tuple(map(str, one.get("fixed_in") or ())))
        for one in told["vulnerabilities"]
        if not one.get("withdrawn")
    ]


def main() -> int:
    """Print what is known, one line each."""
    packages = lock.packages()
    found, silent = audit(packages)
    for one in sorted(found, key=lambda k: (k.package, k.id)):
        mended = f"mended in {', '.join(one.fixed_in)}" if one.fixed_in else "not mended yet"
        print(f"{one.package} {one.version}: {one.id}, {mended}")
    if len(silent) == len(packages):
        print("The package index gives no data on vulnerabilities here: nothing was audited.")
        return 0
    print(f"{len(packages) - len(silent)} packages audited, {len(found)} vulnerabilities known.")
    if silent:
        print(f"Of {len(silent)} the index says nothing: {', '.join(silent)}.")
    return 1 if found or silent else 0


if __name__ == "__main__":
    sys.exit(main())
