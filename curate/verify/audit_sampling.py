"""The files of a release as an auditor reads them: all that is no pack, and of the packs a sample or all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Collection

from curate.core.digests import sha256_stream
from curate.untrusted import foreign_files
from curate.untrusted.foreign_files import UnsafeFileError
from curate.verify.attestation_reader import Attested, Found

SAMPLE_PACKS = 16
_PACKS = "packs/"


def to_read(paths: Collection[str], *, full: bool) -> frozenset[str]:
    """The files whose digests are compared; which packs of many, nobody can foresee."""
    packs = sorted(path for path in paths if path.startswith(_PACKS))
    if not full and len(packs) > SAMPLE_PACKS:
        packs = secrets.SystemRandom().sample(packs, SAMPLE_PACKS)
    return frozenset(path for path in paths if not path.startswith(_PACKS)) | frozenset(packs)


def check_sealed(release: Attested, found: Found, *, full: bool, partly: bool) -> None:
    """Compare digests; `partly`: only some packs were brought here, and these are read."""
    files, here = release.seal.files, release.seal.folder
    brought = [name for name in files if not (partly and name.startswith(_PACKS)) or (here / name).is_file()]
    for name in sorted(to_read(brought, full=full or partly)):
        try:
            with foreign_files.opened(release.seal.folder, name) as file:
                found.count("sealed")
                if os.fstat(file.fileno()).st_size != files[name]["size_bytes"]:
                    found.tell("sealed", "FILE_SIZE", release.name, name)
                elif sha256_stream(file) != files[name]["sha256"]:
                    found.tell("sealed", "FILE_DIGEST", release.name, name)
        except UnsafeFileError as error:
            found.tell("sealed", error.rule, release.name, name)
        except OSError:  # such as a disk that fails
            found.tell("sealed", "FILE_UNREADABLE", release.name, name)
