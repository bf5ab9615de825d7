"""Archives, donations and command runs for tests: real folders, real files, the real command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from curate.core.records import ArchiveInfo
from curate.steps.init import init
from curate.transparency.signed_note import Signer
from tests import synth
from tests.corpus import write_table

INFO = ArchiveInfo("Test archive", "Tests", "CC-BY-4.0", "test")


def make_archive(root: Path, *, approvals: int = 0, hub: str = "") -> Path:
    """An empty archive of test material."""
    return init(root, INFO, hub_target=hub, approvals=approvals)


def with_fixed_keys(archive: Path) -> Path:
    """The archive with keys that are always the same: of two such, the same donations give the same bytes."""
    (archive / "secret.key").chmod(0o600)
    (archive / "secret.key").write_text("60" * 32 + "\n")
    stored = json.loads((archive / "log.key").read_text())
    name = stored["public"].split("+")[0]
    signer = Signer(name, Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
    stored |= {"public": str(signer.public), "private": bytes(range(32)).hex()}
    (archive / "log.key").write_text(json.dumps(stored, indent=1) + "\n")
    return archive


def donation(folder: Path, studies: int = 2, instances: int = 3, first: int = 0) -> tuple[Path, Path]:
    """A folder of synthetic studies, and the table of them."""
    uids = []
    for study in range(first, first + studies):
        for instance in range(instances):
            path = folder / f"study{study}" / f"{instance:03d}.dcm"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(synth.instance_bytes(study, 0, 0, instance, rows=32, columns=32))
        uids.append(synth.uid(study, 0))
    return folder, write_table(folder.parent / f"{folder.name}.csv", uids)


def curate(*arguments: object, code: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does; it must end with `code` and never show a traceback."""
    done = subprocess.run(
        [sys.executable, "-m", "curate", *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
        timeout=300,
    )
    shown = done.stdout + done.stderr
    assert "Traceback" not in shown, shown
    assert done.returncode == code, f"exit {done.returncode}: {shown}"
    return done


def curate_json(*arguments: object, code: int = 0) -> Any:
    """What the command prints as JSON."""
    return json.loads(curate(*arguments, "--json", code=code).stdout)


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its bytes."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def sealed_files_of(folder: Path) -> dict[str, bytes]:
    """The files of a release, or of several below a folder, without the attestations: these are salted anew."""
    return {name: data for name, data in files_of(folder).items() if "attestations/" not in name}
