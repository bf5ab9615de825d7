"""What a release would lose for good: nothing that is published once is ever made finer, so it is said before."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from curate.privacy.anonymization import Recoding
from curate.privacy.cross_release_risk import FIRST
from curate.privacy.forecast import Forecast, forecast
from curate.privacy.risk import STUDY


@dataclass(frozen=True, slots=True)
class ColumnLoss:
    """Of the new studies that are shown: for how many a column is `known`, `exact`, `coarser` or `lost` (null).

    `level` is what the release shows of it, such as "10-year bands".
    """

    column: str
    level: str
    known: int
    exact: int
    coarser: int
    lost: int

    @property
    def is_whole(self) -> bool:
        """Whether all that is known of the column is lost."""
        return 0 < self.known == self.lost


@dataclass(frozen=True, slots=True)
class Waiting:
    """Studies of one kind of picture that wait: each for `least` to `most` more donors of its own kind."""

    kind: str
    studies: int
    least: int
    most: int


@dataclass(frozen=True, slots=True)
class Loss:
    """What a release shows and loses of its `new` studies, and who waits: counts only.

    `gated` is the same under gated access with its k, where that is lower; `forecast` counts donors of each kind.
    """

    k: int
    access: str
    shown: int
    new: int
    columns: tuple[ColumnLoss, ...]
    reasons: Mapping[str, int]
    kinds: tuple[Waiting, ...]
    forecast: Forecast
    gated: Loss | None = None

    @property
    def waiting(self) -> int:
        """How many studies are held back."""
        return self.forecast.waiting

    @property
    def any(self) -> bool:
        """Whether anything is lost, coarser, or held back."""
        return bool(self.waiting) or any(column.coarser + column.lost for column in self.columns)

    @property
    def grave(self) -> tuple[str, ...]:
        """What somebody has to accept before it is cut, as sentences; none where nothing is new."""
        if not self.new:
            return ()
        whole = [column.column for column in self.columns if column.is_whole]
        told = [f"It shows no {name} of any of the {self.new:,} new studies." for name in whole]
        if self.waiting > self.shown:
            told.append(f"It shows {self.shown:,} studies and holds {self.waiting:,} back.")
        return tuple(told)

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self) | {"waiting": self.waiting, "must_be_accepted": list(self.grave)}


def loss(raw: pa.Table, made: Recoding, finest: Mapping[str, str], release: int, kinds: Mapping[str, str]) -> Loss:
    """What `made` shows of `raw` in the release of this number (0: the first).

    `finest` names the level at which each column is exact; `kinds` says of what kind a waiting study's pictures are.
    """
    new = made.table.filter(pc.equal(made.table[FIRST], release))
    known = raw.take(pc.index_in(new[STUDY], raw[STUDY]))
    levels = dict(made.levels)
    return Loss(
        k=made.policy.k,
        access=made.policy.access,
        shown=made.table.num_rows,
        new=new.num_rows,
        columns=tuple(_column(name, levels[name], levels[name] == exact, known, new) for name, exact in finest.items()),
        reasons=dict(sorted(Counter(made.held["reason"].to_pylist()).items())),
        kinds=_kinds(made.held, kinds),
        forecast=forecast(made),
    )


def with_gated(found: Loss, gated: Loss | None) -> Loss:
    """The loss beside what gated access would give."""
    return replace(found, gated=gated)


def _column(name: str, level: str, is_exact: bool, raw: pa.Table, shown: pa.Table) -> ColumnLoss:
    known = pc.is_valid(raw[name])
    kept = pc.sum(pc.and_(known, pc.is_valid(shown[name]))).as_py() or 0
    total = pc.sum(known).as_py() or 0
    return ColumnLoss(name, level, total, kept if is_exact else 0, 0 if is_exact else kept, total - kept)


def _kinds(held: pa.Table, kinds: Mapping[str, str]) -> tuple[Waiting, ...]:
    """The waiting studies by kind, the most first."""
    found: dict[str, list[int]] = defaultdict(list)
    for study, more in zip(held[STUDY].to_pylist(), held["more_donors"].to_pylist(), strict=True):
        found[kinds.get(study, "unknown")].append(more)
    rows = [Waiting(kind, len(more), min(more), max(more)) for kind, more in found.items()]
    return tuple(sorted(rows, key=lambda row: (-row.studies, row.kind)))
