"""`python -m tests.supply.sbom OUT`: the software bill of materials, CycloneDX 1.6 as JSON, of the lock file."""

from __future__ import annotations

import hashlib
import json
import sys
import tomllib
import uuid
from pathlib import Path
from typing import Any

from tests.supply import lock

_NAMESPACE = uuid.UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")  # of URLs (RFC 9562)


def bill(wheel: Path | None = None) -> dict[str, Any]:
    """The same lock file gives the same bill; `wheel` is what it belongs to, by its digest."""
    project = tomllib.loads((lock.ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    found = lock.packages()
    scopes = lock.scopes(found)
    own = f"pkg:pypi/{project['name']}@{project['version']}"
    main: dict[str, Any] = {"type": "application", "bom-ref": own, "name": project["name"], "purl": own}
    main |= {"version": project["version"], "licenses": [{"license": {"id": project["license"]}}]}
    if wheel is not None:
        main["hashes"] = [{"alg": "SHA-256", "content": hashlib.sha256(wheel.read_bytes()).hexdigest()}]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, own + hashlib.sha256(lock.LOCK.read_bytes()).hexdigest())}",
        "version": 1,
        "metadata": {"component": main},
        "components": [_component(package, scopes[package.name]) for package in found],
        "dependencies": [
            {
                "ref": own,
                "dependsOn": sorted(p.purl for p in found if any("pyproject" in one for one in p.via)),
            },
            *({"ref": p.purl, "dependsOn": _asked_by(p.name, found)} for p in found),
        ],
    }


def _asked_by(name: str, found: list[lock.Package]) -> list[str]:
    return sorted(package.purl for package in found if name in package.via)


def _component(package: lock.Package, scope: str) -> dict[str, Any]:
    """One package; its digests are those of all files of that version that may be installed."""
    digests = [{"alg": "SHA-256", "content": digest} for digest in package.sha256]
    plain = {"type": "library", "bom-ref": package.purl, "name": package.name, "version": package.version}
    return {**plain, "scope": scope, "purl": package.purl, "hashes": digests}


def main() -> None:
    """Write the bill of the wheel that lies in a folder beside it, or of the lock file alone."""
    out = Path(sys.argv[1])
    wheels = sorted(out.glob("*.whl")) if out.is_dir() else []
    for wheel in wheels:
        out = wheel.with_suffix(".cdx.json")
        out.write_text(json.dumps(bill(wheel), indent=1) + "\n", "utf-8")
    if not wheels:
        out.write_text(json.dumps(bill(), indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
