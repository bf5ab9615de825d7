"""What is refused is kept, encrypted, for a person to decide."""

from __future__ import annotations

import io
import tarfile
from collections import Counter
from pathlib import Path
from typing import IO, Any

from curate.archive.ledger_records import QuarantineEntry
from curate.archive.repository import vault_name
from curate.core import durable
from curate.core.digests import stored_json
from curate.core.findings import Finding, Severity, merge
from curate.core.remote import RemoteFile
from curate.deid import pseudonyms
from curate.keys import file_encryption
from curate.keys.derivation import Keys
from curate.steps.intake.tasks import SourceInstance, StudyResult, StudyTask


def refuse(task: StudyTask, keys: Keys, findings: tuple[Finding, ...]) -> StudyResult:
    """The whole study to quarantine, what is there already apart."""
    entry = keep(task, keys, list(task.instances), list(findings), "study")
    return StudyResult(0, len(task.instances), merge(findings), None, entry)


def quarantine_id(keys: Keys, task: StudyTask, kind: str) -> str:
    """A name for what waits: keyed, so that it says nothing, and the same when it is sent again."""
    return "Q" + pseudonyms.order(keys, f"quarantine {kind} {task.study_uid}").hex()[:24]


def keep(
    task: StudyTask, keys: Keys, kept: list[SourceInstance], findings: list[Finding], kind: str
) -> QuarantineEntry:
    """Encrypt the original files under the quarantine's key; the entry says how many and why, nothing else."""
    name = quarantine_id(keys, task, kind)
    codes: Counter[str] = Counter()
    for finding in findings:
        if finding.severity is not Severity.NOTE:
            codes[finding.rule] += finding.count
    size = 0
    index = [{"place": i.place, "path": i.origin} for i in kept]
    listed = stored_json({"files": index, "findings": _plain(findings)})
    with durable.storage_errors("write to the quarantine"), task.quarantine.scratch() as folder:
        with (
            file_encryption.sealing(folder / "vault", keys.quarantine) as out,
            tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as tar,
        ):
            _add(tar, "index.json", listed)
            for number, instance in enumerate(kept, 1):
                size += _add_file(tar, f"{number:06d}.dcm", instance.path)
        task.quarantine.put(folder / "vault", vault_name(name), mode=0o600, replace=True)
    return QuarantineEntry(name, task.study_id, task.at, dict(sorted(codes.items())), len(kept), size, task.donor_id)


def _plain(findings: list[Finding]) -> list[dict[str, Any]]:
    return [{"rule": f.rule, "place": f.place, "tag": f.tag, "count": f.count} for f in merge(findings)]


def _add_file(tar: tarfile.TarFile, name: str, path: Path | RemoteFile) -> int:
    try:
        with path.open("rb") as file:
            size = file.seek(0, io.SEEK_END)
            file.seek(0)
            _add_stream(tar, name, file, size)
            return size
    except OSError:  # it could not be read before either; the index names it
        return 0


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    _add_stream(tar, name, io.BytesIO(data), len(data))


def _add_stream(tar: tarfile.TarFile, name: str, stream: IO[bytes], size: int) -> None:
    info = tarfile.TarInfo(name)
    info.size = size
    info.mode = 0o600
    tar.addfile(info, stream)
