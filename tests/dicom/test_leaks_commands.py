"""The commands on planted files: nothing planted in what leaves, in names, on the terminal, in reports."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.planter import bases, plant, search
from tests.planter.places.place import Plant
from tests.planter.raw import put, text, write
from tests.planter.tokens import Source
from tests.steps.archives import curate, files_of

SEED = 77


@dataclass(frozen=True)
class Hospital:
    """A folder of planted files under planted names, and what the command made of it."""

    source: Path
    dest: Path
    plants: tuple[Plant, ...]
    printed: bytes
    report: dict[str, object]


def _planted(source: Source) -> Iterator[tuple[str, bytes, tuple[Plant, ...]]]:
    """Some layers of some bases, each file an instance of its own."""
    number = 0
    for draft in bases.drafts()[::4]:
        for layer, places in list(plant.places(draft).items())[3::47]:
            number += 1
            base = draft.copy()
            put(base.items, text(0x00080018, "UI", f"{bases.ROOT}.9.{number}"))
            made = plant.one_layer(base, layer, places, source)
            yield f"{number:03}", made.data, made.plants


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Hospital:
    """The real command on the real folder, bad files among the good ones."""
    root = tmp_path_factory.mktemp("hospital")
    source, plants = Source(SEED), []
    folder = root / "export"
    for name, data, made in _planted(source):
        token = source.next()
        plants += [
            *made,
            Plant("names", f"name of {name}", token, (token.text.encode(), token.date.encode())),
        ]
        path = folder / f"{token.family} {token.text} {token.date}" / f"{token.text}{name}.dcm"
        path.parent.mkdir(parents=True)
        path.write_bytes(data)
    (folder / "broken.dcm").write_bytes(write(bases.drafts()[0])[:1500])
    (folder / "notes.txt").write_text("QZJNOTESBCD was here")
    (folder / "DICOMDIR").write_bytes(bases.directory("SET", "QZJBCDFGHJK"))
    dest = root / "outgoing"
    done = curate("deidentify", folder, dest, "--workers", 1, "--json")
    return Hospital(folder, dest, tuple(plants), (done.stdout + done.stderr).encode(), json.loads(done.stdout))


def test_nothing_planted_leaves_the_hospital(hospital: Hospital) -> None:
    """Neither the files' bytes nor their names nor the terminal hold anything that was planted."""
    released = files_of(hospital.dest)
    assert len([name for name in released if name.endswith(".dcm")]) > 12
    joined = b"\n".join(released.values()) + "\n".join(released).encode()
    assert not search.survivors(joined, hospital.plants)
    assert not search.survivors(hospital.printed, hospital.plants)
    assert b"QZJ" not in joined + hospital.printed


def test_every_file_is_accounted_for(hospital: Hospital) -> None:
    """Written, refused by a code, or no instance: the batch goes on past what is broken."""
    report = hospital.report
    counted = sum(int(str(report[name])) for name in ("written_instances", "refused_instances", "not_instances"))
    assert counted == len(files_of(hospital.source)) == report["files"]


def test_what_left_passes_inspection_and_the_originals_do_not(hospital: Hospital) -> None:
    """The hospital's own checker agrees, and names nobody either."""
    curate("inspect", hospital.dest, code=0)
    done = curate("inspect", hospital.source, "--json", code=1)
    assert not search.survivors(
        (done.stdout + done.stderr).encode(), [p for p in hospital.plants if p.layer != "names"]
    )
