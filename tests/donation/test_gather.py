"""The first look at a donation: the same whether small files' bytes are kept from their finding or read again."""

from __future__ import annotations

from pathlib import Path

import pytest

from curate.core.progress import silent
from curate.donation import gather, sources
from curate.donation.header_scan import FIRST_READ
from curate.keys.derivation import Keys
from curate.parallel import Pool
from tests import synth

_KEYS = Keys.from_secret(b"a secret of the tests" * 2)


def _donated(folder: Path) -> Path:
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.dcm").write_bytes(synth.instance_bytes(0, 0, 0, number, rows=16, columns=16))
    (folder / "large.dcm").write_bytes(synth.instance_bytes(1, 0, 0, 0, rows=128, columns=128))
    (folder / "broken.dcm").write_bytes(synth.instance_bytes(2, 0, 0, 0, rows=16, columns=16)[:600])
    (folder / "notes.txt").write_bytes(b"not an image")
    (folder / "empty").touch()
    return folder


def test_content_is_kept_whole_or_not_at_all(tmp_path: Path) -> None:
    """Of a file within the bound all bytes are kept, of a larger one none, without a bound none at all."""
    folder = _donated(tmp_path / "donated")
    kept = {file.name: file.content for file in sources.find([folder], tmp_path / "unpacked", 1 << 14)}
    assert kept.pop("large.dcm") == b""
    assert kept == {name: (folder / name).read_bytes() for name in kept}
    assert not any(file.content for file in sources.find([folder], tmp_path / "unpacked"))


def test_kept_bytes_tell_what_the_files_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Studies, instances, what is no image and what belongs to no study are the same both ways, and hold no bytes."""
    folder, told = _donated(tmp_path / "donated"), []
    for number, keep in enumerate((FIRST_READ, 0)):
        monkeypatch.setattr(gather, "FIRST_READ", keep)
        seen = gather.gather([folder], tmp_path / f"unpacked{number}", Pool(_KEYS), silent)
        members = [(m.place.place, m.place.content, m.scan) for s in seen.studies for m in s.members]
        loose = [(file.place, file.content, finding) for file, finding in seen.loose]
        told.append((seen.files, members, seen.other, loose, seen.findings))
    assert told[0] == told[1]
    assert len(told[0][1]) == 4
    assert not any(content for _, content, _ in (*told[0][1], *told[0][3]))
