"""`curate quarantine`: what waits and why; give one entry back to the person who decides, or delete it."""

from __future__ import annotations

import json
import os
import re
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

from curate.archive import repository
from curate.archive.ledger_records import QuarantineEntry
from curate.archive.repository import Archive
from curate.core import clock, durable
from curate.core.actor import TOOL, who
from curate.core.digests import shown_json
from curate.core.errors import DamagedError, InputError, quoted
from curate.core.remote import LARGEST_WHOLE
from curate.dicom.io.reader import parse
from curate.dicom.model import MalformedError
from curate.donation import burned_in_annotation, faces
from curate.keys import file_encryption
from curate.keys.derivation import Keys
from curate.pixels import optional_deps

if TYPE_CHECKING:
    from curate.pixels.head.volumes import Series

Decision = Literal["admit", "mask"]
INDEX = "index.json"
_REASON = re.compile(r"[A-Z][A-Z0-9_]{2,39}")
_MEMBER = re.compile(r"\d{6,}\.dcm")


@dataclass(frozen=True, slots=True, repr=False)
class Kept:
    """One quarantined file: its place in the report of the intake, and where it came from."""

    number: int
    place: str
    path: str


def waiting(root: Path) -> list[QuarantineEntry]:
    """What waits in an archive, oldest first."""
    with repository.opened(root, write=False) as archive:
        return list(archive.ledger.quarantined())


def paths(root: Path, entry_id: str) -> list[Kept]:
    """Where the files of an entry came from; such paths may name persons, so they are for the owner alone.

    Raises:
        InputError: no such entry.
        DamagedError: its file is missing, altered, or sealed with another key.
    """
    with repository.opened(root, write=False) as archive, _files(archive, entry_id) as members:
        return _kept(next(members)[1])


def export(root: Path, entry_id: str, to: Path) -> list[Kept]:
    """Give the files of an entry back, in a new folder of their owner only; they stay in the quarantine too.

    Files are 000001.dcm and so on; index.json says where each came from and what was found.

    Raises:
        InputError: no such entry, or the folder is there already.
        DamagedError: the entry's file is missing, altered, or sealed with another key.
        StorageError: the folder cannot be written.
    """
    if to.exists() or to.is_symlink():
        raise InputError(f"{to} is there already.", hint="Name a new folder.")
    with repository.opened(root, write=False) as archive:
        if to.resolve().is_relative_to(archive.root.resolve()):
            raise InputError("The folder lies in the archive.", hint="Name a folder elsewhere.")
        partial = to.with_name(f".{to.name}.partial")
        with durable.storage_errors("export from the quarantine"):
            durable.remove(partial)
            partial.mkdir(mode=0o700, parents=True)
            try:
                kept = _export(archive, entry_id, partial)
                durable.rename(partial, to)
            except BaseException:
                durable.remove(partial)
                raise
    return kept


def show(root: Path, entry_id: str, to: Path) -> int:
    """Draw what waits for its pixels into a new folder of their owner only.

    Frames with text or barcodes, boxed, named by the file's number and the frame's; where a face is the reason, the
    surface of each volume from the front and both sides. Gives the number of pictures.

    Raises:
        InputError: no such entry, the folder is there already, or the libraries that look are not installed.
        DamagedError: the entry's file is missing, altered, or sealed with another key.
    """
    if to.exists() or to.is_symlink():
        raise InputError(f"{to} is there already.", hint="Name a new folder.")
    if not optional_deps.installed():
        raise InputError("Nothing here can look at pixels.", hint=optional_deps.HINT)
    count = 0
    series: dict[str, Series] = {}
    with repository.opened(root, write=False) as archive, _files(archive, entry_id) as members:
        heads = not faces.WAITS.isdisjoint(_entry(archive, entry_id).codes)
        if to.resolve().is_relative_to(archive.root.resolve()):
            raise InputError("The folder lies in the archive.", hint="Name a folder elsewhere.")
        with durable.storage_errors("draw what waits in the quarantine"):
            to.mkdir(mode=0o700, parents=True)
            for name, stream in members:
                if _MEMBER.fullmatch(name):
                    if len(data := stream.read(LARGEST_WHOLE + 1)) > LARGEST_WHOLE:
                        continue  # nobody draws it in one piece
                    for frame, png in burned_in_annotation.pictures(data):
                        _write(to / f"{name.removesuffix('.dcm')}-{frame:05d}.png", png)
                        count += 1
                    if heads:
                        from curate.pixels.head.volumes import add  # what judges volumes takes half a second to import

                        with suppress(MalformedError):  # it shows nothing that could be drawn
                            add(series, parse(data))
            for number, png in enumerate(_surfaces(series), 1):
                _write(to / f"surface-{number:03d}.png", png)
                count += 1
    return count


def _surfaces(series: dict[str, Series]) -> Iterator[bytes]:
    """The volumes among the series, as they came: with their faces."""
    from curate.pixels.head.surface import surface

    for one in series.values():
        if (volume := one.stack.volume()) is not None:
            yield surface(*volume, one.stack.kind == "CT")


def _export(archive: Archive, entry_id: str, folder: Path) -> list[Kept]:
    kept: list[Kept] = []
    with _files(archive, entry_id) as members:
        for name, stream in members:
            if name == INDEX:
                index = stream.read()
                kept = _listed(index)
                _write(folder / INDEX, _pretty(index))
            elif _MEMBER.fullmatch(name):
                with _private(folder / name) as out:
                    while piece := stream.read(1 << 20):
                        out.write(piece)
    return kept


def discard(root: Path, entry_id: str, reason: str) -> QuarantineEntry:
    """Delete an entry for good; the ledger keeps that it was done, by whom, and a code that says why.

    Raises:
        InputError: no such entry, or a reason that is not a code.
    """
    _check_reason(reason, "NOT_CONSENTED")
    with repository.opened(root, write=True) as archive:
        entry = _entry(archive, entry_id)
        with durable.storage_errors("delete from the quarantine"):
            archive.quarantine.remove(repository.vault_name(entry.id))
        with archive.ledger.transaction():
            archive.ledger.delete_quarantine(entry.id)
            payload = {"entry": entry.id, "reason": reason, "files": entry.files}
            archive.ledger.append(clock.stamp(), "discarded", entry.study_id, payload, who=who(), tool=TOOL)
        return entry


def decide(root: Path, entry_id: str, decision: Decision, reason: str) -> QuarantineEntry:
    """Note what a person decided of a study that waits for its pixels; its next intake does it.

    `admit` takes it as it is, `mask` blanks all text that is found. A decision holds for what the entry waits for, text
    or a face: one about text lets no face in. The ledger keeps it, by whom, and a code that says why.

    Raises:
        InputError: no such entry, one that waits for something else, or a reason that is not a code.
    """
    _check_reason(reason, "NO_NAME_SHOWN")
    with repository.opened(root, write=True) as archive:
        entry = _entry(archive, entry_id)
        text = any(code.startswith("PIXELS_TEXT_") or code in burned_in_annotation.WAITS for code in entry.codes)
        face = decision == "admit" and not faces.WAITS.isdisjoint(entry.codes)
        if not text and not face:
            hint = f"See why it waits: curate quarantine {quoted(archive.root)}"
            raise InputError("This entry does not wait for what its pixels show.", hint=hint)
        with archive.ledger.transaction():
            about = [name for name, there in (("text", text), ("face", face)) if there]
            payload = {"entry": entry.id, "decision": decision, "reason": reason, "about": about}
            archive.ledger.append(clock.stamp(), "decided", entry.study_id, payload, who=who(), tool=TOOL)
        return entry


def _check_reason(reason: str, example: str) -> None:
    if not _REASON.fullmatch(reason):
        hint = f"3 to 40 capital letters, digits and underscores, such as {example}; words could name a person."
        raise InputError("The reason is not a code.", hint=hint)


def _entry(archive: Archive, entry_id: str) -> QuarantineEntry:
    for entry in archive.ledger.quarantined():
        if entry.id == entry_id:
            return entry
    hint = f"See what waits: curate quarantine {quoted(archive.root)}"
    raise InputError("Nothing waits under this id.", hint=hint)


@contextmanager
def _files(archive: Archive, entry_id: str) -> Iterator[Iterator[tuple[str, IO[bytes]]]]:
    """The members of an entry, the index first, as streams that are read in their order."""
    name = repository.vault_name(_entry(archive, entry_id).id)
    try:
        file = archive.quarantine.open(name)
    except FileNotFoundError:
        hint = "Restore it from a backup, or discard it."
        raise DamagedError("The entry's file is missing.", hint=hint) from None
    key = Keys.from_secret(archive.secret).quarantine
    with file_encryption.opening(file, key) as opened, tarfile.open(fileobj=opened, mode="r|") as tar:
        yield ((info.name, stream) for info in tar if (stream := tar.extractfile(info)) is not None)


def _kept(stream: IO[bytes]) -> list[Kept]:
    return _listed(stream.read())


def _listed(index: bytes) -> list[Kept]:
    files: list[dict[str, str]] = json.loads(index)["files"]
    return [Kept(number, file["place"], file["path"]) for number, file in enumerate(files, 1)]


def _pretty(index: bytes) -> bytes:
    content: dict[str, Any] = json.loads(index)
    content["files"] = [{"name": f"{number:06d}.dcm", **file} for number, file in enumerate(content["files"], 1)]
    return shown_json(content, 1).encode()


def _write(path: Path, data: bytes) -> None:
    with _private(path) as out:
        out.write(data)


@contextmanager
def _private(path: Path) -> Iterator[IO[bytes]]:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        yield file
