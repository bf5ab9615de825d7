"""What every vocabulary answers: a code, or the rule that refuses the value; and how text is folded."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, repr=False)
class Coded:
    """A raw value after its vocabulary: `code` is None where it was refused, and `rule` says by which rule.

    `reason` says in words why a value was refused, or what was assumed; it never repeats the value.
    """

    code: str | None
    meaning: str = ""
    reason: str = ""
    rule: str = ""

    def __repr__(self) -> str:
        """The kind and the rule; a code is a person's value."""
        return f"<{type(self).__name__} {self.rule or 'coded'}>"


_MISSING = frozenset(
    {"", "na", "n/a", "n-a", "n.a.", "nan", "nat", "null", "nil", "none", "nd", "n/d", "nc", "ns/nc"}
    | {"-", "--", "."}
    | {"unknown", "not known", "not available", "not stated", "missing", "undefined", "unspecified"}
    | {"desconegut", "desconeguda", "no consta", "sense dades", "no disponible"}
    | {"desconocido", "desconocida", "sin datos", "#n/a", "<na>", "<null>"}
)


def is_missing(raw: str | None) -> bool:
    """Whether a raw value is empty or a closed list of words for "not known" in three languages."""
    return raw is None or fold(raw) in _MISSING


def fold(text: str) -> str:
    """Lower case, without accents, with single spaces; the Catalan geminate l·l becomes ll."""
    plain = unicodedata.normalize("NFKD", re.sub(r"[lL][·•‧.]([lL])", r"l\1", text))
    return " ".join("".join(char for char in plain if not unicodedata.combining(char)).casefold().split())
