"""Descriptions rebuilt from a closed vocabulary: `T1 MPRAGE SAG` survives, a name beside it does not."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import cache, lru_cache

from curate.deid.grammar import data, even
from curate.dicom.io.character_sets import decode_text

_LIMIT = {"SH": 16, "CS": 16, "LO": 64}
_TOKEN = re.compile(r"[A-Z0-9]+(?:\.[0-9]+)?[A-Z]*\*?")
_UNIT = r"MM|CM|M|SEC|S|MS|MIN|T|KV|KVP|KEV|MAS|MA|HZ|KHZ|MHZ|DEG|ML|MBQ|MCI|CH|DIR|DIRS|D|GY|CGY|PH|X|W|ISO"
_QUANTITY = re.compile(rf"(\d{{1,4}}(?:\.\d{{1,3}})?)({_UNIT})")
_BVALUE = re.compile(r"B(\d{1,5})(?:T|S)?")
_BEQUALS = re.compile(r"\bB *= *(\d)")
_NAMED = frozenset(("TE", "TR", "TI", "FA", "B"))
_PREFIXES = ("T2*", "T1W", "T2W", "T1", "T2", "3D", "2D", "4D", "PD", "AX", "SAG", "COR")
_REPLACED = (
    ("W/O", " WITHOUT "), ("S/C", " SIN CONTRASTE "), ("C/C", " CON CONTRASTE "), ("W/", " WITH "),
    ("+C", " WITH CONTRAST "), ("C+", " WITH CONTRAST "), ("C-", " WITHOUT CONTRAST "),
)  # fmt: skip
_MOST_NUMBERS = 4


@cache
def vocabulary() -> frozenset[str]:
    """Every term that a description may hold."""
    return frozenset(word for words in data("terms.json")["terms"].values() for word in words.split()) | {
        f"{level}{number}" for level, last in (("C", 7), ("T", 12), ("L", 5), ("S", 5)) for number in range(1, last + 1)
    }


@cache
def anatomy() -> frozenset[str]:
    """The terms that name a region, vertebrae included."""
    levels = {word for word in vocabulary() if re.fullmatch("[CTLS][0-9]+", word) and word not in ("T1", "T2")}
    named = data("terms.json")["terms"]["anatomy"].split() + data("terms.json")["regional"].split()
    return frozenset(named) | levels


@cache
def ambiguous() -> frozenset[str]:
    """Terms that are also names of persons."""
    return frozenset(data("terms.json")["ambiguous"].split())


def fold(text: str) -> str:
    """Upper case without accents."""
    return unicodedata.normalize("NFKD", text).encode("ascii", "replace").decode().replace("?", "").upper()


def rebuild(
    vr: str,
    raw: bytes,
    encodings: tuple[str, ...],
    names: frozenset[str] = frozenset(),
    stated: frozenset[str] | None = None,
) -> bytes:
    """The description made of the vocabulary's terms alone; empty where none is in it.

    `names` are words of the person's own identifiers: they never stay, whatever the vocabulary says. Of quantities
    only the `stated` ones stay; None: any of their form.
    """
    text = decode_text(raw, encodings)
    values = (rebuild_text(part, _LIMIT.get(vr, 64), names, stated) for part in text.split("\\"))
    return even("\\".join(value for value in values if value).encode(), b" ")


@lru_cache(maxsize=8192)
def rebuild_text(
    text: str, limit: int, names: frozenset[str] = frozenset(), stated: frozenset[str] | None = None
) -> str:
    """One value rebuilt, until nothing changes any more."""
    for _ in range(5):
        rebuilt = " ".join(_fit(_pass(text, names, stated), limit))
        if rebuilt == text:
            break
        text = rebuilt
    return rebuilt


def _tokens(text: str) -> list[str]:
    folded = fold(text[:256])
    for old, new in _REPLACED:
        folded = folded.replace(old, new)
    folded = _BEQUALS.sub(r"B\1", folded)
    return [part for token in _TOKEN.findall(folded) for part in _parts(token)]


def quantities(text: str) -> frozenset[str]:
    """The quantities in a text, as they are `stated`: `5mm`, `b1000`, `TE 30`."""
    tokens = _tokens(text)
    around = zip(tokens, ["", *tokens], [*tokens[1:], ""], strict=False)
    return frozenset(_said(token, before, after) for token, before, after in around) - {""}


def _said(token: str, before: str, after: str) -> str:
    """A quantity with the name of what it is of, where that stands before it."""
    quantity = _quantity(token, before, after)
    return f"{before} {quantity}" if quantity and quantity[-1].isdigit() and quantity[0] != "b" else quantity


def _pass(text: str, names: frozenset[str], stated: frozenset[str] | None) -> list[str]:
    tokens = _tokens(text)
    kept, strangers = _choose(tokens, names, stated)
    kept = list(dict.fromkeys(kept))
    doubtful = [word for word in kept if word in ambiguous()]
    if doubtful and (strangers or len(doubtful) + sum(map(_is_number, kept)) == len(kept)):
        kept = [word for word in kept if word not in ambiguous()]
    return kept if any(not _is_number(word) for word in kept) else []


def _parts(token: str) -> tuple[str, ...]:
    """A token, or its two terms where the first is one that others are written together with."""
    if token in vocabulary():
        return (token,)
    for prefix in _PREFIXES:
        if any(character.isdigit() for character in prefix) and token.startswith(prefix):
            rest = token[len(prefix) :]
            if rest in vocabulary() and len(rest) > 1:
                return (prefix, rest)
    return (token,)


def _choose(tokens: list[str], names: frozenset[str], stated: frozenset[str] | None) -> tuple[list[str], bool]:
    """The terms and quantities among tokens, and whether unknown words stood beside them."""
    kept: list[str] = []
    strangers, numbers = False, 0
    for position, token in enumerate(tokens):
        before = tokens[position - 1] if position else ""
        after = tokens[position + 1] if position + 1 < len(tokens) else ""
        quantity = _quantity(token, before, after)
        if token in names:
            strangers = True
        elif quantity and stated is not None and _said(token, before, after) not in stated:
            continue
        elif quantity and numbers < _MOST_NUMBERS:
            kept.append(quantity)
            numbers += 1
        elif token in vocabulary():
            kept.append(token)
        elif len(token) > 1 and token.isalpha() and not (_quantity(before, "", token) or token in _NAMED):
            strangers = True
    return kept, strangers


@lru_cache(maxsize=8192)
def _quantity(token: str, before: str, after: str) -> str:
    """A number with its unit, in canonical form; empty for anything else."""
    if token in vocabulary():
        return ""
    if match := _QUANTITY.fullmatch(token):
        return f"{float(match[1]):g}{match[2].lower() if match[2] not in ('T', 'D') else match[2]}"
    if match := _BVALUE.fullmatch(token):
        return f"b{int(match[1])}" if int(match[1]) <= 20000 else ""
    if before in _NAMED and re.fullmatch(r"\d{1,5}(\.\d{1,2})?", token):
        return f"{float(token):g}" if float(token) <= 20000 else ""
    if re.fullmatch(r"\d{1,3}(\.\d{1,2})?", token) and after in ("MM", "CM", "SEC", "MIN", "KV"):
        return f"{float(token):g}{after.lower()}"
    return ""


def _is_number(word: str) -> bool:
    return (word[0].isdigit() and word not in vocabulary()) or (word[0] == "b" and word[1:].isdigit())


def _fit(words: Iterable[str], limit: int) -> list[str]:
    """As many of the words as the VR has room for."""
    kept: list[str] = []
    length = -1
    for word in words:
        length += 1 + len(word)
        if length > limit:
            break
        kept.append(word)
    return kept


def words_of(texts: Iterable[str]) -> frozenset[str]:
    """The words of a person's identifiers, folded, that no description may repeat."""
    found = (word for text in texts for word in _TOKEN.findall(fold(text)))
    return frozenset(word for word in found if len(word) > 2)
