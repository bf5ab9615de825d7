"""What an admitted study's record keeps for a later batch of it, so that this one need not guess.

Private, and erased with the record. Of the person's names there are keyed marks only; of the headers what is coded.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

from curate.archive.ledger_records import StudyRecord
from curate.core.digests import canonical_json
from curate.deid import pseudonyms
from curate.keys.derivation import Keys
from curate.metadata import age, region, sex
from curate.metadata.table import StudyRow

_NOT_OF_THE_STUDY = ("study", "donor", "receipt_sha256")
_BODY_PART = ("BodyPartExamined", "Laterality")


class Order(NamedTuple):
    """An instance's place in its study: by the series' new UID, then as its slices lie, then by its own new UID."""

    series: str = ""
    position: float = 0.0
    time: float = 0.0
    number: int = 0
    instance: str = ""


FIRST = Order()


@dataclass(frozen=True, slots=True, repr=False)
class Notes:
    """What one batch tells the next.

    `row` is a mark of what the table said; `moment` the first acquisition (microseconds since 1970), `shift_us` and
    `study_date` where it went; `order` the place of each instance, as its row in the record; `headers` the first one
    of each series, by its new UID, with the place of its instance; `words` marks of the person's words; `refused`
    marks of files; `renumbered` says that numbers which order became others.
    """

    row: str
    moment: int | None
    shift_us: int | None
    study_date: str
    order: tuple[tuple[float, float, int], ...]
    headers: Mapping[str, tuple[Order, Mapping[str, str]]]
    words: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()
    renumbered: bool = False

    def stored(self) -> bytes:
        """As the ledger keeps it."""
        plain = asdict(self) | {"words": sorted(self.words), "refused": sorted(self.refused)}
        return zlib.compress(json.dumps(plain, sort_keys=True).encode())

    @classmethod
    def read(cls, stored: bytes) -> Notes | None:
        """What `stored` gave; None where an earlier version of the tool admitted the study."""
        if not stored:
            return None
        plain: dict[str, Any] = json.loads(zlib.decompress(stored))
        plain["order"] = tuple((position, time, number) for position, time, number in plain["order"])
        plain["headers"] = {uid: (Order(*place), told) for uid, (place, told) in plain["headers"].items()}
        return cls(**plain | {name: frozenset(plain[name]) for name in ("words", "refused")})


def row_mark(keys: Keys, row: StudyRow | None) -> str:
    """A keyed mark of all that a row says, the names of study, donor and receipt apart."""
    if row is None:
        return ""
    told = {name: text for name, text in row.raw.items() if text and name not in _NOT_OF_THE_STUDY}
    return pseudonyms.order(keys, f"row {canonical_json([told, row.sex.code])}").hex()


def word_marks(keys: Keys, words: Iterable[str]) -> dict[str, str]:
    """Each word by its keyed mark: a later header is searched for them, and nobody reads a name in them."""
    return {pseudonyms.order(keys, f"word {word}").hex()[:16]: word for word in words}


def coded_facts(header: Mapping[str, Any]) -> dict[str, str]:
    """Of a header what the study's metadata rest on, where it can be coded: no birth date, no free text."""
    told = {key: value for key, value in header.items() if isinstance(value, str)}
    part, side = (told.get(key, "") for key in _BODY_PART)
    known = {
        "PatientAge": age.code(told.get("PatientAge")).code is not None,
        "PatientSex": sex.code(told.get("PatientSex")).code is not None,
        **dict.fromkeys(_BODY_PART, region.of_header(part, side).code is not None),
    }
    return {key: told[key] for key, codable in known.items() if codable and key in told}


def with_notes(
    record: StudyRecord, words: frozenset[str] = frozenset(), refused: frozenset[str] = frozenset()
) -> StudyRecord:
    """A record whose notes have further marks."""
    notes = Notes.read(record.notes)
    if notes is None:
        raise ValueError("a study without notes")
    notes = replace(notes, words=notes.words | words, refused=notes.refused | refused)
    return replace(record, notes=notes.stored())
