"""Receipts: what a donor holds to ask after a donation, or to withdraw it, without saying who they are.

A code is 130 random bits and a check of 10, in 28 characters of Crockford's base32: `4T9K-...`. The archive keeps
its SHA-256 only. The check, the number modulo the prime 1021, finds any one wrong character and any two swapped.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from curate.core import clock
from curate.core.errors import InputError
from curate.keys import encrypted_log

NAME = "receipts.sealed"
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_READ_AS = str.maketrans("OIL", "011")
_SYMBOLS, _BITS, _PRIME = 26, 130, 1021
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, repr=False)
class Receipt:
    """A code with the donation that it stands for: the new study id, and study and donor as the table has them."""

    code: str
    study_id: str
    study: str
    donor: str


def new_code() -> str:
    """A new code, in groups of four."""
    number = int.from_bytes(clock.random_bytes(17)) >> (17 * 8 - _BITS)
    return _grouped(_written(number, _SYMBOLS) + _written(number % _PRIME, 2))


def normal(code: str) -> str:
    """A code as it was given out, however it was typed.

    Raises:
        InputError: not a receipt, or mistyped.
    """
    plain = re.sub(r"[\s\-]", "", code).upper().translate(_READ_AS)
    if len(plain) != _SYMBOLS + 2 or set(plain) - set(_ALPHABET):
        raise InputError("This is not a receipt.", hint="A receipt has 7 groups of 4 letters and digits.")
    if _number(plain[:_SYMBOLS]) % _PRIME != _number(plain[_SYMBOLS:]):
        raise InputError("The receipt is mistyped.", hint="Compare it with the one on the paper.")
    return _grouped(plain)


def digest(code: str) -> bytes:
    """What the archive keeps of a code: the SHA-256 of its 28 characters.

    Raises:
        InputError: not a receipt, or mistyped.
    """
    return hashlib.sha256(normal(code).replace("-", "").encode()).digest()


def is_digest(text: str) -> bool:
    """Whether a table's cell is a digest in hex."""
    return _DIGEST.fullmatch(text) is not None


def record(receipt: Receipt) -> dict[str, str]:
    """A receipt as it is stored."""
    return {
        "receipt": receipt.code,
        "study_id": receipt.study_id,
        "study": receipt.study,
        "donor": receipt.donor,
    }


def read(path: Path, key: bytes) -> Iterator[Receipt]:
    """The receipts of a sealed file.

    Raises:
        InputError: no such file, another key, or the file holds something else.
        DamagedError: it is damaged.
    """
    for stored in encrypted_log.read(path, key):
        try:
            yield Receipt(stored["receipt"], stored["study_id"], stored["study"], stored["donor"])
        except KeyError:
            raise InputError(f"{path} holds no receipts.", hint="Name the file of receipts.") from None


def _written(number: int, length: int) -> str:
    return "".join(_ALPHABET[number >> 5 * place & 31] for place in reversed(range(length)))


def _number(text: str) -> int:
    value = 0
    for symbol in text:
        value = value << 5 | _ALPHABET.index(symbol)
    return value


def _grouped(plain: str) -> str:
    return "-".join(plain[at : at + 4] for at in range(0, len(plain), 4))
