"""The archive's private state: configuration, lock, ledger, vault."""

from __future__ import annotations

import multiprocessing
import os
import re
import sqlite3
import stat
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from curate import contract
from curate.archive import arrow_ipc, config, repository
from curate.archive.ledger import Ledger
from curate.archive.ledger_records import StudyRecord
from curate.core.errors import CurateError, DamagedError, InputError, LockedError
from curate.core.records import ArchiveInfo
from curate.keys import file_encryption
from curate.policies import Policy, PrivacyPolicy
from curate.steps.init import init
from tests.steps.archives import make_archive

MINIMAL = '[archive]\ntitle = "T"\npublisher = "P"\nlicense = "CC0-1.0"\n'


def test_a_new_archives_file_names_every_key_and_value() -> None:
    """What a message advises to write stands in `archive.toml` as `init` makes it."""
    lines = config.fresh(ArchiveInfo("T", "P", "CC0-1.0"), "file:///hub", 1).splitlines()
    table, found = "", {}
    for line in lines:
        table = line.split("]")[0].strip("[") if line.startswith("[") else table
        if key := re.match(r"(?:# )?(\w+) = ", line):
            found[table, key[1]] = line
    for name, policy in (("profile", Policy), ("privacy", PrivacyPolicy)):
        for key, kind in get_type_hints(policy).items():
            if (name, key) != ("privacy", "population"):  # [archive] has it
                line = found[name, key]
                assert all(f'"{value}"' in line for value in get_args(kind) if isinstance(value, str)), line
                assert kind is not bool or ("true" in line and "false" in line), line
    assert {(name, key) for name, keys in config.KEYS.items() for key in keys} <= found.keys()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[archive", "not valid TOML"),
        ("[other]\n", "unknown table"),
        (MINIMAL + 'colour = "red"\n', "unknown key"),
        (MINIMAL + 'population = "people"\n', "neither persons nor test"),
        (MINIMAL + "cooling_off_days = 9999\n", "must lie between"),
        (MINIMAL + 'cooling_off_days = "30"\n', "a whole number"),
        (MINIMAL + "packs = 3\n", "must be text"),
        (MINIMAL + "[packs]\ntarget_size_mb = true\n", "a whole number"),
        (MINIMAL + '[profile]\nhead = "defac"\n', r"archive\.toml: \[profile\] head"),
        (MINIMAL + '[profile]\nheads = "deface"\n', r"\[profile\] has an unknown key 'heads'"),
        (MINIMAL + '[privacy]\naccess = "closed"\n', r"archive\.toml: \[privacy\] access"),
        (MINIMAL + "[privacy]\nk = 1\n", r"\[privacy\] k must be"),
        (MINIMAL + '[privacy]\npopulation = "test"\n', "contradicts"),
        (MINIMAL + '[governance]\ndata_use = ["health"]\n', "DUO codes"),
        (MINIMAL.replace("CC0-1.0", "CC0-1"), "not a licence of the catalogue"),
        ('[archive]\ntitle = "T"\n', "has no publisher"),
    ],
)
def test_a_wrong_configuration_is_refused_with_the_key_named(text: str, told: str) -> None:
    """Each mistake in archive.toml is one sentence that names it, with what to do next."""
    with pytest.raises(InputError, match=told) as refused:
        config.parse(text)
    assert refused.value.hint


def test_titles_with_quotes_and_line_breaks_survive_the_configuration(tmp_path: Path) -> None:
    """What `init` writes it reads back, whatever the title."""
    info = ArchiveInfo('A "quoted"\\ title\nin two lines\x07', "P", "CC0-1.0", "test")
    (tmp_path / config.NAME).write_text(config.fresh(info, "file:///x", 0), "utf-8")
    assert config.read(tmp_path).info == info


def test_init_refuses_before_anything_is_made(tmp_path: Path) -> None:
    """What cannot be configured leaves no folder behind: empty or unreadable titles, hubs of no known kind."""
    for title, hub in (("", ""), ("T\udcc3", ""), ("T", "ftp://example.org/x")):
        with pytest.raises(InputError) as refused:
            init(tmp_path / "a", ArchiveInfo(title, "P", "CC0-1.0", "test"), hub_target=hub)
        assert refused.value.hint
        assert not (tmp_path / "a").exists()


def test_init_keeps_the_archive_private_and_refuses_to_overwrite(tmp_path: Path) -> None:
    """The folder and the secret are the owner's alone, and a second init changes nothing."""
    root = make_archive(tmp_path / "a")
    assert stat.S_IMODE(root.stat().st_mode) == 0o700
    for name in ("secret.key", "ledger.db"):
        assert stat.S_IMODE((root / name).stat().st_mode) == 0o600
    before = (root / "secret.key").read_bytes()
    with pytest.raises(InputError, match="not empty"):
        make_archive(root)
    assert (root / "secret.key").read_bytes() == before


def _hold(root: Path, held: multiprocessing.Event, done: multiprocessing.Event) -> None:  # type: ignore[valid-type]
    with repository.opened(root, write=True):
        held.set()  # type: ignore[attr-defined]
        done.wait(30)  # type: ignore[attr-defined]


def test_a_second_maintainer_is_told_who_holds_the_archive(tmp_path: Path) -> None:
    """The lock names process, host and time; when its holder is killed, it is free at once."""
    root = make_archive(tmp_path / "a")
    context = multiprocessing.get_context("spawn")
    held, done = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(root, held, done))
    process.start()
    assert held.wait(60)
    with (
        pytest.raises(LockedError, match=f"by process {process.pid} on .* since "),
        repository.opened(root, write=True),
    ):
        pass
    process.kill()
    process.join()
    with repository.opened(root, write=True) as archive:
        assert archive.root == root


def test_events_can_be_neither_changed_nor_deleted(tmp_path: Path) -> None:
    """The ledger's own triggers refuse to alter history."""
    root = make_archive(tmp_path / "a")
    with repository.opened(root, write=True) as archive, archive.ledger.transaction():
        archive.ledger.append("2026-01-01T00:00:00Z", "admitted", "2.25.1", {}, who="me", tool="t")
    db = sqlite3.connect(root / "ledger.db")
    for statement in ("DELETE FROM events", "UPDATE events SET kind='x'"):
        with pytest.raises(sqlite3.IntegrityError):
            db.execute(statement)
    db.close()


def test_a_failed_transaction_leaves_nothing(tmp_path: Path) -> None:
    """What is written together is not written at all when one part fails."""
    Ledger.create(tmp_path / "l.db")
    ledger = Ledger(tmp_path / "l.db")
    instances = arrow_ipc.to_ipc(contract.to_arrow("instances", []))
    record = StudyRecord("2.25.1", "D", b"", {}, b"", instances, b"", None)
    with pytest.raises(ValueError, match="stop"), ledger.transaction():
        ledger.put_study(record)
        raise ValueError("stop")
    assert ledger.study_ids() == []
    ledger.close()


def test_a_damaged_ledger_is_told_as_such(tmp_path: Path) -> None:
    """A ledger that is no database gives one message, not SQLite's."""
    root = make_archive(tmp_path / "a")
    (root / "ledger.db").write_bytes(b"x" * 4096)
    with pytest.raises(DamagedError, match="damaged"), repository.opened(root, write=False):
        pass


@pytest.mark.parametrize(
    "size",
    [0, 1, file_encryption.CHUNK - 1, file_encryption.CHUNK, file_encryption.CHUNK + 1, 3 * file_encryption.CHUNK],
)
def test_what_is_sealed_opens_again(tmp_path: Path, size: int) -> None:
    """Whatever its length, a sealed stream comes back, and nothing of it is readable on disk."""
    key, data = b"k" * 32, (b"Joana Puig " * (size // 11 + 1))[:size]
    with file_encryption.sealing(tmp_path / "v", key) as out:
        out.write(data)
    with file_encryption.opening((tmp_path / "v").open("rb"), key) as plain:
        assert plain.read() == data
    assert b"Joana" not in (tmp_path / "v").read_bytes()
    assert stat.S_IMODE((tmp_path / "v").stat().st_mode) == 0o600


@pytest.mark.parametrize("damage", ["cut", "flip", "drop", "swap", "key"])
def test_a_sealed_file_cannot_be_altered(tmp_path: Path, damage: str) -> None:
    """Cut, flipped, dropped or swapped chunks, or another key, are told as damage."""
    key = b"k" * 32
    with file_encryption.sealing(tmp_path / "v", key) as out:
        out.write(os.urandom(3 * file_encryption.CHUNK + 5))
    raw = bytearray((tmp_path / "v").read_bytes())
    start, step = len(file_encryption.MAGIC) + 16, file_encryption.CHUNK + 16
    if damage == "cut":
        del raw[start + step :]
    elif damage == "flip":
        raw[-1] ^= 1
    elif damage == "drop":
        del raw[start : start + step]
    elif damage == "swap":
        raw[start : start + step], raw[start + step : start + 2 * step] = (
            raw[start + step : start + 2 * step],
            raw[start : start + step],
        )
    else:
        key = b"x" * 32
    (tmp_path / "v").chmod(0o600)
    (tmp_path / "v").write_bytes(raw)
    with pytest.raises(CurateError), file_encryption.opening((tmp_path / "v").open("rb"), key) as plain:
        plain.read()
