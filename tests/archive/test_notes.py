"""Signed notes, tree heads and key files: what is signed verifies, anything else does not."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from curate.core.errors import DamagedError, InputError
from curate.transparency import signed_note, signing_keys
from curate.transparency.signed_note import Checkpoint, Signer

SIGNER = Signer("anna-puig", Ed25519PrivateKey.from_private_bytes(bytes(32)))
# of c2sp.org/signed-note and golang.org/x/mod/sumdb/note: a published note with its key
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)


def test_a_published_note_verifies() -> None:
    """The example of the note package verifies with its key, and its key's text is read and written the same."""
    key = signed_note.public_key(GO_KEY)
    assert str(key) == GO_KEY
    assert signed_note.verified(GO_NOTE, [key]) == GO_NOTE.partition("\n\n")[0] + "\n"


@given(st.data())
def test_no_character_of_a_note_can_change(data: st.DataObject) -> None:
    """Whatever character is altered, dropped or added, the note no longer verifies."""
    note = signed_note.sign("a text\nof two lines\n", [SIGNER])
    assert signed_note.verified(note, [SIGNER.public]) == "a text\nof two lines\n"
    at = data.draw(st.integers(0, len(note) - 1))
    put = data.draw(st.sampled_from(["", "\n", " ", "A", "=", "—"]))
    changed = note[:at] + put + note[at + data.draw(st.integers(0, 1)) :]
    assert changed == note or signed_note.verified(changed, [SIGNER.public]) is None


def test_a_checkpoint_has_one_form() -> None:
    """A tree head is read from exactly the text that it is written as."""
    point = Checkpoint("hospital/chest", 12, bytes(range(32)), ("release 1.0.0 ab", "approvals 1"))
    assert signed_note.checkpoint(point.text()) == point
    for text in (point.text() + "\n", point.text().replace("12", "012"), point.text().replace("12", "-12"), "a\nb\n"):
        assert signed_note.checkpoint(text) is None


def test_a_mistyped_key_is_refused() -> None:
    """A public key with a wrong character is not taken for another one."""
    text = str(SIGNER.public)
    for wrong in (text[:-2] + "xx", text.replace("anna", "ana"), text[:-1], "anna", ""):
        with pytest.raises(InputError, match="not a public key, or it is mistyped"):
            signed_note.public_key(wrong)


def test_names_become_names_of_keys() -> None:
    """A person's name loses its accents, spaces and marks."""
    assert [signed_note.key_name(name) for name in ("Anna Puig", "Núria  Vilà-Roca", "+ \n", "ΑΒ")] == [
        *("anna-puig", "nuria-vila-roca", "key", "key"),
    ]


def test_a_key_file_is_its_owners_only(tmp_path: Path) -> None:
    """A new key has mode 0600; one that others can read, or that is no key file, is refused."""
    made = signing_keys.make(tmp_path / "anna.key", "anna-puig")
    assert stat.S_IMODE(made.path.stat().st_mode) == 0o600
    assert signing_keys.read(made.path).signer().public == made.public
    made.path.chmod(0o640)
    with pytest.raises(InputError, match="readable to others"):
        signing_keys.read(made.path)
    (tmp_path / "other").write_text("{}")
    with pytest.raises(DamagedError, match="is not a key file"):
        signing_keys.read(tmp_path / "other")
    with pytest.raises(InputError, match="There is no key"):
        signing_keys.read(tmp_path / "none")


def test_a_passphrase_seals_a_key_and_stays_when_it_is_rotated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the private half stands in the file; without the right passphrase it does not sign."""
    monkeypatch.setenv(signing_keys.VARIABLE, "correct horse")
    made = signing_keys.make(tmp_path / "anna.key", "anna-puig", under_passphrase=True)
    private = made.signer().private.private_bytes_raw().hex()
    assert private not in made.path.read_text()
    rotated = signing_keys.rotate(made.path)
    assert rotated.signer().private.private_bytes_raw().hex() not in made.path.read_text()
    assert signing_keys.succession(rotated.rotations[0]) == (made.public, rotated.public)
    monkeypatch.setenv(signing_keys.VARIABLE, "wrong")
    with pytest.raises(InputError, match=r"passphrase of .* is wrong"):
        signing_keys.read(made.path).signer()


def test_keys_are_tied_by_notes_that_both_signed(tmp_path: Path) -> None:
    """A chain of rotations ties all its keys in both directions; a note that one of both signed ties nothing."""
    first = signing_keys.make(tmp_path / "k", "anna-puig")
    old = first.signer()
    second, third = signing_keys.rotate(first.path), signing_keys.rotate(first.path)
    chain = {first.public, second.public, third.public}
    assert signing_keys.related([third.public], third.rotations) == chain
    assert signing_keys.related([first.public], third.rotations) == chain
    assert signing_keys.related([first.public], third.rotations[1:]) == {first.public}
    stranger = signing_keys.make(tmp_path / "s", "anna-puig").signer()
    for signers in ([old, old], [stranger, stranger], [stranger, old], [old]):
        text = third.rotations[0].partition("\n")[0] + "\n"
        text = text.replace(str(second.public), str(stranger.public))
        assert signing_keys.succession(signed_note.sign(text, signers)) is None
    assert signing_keys.succession(signed_note.sign(text, [old, stranger])) == (old.public, stranger.public)
