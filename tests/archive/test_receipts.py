"""Receipts and sealed lists: typed by people, torn by kills, opened by the key alone."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.archive import receipts
from curate.core import durable
from curate.core.errors import DamagedError, InputError
from curate.keys import encrypted_log, secret_file
from curate.steps.init import init
from curate.steps.intake import intake
from tests.steps.archives import INFO, donation

KEY = bytes(range(32))
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def test_codes_are_random_and_have_seven_groups_of_four() -> None:
    """No two of a thousand are equal, and every symbol of the alphabet stands at every place."""
    codes = [receipts.new_code() for _ in range(1000)]
    assert len(set(codes)) == 1000
    assert all([len(group) for group in code.split("-")] == [4] * 7 for code in codes)
    for place in range(26):
        assert {code.replace("-", "")[place] for code in codes} == set(ALPHABET)


@given(st.integers(0, 27), st.integers(1, 31))
def test_one_wrong_character_is_noticed(place: int, shift: int) -> None:
    """Whatever single symbol is replaced by whatever other."""
    plain = receipts.new_code().replace("-", "")
    wrong = ALPHABET[(ALPHABET.index(plain[place]) + shift) % 32]
    with pytest.raises(InputError, match="mistyped"):
        receipts.normal(plain[:place] + wrong + plain[place + 1 :])


@given(st.integers(0, 24))
def test_two_swapped_neighbours_are_noticed(place: int) -> None:
    """Swapping two different symbols beside each other never gives another receipt."""
    plain = receipts.new_code().replace("-", "")
    swapped = plain[:place] + plain[place + 1] + plain[place] + plain[place + 2 :]
    if swapped != plain:
        with pytest.raises(InputError, match="mistyped"):
            receipts.normal(swapped)


def test_a_code_may_be_typed_as_people_type() -> None:
    """Lower case, spaces, and the letters that look like digits give the same digest."""
    code = receipts.new_code()
    while not {"0", "1"} <= set(code):
        code = receipts.new_code()
    typed = " " + code.lower().replace("-", " ").replace("0", "o").replace("1", "l")
    assert receipts.digest(typed) == receipts.digest(code)
    with pytest.raises(InputError, match="not a receipt"):
        receipts.normal(code[:-1])


def test_what_is_appended_is_read_again_and_nobody_else_reads_it(tmp_path: Path) -> None:
    """Records come back in order over several openings; the file shows none of them and is its owner's alone."""
    path = tmp_path / "list"
    for number in range(3):
        with encrypted_log.appending(path, KEY) as log:
            log.append([{"name": f"Puigdemunt {number}"}])
    assert [record["name"][-1] for record in encrypted_log.read(path, KEY)] == ["0", "1", "2"]
    assert b"Puigdemunt" not in path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(InputError, match="another key"):
        list(encrypted_log.read(path, bytes(32)))
    with pytest.raises(InputError, match="another key"), encrypted_log.appending(path, bytes(32)):
        pass


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_a_record_torn_by_a_kill_is_cut_off(tmp_path: Path, cut: int) -> None:
    """What is whole stays; the torn end is left out when reading, and gone after the next record."""
    path = tmp_path / "list"
    with encrypted_log.appending(path, KEY) as log:
        log.append([{"n": 1}, {"n": 2}])
    path.write_bytes(path.read_bytes()[:-cut])
    assert list(encrypted_log.read(path, KEY)) == [{"n": 1}]
    with encrypted_log.appending(path, KEY) as log:
        log.append([{"n": 3}])
    assert list(encrypted_log.read(path, KEY)) == [{"n": 1}, {"n": 3}]


@pytest.mark.parametrize("change", ["drop", "swap", "alter"])
def test_records_cannot_be_dropped_swapped_or_altered(tmp_path: Path, change: str) -> None:
    """A line missing from the middle, two lines changed about, or one bit of one: damaged, not misread."""
    path = tmp_path / "list"
    with encrypted_log.appending(path, KEY) as log:
        log.append({"n": number} for number in range(4))
    head, *lines = path.read_bytes().splitlines(keepends=True)
    if change == "drop":
        lines = [lines[0], *lines[2:], lines[3]]
    elif change == "swap":
        lines[1], lines[2] = lines[2], lines[1]
    else:
        lines[1] = lines[1][:20] + (b"A" if lines[1][20:21] != b"A" else b"B") + lines[1][21:]
    path.write_bytes(head + b"".join(lines))
    with pytest.raises(DamagedError, match="is damaged"):
        list(encrypted_log.read(path, KEY))


def test_records_are_synced_before_append_returns(tmp_path: Path) -> None:
    """Each append writes, then syncs."""
    seen: list[str] = []
    durable.observer = lambda name, _path: seen.append(name)
    try:
        with encrypted_log.appending(tmp_path / "list", KEY) as log:
            seen.clear()
            log.append([{"n": 1}])
            assert seen == ["write", "fsync"]
    finally:
        durable.observer = None


def test_a_key_file_is_its_owners(tmp_path: Path) -> None:
    """Made with mode 0600; one that others may read is refused with the command that mends it."""
    path = tmp_path / "a.key"
    made = secret_file.make(path)
    assert secret_file.read(path) == made and len(made) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    with pytest.raises(InputError, match="readable to others") as refused:
        secret_file.read(path)
    assert "chmod 600" in refused.value.hint


def test_a_key_under_a_passphrase_opens_with_it_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The right passphrase gives the secret; a wrong or missing one a clear message; no cost is taken on trust."""
    path = tmp_path / "a.key"
    monkeypatch.setenv(secret_file.VARIABLE, "correct horse")
    made = secret_file.make(path, under_passphrase=True)
    assert made.hex() not in path.read_text()
    assert secret_file.read(path) == made
    monkeypatch.setenv(secret_file.VARIABLE, "correct hearse")
    with pytest.raises(InputError, match="The passphrase of"):
        secret_file.read(path)
    monkeypatch.delenv(secret_file.VARIABLE)
    with pytest.raises(InputError, match="needs a passphrase"):
        secret_file.read(path)
    path.write_text(path.read_text().replace("scrypt 131072", "scrypt 137438953472"))
    with pytest.raises(DamagedError, match="is not a key file"):
        secret_file.read(path)


def test_an_archive_under_a_passphrase_opens_with_it_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command on it asks for the passphrase; nothing else of the archive changes."""
    monkeypatch.setenv(secret_file.VARIABLE, "correct horse")
    root = init(tmp_path / "a", INFO, approvals=0, under_passphrase=True)
    source, table = donation(tmp_path / "in", studies=1)
    assert intake(root, [source], table, deidentify=True, workers=1).admitted_studies == 1
    monkeypatch.delenv(secret_file.VARIABLE)
    with pytest.raises(InputError, match="needs a passphrase"):
        intake(root, [source], table, deidentify=True, workers=1)
