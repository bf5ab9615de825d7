"""`curate fetch`: the DICOM files that a condition chooses, with the citation and licences of just these."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from curate.core import durable
from curate.core.errors import InputError
from curate.core.progress import Progress, silent
from curate.loading import download, manifest_tables, ranges, subset, trusted
from curate.loading.ranges import Span, Wanted
from curate.loading.select import TABLES, select
from curate.loading.source import Source

SELECTION = "selection.json"
_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a fetch chose and did; `release_sha256` is the digest of `release.json`.

    `fetched` instances were transferred by `requests` range requests, `kept` were there; `revoked` were
    chosen but are withdrawn, `deleted` lay in the folder from before and were withdrawn since.
    """

    reference: str
    version: str
    release_sha256: str
    folder: str
    studies: int
    series: int
    instances: int
    size_bytes: int
    licenses: dict[str, int]
    fetched: int
    fetched_bytes: int
    requests: int
    kept: int
    revoked: int
    deleted: int


def fetch(
    reference: str | Path,
    to: str | Path,
    *,
    where: str | None = None,
    version: str | None = None,
    flat: bool = False,
    dry_run: bool = False,
    key: str = "",
    progress: Progress = silent,
) -> Fetched:
    """Fetch the instances that `where` chooses into `to`, as study/series/instance.dcm, or flat.

    Range requests of the wanted bytes; each instance is verified as it arrives; the same call again goes on
    where it stopped. What has been withdrawn, by the newest version too, is neither fetched nor kept.
    The archive's key is pinned when it is first met; `key` is its public key, or a file with it.
    `where` is an SQL condition over the manifest: see `curate.loading.select.select`.

    Raises:
        HubError: the hub fails, or serves other bytes than were published.
        InputError: the condition or the folder cannot be used.
        StorageError: the disk is full or read-only.
        UntrustedError: it is not signed by the key that is pinned for its archive, or given.
    """
    source = trusted.find(reference, version, key)
    folder = Path(to).expanduser().absolute()
    # (1) the folder is ours: empty, or holds the same selection
    chosen: dict[str, object] = {"version": source.version, "where": where, "flat": flat}
    _claim(folder, chosen)
    # (2) what is wanted, without what was withdrawn since
    facts, digest = download.release_facts(source)
    held = manifest_tables.local(source, *TABLES, "revocations")
    rows = select(held, where)
    gone = manifest_tables.revoked(source)
    if not rows.num_rows:
        raise InputError(
            f"No instance of {source.reference} {source.version} fulfils the condition.",
            hint="Look at the values first, for instance with curate.load(...).to_pandas().",
        )
    found = [Wanted.of(row) for row in rows.to_pylist()]
    wanted = [one for one in found if hashlib.sha256(one.sha256).digest() not in gone]
    # (3) what is there already, and what must go
    places = {_place(folder, one, flat): one for one in wanted}
    missing = _missing(places, progress)
    done = partial(_fetched, source, digest, folder, wanted, missing, len(found) - len(wanted), rows)
    if dry_run:
        return done(0)
    with durable.storage_errors("write what was fetched"):
        deleted = _delete_revoked(folder, places, gone)
        # (4) the bytes, (5) what stands beside them; the selection last
        folder.mkdir(parents=True, exist_ok=True)
        _write_selection(folder, {**chosen, "complete": False})
        _transfer(source, folder, missing, flat, progress)
        subset.write(source, held, folder, {one.instance for one in wanted}, where, digest, facts)
        result = done(deleted)
        _write_selection(folder, {**chosen, "complete": True, **_told(result)})
    return result


def _told(result: Fetched) -> dict[str, object]:
    names = (
        "reference",
        "release_sha256",
        "studies",
        "series",
        "instances",
        "size_bytes",
        "licenses",
        "revoked",
    )
    return {name: getattr(result, name) for name in names}


def _claim(folder: Path, chosen: dict[str, object]) -> None:
    """Refuse a folder that holds something else.

    Raises:
        InputError: it does.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    try:
        held = json.loads((folder / SELECTION).read_bytes())
        other = [name for name, value in chosen.items() if held.get(name) != value]
    except (OSError, ValueError, AttributeError):
        raise InputError(
            f"{folder} is not empty, and was not made by `curate fetch`.", hint="Give another folder."
        ) from None
    before, now = held.get("version"), chosen["version"]
    if other == ["version"]:
        keep = f"To go on with it, without what was withdrawn since: add --version {before}"
        raise InputError(
            f"{folder} holds this selection of version {before}, not of {now}.",
            hint=f"{keep}. For {now}: give another folder.",
        )
    if other:
        raise InputError(
            f"{folder} holds another selection, of version {before}; its {SELECTION} tells which.",
            hint="Give another folder.",
        )


def _write_selection(folder: Path, content: dict[str, object]) -> None:
    durable.write_bytes(folder / SELECTION, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())


def _place(folder: Path, one: Wanted, flat: bool) -> Path:
    name = f"{one.instance}.dcm"
    return folder / name if flat else folder / one.study / one.series / name


def _missing(places: dict[Path, Wanted], progress: Progress) -> list[Wanted]:
    """The instances that are not there, or not whole."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        whole = pool.map(lambda item: _is_whole(*item), places.items())
        there = list(progress.over(whole, "instances looked at", len(places)))
    return [one for one, is_there in zip(places.values(), there, strict=True) if not is_there]


def _is_whole(path: Path, one: Wanted) -> bool:
    if not path.is_file() or path.stat().st_size != one.size:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest() == one.sha256


def _delete_revoked(folder: Path, places: Iterable[Path], gone: frozenset[bytes]) -> int:
    """Delete files of before whose instance has been withdrawn; gives how many."""
    kept, deleted = set(places), 0
    for path in sorted(folder.rglob("*.dcm")) if gone and folder.is_dir() else []:
        if path not in kept and _hashed(path) in gone:
            path.unlink()
            deleted += 1
            for parent in (path.parent, path.parent.parent):
                if parent != folder and folder in parent.parents and not any(parent.iterdir()):
                    parent.rmdir()
    return deleted


def _hashed(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.sha256(hashlib.file_digest(file, "sha256").digest()).digest()


def _transfer(source: Source, folder: Path, missing: Sequence[Wanted], flat: bool, progress: Progress) -> None:
    """Fetch a few spans at a time; the first that fails stops the rest."""
    planned = list(ranges.spans(missing))
    pool = ThreadPoolExecutor(_AT_ONCE)
    try:
        results = pool.map(lambda span: _bring(source, folder, span, flat), planned)
        for span, _ in zip(progress.over(planned, "requests", len(planned)), results, strict=True):
            progress.add(instances=len(span), size_bytes=sum(one.size for one in span))
    finally:
        pool.shutdown(cancel_futures=True)


def _bring(source: Source, folder: Path, span: Span, flat: bool) -> None:
    if span[0].size > ranges.REQUEST_BYTES:
        part = _part(_place(folder, span[0], flat))
        ranges.write_large(source, span[0], part)
        part.replace(_place(folder, span[0], flat))
        return
    for one, data in ranges.read_span(source, span):
        target = _place(folder, one, flat)
        part = _part(target)
        part.write_bytes(data)  # not synced: the next run looks at every digest anyway
        part.replace(target)


def _part(target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    return target.with_name(f".{target.stem}.part")


def _fetched(
    source: Source,
    digest: str,
    folder: Path,
    wanted: Sequence[Wanted],
    missing: Sequence[Wanted],
    revoked: int,
    rows: object,
    deleted: int,
) -> Fetched:
    counts = subset.license_counts(rows, {one.instance for one in wanted})
    return Fetched(
        source.reference,
        source.version,
        digest,
        str(folder),
        len({one.study for one in wanted}),
        len({one.series for one in wanted}),
        len(wanted),
        sum(one.size for one in wanted),
        counts,
        len(missing),
        sum(one.size for one in missing),
        sum(_requests(span) for span in ranges.spans(missing)),
        len(wanted) - len(missing),
        revoked,
        deleted,
    )


def _requests(span: Span) -> int:
    return max(1, -(-span[0].size // ranges.REQUEST_BYTES)) if len(span) == 1 else 1
