"""Keyed identifiers: the same for the same, unlike for others, and never the way back."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.core.errors import InputError
from curate.deid import pseudonyms
from curate.deid.records import StudyContext
from curate.keys.derivation import Keys
from curate.policies import Policy

KEYS = Keys.from_secret(b"one secret" * 4)
OTHER = Keys.from_secret(b"two secret" * 4)


@given(original=st.text(max_size=64))
def test_new_uids_are_uuids_of_version_8(original: str) -> None:
    """A new UID is a valid UID of the 2.25 root, whose number is a UUID version 8, and depends on the key."""
    new = pseudonyms.new_uid(KEYS, original)
    number = uuid.UUID(int=int(new.removeprefix("2.25.")))
    assert number.version == 8
    assert number.variant == uuid.RFC_4122
    assert len(new) <= 64
    assert pseudonyms.is_new_uid(new)
    assert new == pseudonyms.new_uid(KEYS, original)
    assert new != pseudonyms.new_uid(OTHER, original)


@pytest.mark.parametrize("uid", ["", "1.2.840.10008.1.2", "2.25.12", "2.25.0" + "1" * 30, "2.25." + "9" * 39])
def test_other_uids_are_told_apart(uid: str) -> None:
    """A UID that wasn't made here doesn't pass for one that was."""
    assert not pseudonyms.is_new_uid(uid)


def test_padding_does_not_make_another_uid() -> None:
    """The null or space that pads a UID is not part of it."""
    assert pseudonyms.new_uid(KEYS, "1.2.3\0") == pseudonyms.new_uid(KEYS, "1.2.3 ")


def test_donors_and_folds() -> None:
    """A donor's pseudonym has its form and depends on the key; folds are spread over 0 to 9."""
    donor = pseudonyms.donor_id(KEYS, "HC123")
    assert pseudonyms.is_donor_id(donor)
    assert "HC123" not in donor
    assert donor != pseudonyms.donor_id(OTHER, "HC123")
    folds = [pseudonyms.fold(KEYS, pseudonyms.donor_id(KEYS, str(number))) for number in range(500)]
    assert set(folds) == set(range(10))


def test_each_purpose_has_a_key_and_none_is_shown() -> None:
    """Each purpose has a key of its own, and no repr shows one."""
    keys = [getattr(KEYS, name) for name in Keys.__slots__]
    assert len(set(keys)) == len(keys) >= 7
    assert all(len(key) == 32 for key in keys)
    assert not any(key.hex() in repr(KEYS) or repr(key) in repr(KEYS) for key in keys)
    assert "donor 7" not in repr(StudyContext(KEYS, "donor 7", 0))


@pytest.mark.parametrize("table", [{"datez": "remove"}, {"dates": "keep"}, {"clean_descriptors": "yes"}, {"head": 1}])
def test_a_policy_takes_only_what_it_knows(table: dict[str, object]) -> None:
    """An unknown key or value of [profile] is refused with the ones that are known."""
    with pytest.raises(InputError) as caught:
        Policy.from_mapping(table)
    assert next(iter(table)) in caught.value.message
    assert caught.value.hint


def test_a_policy_from_a_table() -> None:
    """What a table states is taken, what it leaves out is the default."""
    assert Policy.from_mapping({"dates": "remove"}) == Policy(dates="remove")


def test_a_worker_makes_no_id_with_a_key_that_it_was_not_given() -> None:
    """What only the coordinator needs is empty in a worker's keys, and asking for it fails instead of guessing."""
    theirs = KEYS.of_worker()
    assert pseudonyms.new_uid(theirs, "1.2.3") == pseudonyms.new_uid(KEYS, "1.2.3")
    for make in (pseudonyms.fold, pseudonyms.tombstone):
        with pytest.raises(ValueError, match="not given"):
            make(theirs, "1.2.3")
