"""Freeze an archive of the present layout, once for each layout: `python -m tests.archive.freeze`.

Every later version of the tool must open it, and go on with it; so a file that is there is never made anew.
"""

from __future__ import annotations

import sys
import tarfile
import tempfile
from pathlib import Path

from curate.archive import migrations
from curate.steps.intake import intake
from curate.steps.publish import publish
from curate.steps.release import release
from tests.steady import steady
from tests.steps.archives import donation, make_archive

FROZEN = Path(__file__).parent / "frozen"


def freeze(target: Path) -> None:
    """Make an archive of two invented studies, of which one version was published, and pack its folder."""
    with steady(), tempfile.TemporaryDirectory() as folder:
        root = make_archive(Path(folder) / "archive")
        source, table = donation(Path(folder) / "in", studies=2, instances=2)
        intake(root, [source], table, deidentify=True, workers=1)
        publish(root, release(root).version, (Path(folder) / "hub").as_uri())
        target.parent.mkdir(exist_ok=True)
        with tarfile.open(target, "w:gz") as out:
            out.add(root, "archive", filter=_nobodys)


def _nobodys(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


if __name__ == "__main__":
    place = FROZEN / f"layout-{migrations.LAYOUT}.tar.gz"
    if place.exists():
        sys.exit(f"{place.name} is frozen.")
    freeze(place)
