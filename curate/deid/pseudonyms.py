"""New identifiers from old ones: keyed, so that nobody without the archive's secret finds the way back."""

from __future__ import annotations

import base64
import hmac
import re
from functools import lru_cache

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from curate.keys.derivation import Keys

_UID = re.compile(r"2\.25\.(0|[1-9][0-9]{0,38})")
_SMALLEST = 1 << 96  # of 2**32 keyed UIDs one is smaller; what somebody typed is
_DONOR = re.compile(r"D[a-z2-7]{26}")
FOLDS = 10
_GMAC_BYTES = 1 << 30  # the library takes less than 2 GB at once


def _keyed(key: bytes, text: bytes) -> bytes:
    if not key:
        raise ValueError("a key that this process was not given")
    return hmac.digest(key, text, "sha256")


def new_uid(keys: Keys, original: str) -> str:
    """`2.25.` and a UUID version 8 (RFC 9562): 122 bits of the keyed hash of the original UID."""
    return _new_uid(keys.uid, original.strip(" \0"))


@lru_cache(maxsize=1 << 12)
def _new_uid(key: bytes, original: str) -> str:
    digest = bytearray(_keyed(key, original.encode("utf-8", "replace"))[:16])
    digest[6] = (digest[6] & 0x0F) | 0x80
    digest[8] = (digest[8] & 0x3F) | 0x80
    return f"2.25.{int.from_bytes(digest)}"


@lru_cache(maxsize=1 << 10)
def is_new_uid(uid: str) -> bool:
    """Whether a UID has the form that `new_uid` gives."""
    match = _UID.fullmatch(uid)
    if not match or (number := int(match[1])) >> 128 or number < _SMALLEST:
        return False
    return number >> 76 & 0xF == 8 and number >> 62 & 3 == 2


def donor_id(keys: Keys, donor: str) -> str:
    """The published pseudonym of a donor: `D` and 26 characters of base32 (128 bits of a keyed hash)."""
    digest = _keyed(keys.donor, donor.strip().encode())[:16]
    return "D" + base64.b32encode(digest).decode().rstrip("=").lower()


def further_donor_id(keys: Keys, donor_id: str, part: int) -> str:
    """The further pseudonym of a donor whose study may not be known to be theirs."""
    digest = hmac.digest(keys.donor, f"{donor_id} {part}".encode(), "sha256")[:16]
    return "D" + base64.b32encode(digest).decode().rstrip("=").lower()


def place_id(keys: Keys, kind: str, parts: tuple[str, ...]) -> str | None:
    """The published pseudonym of a site or a scanner, 26 characters of base32; None where nothing names it."""
    text = "|".join(" ".join(part.upper().split()) for part in parts)
    if not text.strip("|"):
        return None
    digest = _keyed(keys.donor, f"{kind} {text}".encode())[:16]
    return base64.b32encode(digest).decode().rstrip("=").lower()


@lru_cache(maxsize=1 << 10)
def is_donor_id(text: str) -> bool:
    """Whether a text has the form that `donor_id` gives."""
    return _DONOR.fullmatch(text) is not None


def fold(keys: Keys, donor: str) -> int:
    """The split that stays, 0 to 9: a keyed hash of the donor's pseudonym."""
    return int.from_bytes(_keyed(keys.fold, donor.encode())[:8]) % FOLDS


def order(keys: Keys, text: str) -> bytes:
    """A keyed place in an order that shows neither dates nor neighbours (32 bytes)."""
    return _keyed(keys.order, text.encode("utf-8", "surrogatepass"))  # a path need not be UTF-8


def source_mark(keys: Keys, data: bytes) -> bytes:
    """What is remembered of an original file's bytes, to know them again (32 bytes).

    AES-GMAC under a secret key is a universal hash, ten times as fast as SHA-256; HMAC hides its tags, so nobody
    without the key can make two files of one mark, nor tell from a mark which file it is of.
    """
    gmac, view = _gmac(keys.source), memoryview(data)
    tags = [
        gmac.encrypt(number.to_bytes(12), b"", view[start : start + _GMAC_BYTES])
        for number, start in enumerate(range(0, max(len(data), 1), _GMAC_BYTES))
    ]
    return hmac.digest(keys.source, b"".join((len(data).to_bytes(8), *tags)), "sha256")


@lru_cache(maxsize=4)
def _gmac(key: bytes) -> AESGCM:
    return AESGCM(hmac.digest(key, b"gmac", "sha256"))


def tombstone(keys: Keys, study_id: str) -> bytes:
    """What is remembered of a withdrawn study, by its new id: a keyed hash of the original UID too (32 bytes)."""
    return _keyed(keys.tombstone, study_id.encode())
