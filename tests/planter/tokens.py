"""Unique identifiers, one a place, in every shape a value can have."""

from __future__ import annotations

import base64
import random
from dataclasses import dataclass

FAMILY = ("Vilaplana", "Garcia", "Fernandez", "Puigdemunt", "Oriol", "Montserrat", "Jimenez", "Castellvi")


@dataclass(frozen=True, slots=True)
class Token:
    """What one place gets: nothing of it occurs in any other place."""

    text: str  # 10 upper-case letters
    digits: str  # 8 digits that are no date
    date: str  # a birth date's look, YYYYMMDD, 1901 to 1979
    time: str  # HHMMSS.ffffff
    uid: str
    family: str

    @property
    def name(self) -> str:
        """A person's name that holds the token in two components."""
        return f"{self.family}{self.text}^{self.text}^^Dr"

    @property
    def number(self) -> int:
        """The digits as a number, for binary VRs."""
        return int(self.digits)


class Source:
    """A seeded, endless source of tokens."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._used: set[str] = set()

    def _fresh(self, make: object) -> str:
        while True:
            made = make() if callable(make) else ""
            if made not in self._used:
                self._used.add(made)
                return str(made)

    def next(self) -> Token:
        """A token never given before."""
        pick = self._random
        body = self._fresh(lambda: "".join(pick.sample("BCDFGHJKLMNPQRSTVWXZ", 7)))
        digits = self._fresh(
            lambda: f"{pick.randrange(3, 10)}{pick.randrange(3, 9)}{pick.randrange(10**5):05}{pick.randrange(1, 10)}"
        )
        date = f"{pick.randrange(1901, 1980)}{pick.randrange(1, 13):02}{pick.randrange(1, 29):02}"
        clock = "".join(f"{pick.randrange(limit):02}" for limit in (24, 60, 60))
        time = f"{clock}.{pick.randrange(10**6):06}"
        uid = f"1.2.826.0.1.3680043.8.498.{date}.{digits}"
        return Token("QZJ" + body, digits, date, time, uid, pick.choice(FAMILY))

    @property
    def random(self) -> random.Random:
        """The same seeded randomness, for choices of places."""
        return self._random


def _swapped(raw: bytes) -> bytes:
    even = raw[: len(raw) // 2 * 2]
    return b"".join(even[at : at + 2][::-1] for at in range(0, len(even), 2))


def _base64(raw: bytes) -> list[bytes]:
    """The parts of a base64 text that any alignment of these bytes leaves unchanged."""
    found = [base64.b64encode(raw[skip : skip + (len(raw) - skip) // 3 * 3]) for skip in range(3)]
    return [form for form in found if len(form) >= 8]


def forms(raw: bytes) -> tuple[bytes, ...]:
    """The planted bytes in every encoding that a survivor may have."""
    made = [raw, _swapped(raw), _swapped(raw[1:]), raw[::-1], raw.hex().encode(), raw.hex().upper().encode()]
    made += _base64(raw)
    try:
        letters = raw.decode("ascii")
    except UnicodeDecodeError:
        letters = ""
    if letters:
        wide = letters.encode("utf-16-le")
        made += [
            wide[:-1],
            letters.lower().encode(),
            letters.title().encode(),
            letters.encode("utf-32-le")[:-3],
        ]
    # six digits turn up by themselves in any text of numbers
    return tuple(form for form in dict.fromkeys(made) if len(form) >= (8 if form.isdigit() else 6))


def unicode_forms(letters: str) -> tuple[bytes, ...]:
    """A text outside ASCII in the Unicode encodings that a rewriter may turn it into."""
    return (letters.encode("utf-8"), letters.encode("utf-16-le"), letters.encode("utf-16-be"))
