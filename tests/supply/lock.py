"""`requirements.lock` as records: each package that may be installed, its digests, and who asks for it."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "requirements.lock"
_PACKAGE = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;\\]+)")


@dataclass(frozen=True)
class Package:
    """One pinned package; `via` are the names of those that ask for it, the project's own groups among them."""

    name: str
    version: str
    sha256: tuple[str, ...]
    via: tuple[str, ...]

    @property
    def purl(self) -> str:
        """Its package URL."""
        return f"pkg:pypi/{self.name.lower().replace('_', '-')}@{self.version}"


def packages(text: str | None = None) -> list[Package]:
    """All packages of the lock file, in its order."""
    found: list[Package] = []
    name = version = ""
    hashes: list[str] = []
    via: list[str] = []

    def end() -> None:
        if name:
            found.append(Package(name, version, tuple(hashes), tuple(via)))

    for line in (LOCK.read_text("utf-8") if text is None else text).splitlines():
        if match := _PACKAGE.match(line):
            end()
            name, version = match[1], match[2]
            hashes, via = [], []
        elif told := re.search(r"--hash=sha256:([0-9a-f]{64})", line):
            hashes.append(told[1])
        elif told := re.match(r"\s+#(?: via)?\s+(\S.*)", line):
            via.append(told[1].removeprefix("via ").strip())
    end()
    return found


def scopes(all_of_them: list[Package]) -> dict[str, str]:
    """CycloneDX's scope of each: `required` by any installation, `optional` by an extra, `excluded` from both."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    required = _reached(all_of_them, project["dependencies"])
    optional = _reached(all_of_them, [one for extra in project["optional-dependencies"].values() for one in extra])
    return {
        p.name: "required" if p.name in required else "optional" if p.name in optional else "excluded"
        for p in all_of_them
    }


def _reached(all_of_them: list[Package], roots: list[str]) -> set[str]:
    """What a list of requirements leads to."""
    wanted = {_plain(root) for root in roots}
    while more := {p.name for p in all_of_them if {_plain(one) for one in p.via} & wanted} - wanted:
        wanted |= more
    return wanted


def _plain(requirement: str) -> str:
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    return re.sub(r"[-_.]+", "-", match[0]).lower() if match else ""
