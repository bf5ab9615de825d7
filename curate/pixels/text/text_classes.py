"""What a line that was read is: text that may tell who, a mark of technique or side, or no writing at all."""

from __future__ import annotations

import json
import re
from functools import cache
from importlib import resources
from typing import Literal

Kind = Literal["text", "mark", ""]

_FEWEST_LETTERS, _SURE, _SURE_OF_MARK = 3, 0.4, 0.6
_CIRCLES = frozenset("0Oo°DQ。.")  # what round phantoms, vessels and holes are read as
_TOKEN = re.compile(r"[^\W_]+(?:[.,]\d+)?[^\W_]*")
_NUMBER = re.compile(r"(\d{1,4}(?:[.,]\d{1,3})?)([a-zA-Z]*)")
_BARE_DIGITS = 3


@cache
def _vocabulary() -> tuple[frozenset[str], frozenset[str]]:
    text = (resources.files("curate.pixels.text") / "data" / "marks.json").read_text(encoding="utf-8")
    table = json.loads(text)
    return frozenset(table["words"]), frozenset(table["units"])


def kind(text: str, score: float) -> Kind:
    """`text` unless every word is of the closed vocabulary; '' for what is too short or unsure to be writing."""
    letters = [c for c in text if c.isalnum()]
    if len(letters) < _FEWEST_LETTERS or score < _SURE or set(text.replace(" ", "")) <= _CIRCLES:
        return ""
    return "mark" if score >= _SURE_OF_MARK and _only_marks(text) else "text"


def faint(text: str, score: float) -> bool:
    """Whether a reading beside one that is sure may be more of the same writing."""
    return score >= _SURE / 2 and any(c.isalnum() for c in text)


def _only_marks(text: str) -> bool:
    words, units = _vocabulary()
    bare = 0
    for token in _TOKEN.findall(text):
        number = _NUMBER.fullmatch(token)
        if token.lower() in words or (number and number[2].lower() in units):
            continue
        if not (number and not number[2] and len(number[1]) <= _BARE_DIGITS):
            return False
        bare += 1
    return bare <= 1  # two bare numbers could be a date
