"""A copy of an archive made of links, in which something can be rehearsed."""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection
from pathlib import Path

from curate.archive import config as configuration
from curate.archive.repository import Archive
from curate.core import durable

_OUTSIDE = re.compile(r"^[ \t]*(packs|quarantine)[ \t]*=.*$", re.MULTILINE)  # where they lie, in [archive]


def linked_copy(archive: Archive, to: Path, *, leave_out: Collection[str]) -> None:
    """The archive with links to what never changes, without some names; its ledger is copied as it stands."""
    to.mkdir(mode=0o700)
    for path in sorted(archive.root.iterdir()):
        if path.name in (*leave_out, "tmp", "lock") or path.name.startswith("ledger.db"):
            continue
        if path.name == configuration.NAME:
            text = path.read_text(encoding="utf-8")
            (to / path.name).write_text(_OUTSIDE.sub("", text), encoding="utf-8")  # shared stores stay untouched
        elif path.is_dir():
            shutil.copytree(path, to / path.name, copy_function=_link)
        else:
            shutil.copy2(path, to / path.name)
    for path in archive.releases.glob("*/packs/*/*.parquet") if archive.config.packs else ():
        place = to / path.relative_to(path.parents[2])
        place.parent.mkdir(parents=True, exist_ok=True)
        durable.link(path, place)
    archive.ledger.copy(to / "ledger.db")


def _link(source: str, target: str) -> None:
    durable.link(Path(source), Path(target))


def remove_copy(place: Path) -> None:
    """Remove such a copy, whole or in part; nothing happens where there is none."""
    if not place.exists():
        return
    for path in [place, *(path for path in place.rglob("*") if path.is_dir() and not path.is_symlink())]:
        path.chmod(0o700)
    shutil.rmtree(place)
