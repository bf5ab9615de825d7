"""Small archives with a random life: donors come, come again, withdraw, and data is corrected."""

from __future__ import annotations

import random
from typing import Any

import pyarrow as pa

from curate.privacy import generalization_ladder

REGION = {f"r{value}": (f"r{value}", f"g{value % 2}") for value in range(5)}
HIERARCHIES = [
    generalization_ladder.age(),
    generalization_ladder.plain("sex", per_donor=True),
    generalization_ladder.tree("region", ("code", "group"), REGION),
    generalization_ladder.plain("modality", nullable=False),
    generalization_ladder.days(),
]
COLUMNS = [each.column for each in HIERARCHIES]
_SCHEMA = pa.schema(
    [
        ("study_id", pa.string()),
        ("donor_id", pa.string()),
        ("age", pa.int64()),
        ("sex", pa.string()),
        ("region", pa.string()),
        ("modality", pa.string()),
        ("days_from_first", pa.int64()),
    ]
)
Study = dict[str, Any]


class Archive:
    """What an archive knows: its studies by id, and which of them are withdrawn."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.studies: dict[str, Study] = {}
        self.withdrawn: set[str] = set()
        self.ages = [self.draw.randint(20, 95) for _ in range(3)]

    def live(self, published: set[str]) -> pa.Table:
        """Let some time pass; the studies that are to be in the next release, in any order."""
        for _ in range(self.draw.randint(0, 25)):
            self._donor()
        for _ in range(self.draw.choice([0, 0, 3, 8])):
            self._again()
        for study in list(self.studies):
            if study not in self.withdrawn and self.draw.random() < (0.12 if study in published else 0.02):
                self.withdrawn.add(study)
            elif study in published and self.draw.random() < 0.03:
                self.studies[study]["region"] = self.draw.choice(["r0", "r3", None])
        rows = [row for study, row in self.studies.items() if study not in self.withdrawn]
        self.draw.shuffle(rows)
        return pa.Table.from_pylist(rows, schema=_SCHEMA)

    def _donor(self) -> None:
        draw = self.draw
        age = draw.choice(self.ages) if draw.random() < 0.7 else draw.randint(0, 100)
        donor, sex, day = f"d{draw.random()}", draw.choice("FM"), 0
        for _ in range(draw.choice([1, 1, 1, 1, 2, 2, 3])):
            region = f"r{min(draw.randint(0, 4), draw.randint(0, 4))}"
            self._add(donor, age + day // 365, sex, region, draw.choice(["CT", "CT", "MR"]), day)
            day += draw.choice([0, 1, 10, 30, 30, 400])

    def _again(self) -> None:
        donors = sorted({row["donor_id"] for row in self.studies.values()})
        if donors:
            donor = self.draw.choice(donors)
            row = next(row for row in self.studies.values() if row["donor_id"] == donor)
            day = self.draw.choice([30, 700])
            self._add(donor, row["age"], row["sex"], self.draw.choice(["r0", "r1"]), row["modality"], day)

    def _add(self, donor: str, age: int | None, sex: str, region: str, modality: str, day: int) -> None:
        study = f"s{len(self.studies)}"
        known = age if self.draw.random() < 0.98 else None
        values = (study, donor, known, sex, region, modality, day)
        self.studies[study] = dict(zip(_SCHEMA.names, values, strict=True))
