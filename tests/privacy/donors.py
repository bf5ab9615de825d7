"""Generated donors: tables as `curate.privacy` takes them, and the hierarchies of their columns."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from curate.privacy import generalization_ladder

REGIONS = 40
CODES = 300


def studies(count: int, *, seed: int = 0, per_donor: float = 1.15, start: int = 0, known: int = 0) -> pa.Table:
    """`count` studies with ids from `start`; of them the later ones partly of the donors 0 to `known`."""
    draw = np.random.default_rng(seed)
    donors = max(1, int(count / per_donor))
    old = draw.integers(0, known, count - donors) if known else draw.integers(start, start + donors, count - donors)
    donor = np.concatenate([start + np.arange(donors), old])
    person = np.random.default_rng(7)
    age = np.clip(person.normal(58, 18, start + donors + known + 1), 0, 104).astype(np.int64)
    sex = person.integers(0, 2, len(age))
    day = np.where(np.arange(count) < donors, 0, draw.integers(1, 1500, count))
    model = _skewed(draw, 30, count)
    return pa.table(
        {
            "donor_id": [f"d{value}" for value in donor],
            "study_id": [f"s{value}" for value in start + np.arange(count)],
            "age": age[donor] + day // 365,
            "sex": np.where(sex[donor] == 0, "F", "M").tolist(),
            "region": [f"r{value}" for value in _skewed(draw, REGIONS, count)],
            "diagnosis": [f"c{value}" for value in _skewed(draw, CODES, count)],
            "modality": [("CT", "MR", "DX")[value] for value in _skewed(draw, 3, count)],
            "manufacturer": [f"v{value % 5}" for value in model],
            "model": [f"m{value}" for value in model],
            "days_from_first": day,
        }
    )


def hierarchies() -> list[generalization_ladder.Hierarchy]:
    """Those of the columns of `studies`; the modality stands in the images too, so it can't be given up."""
    region = {f"r{value}": (f"r{value}", f"group {value % 8}") for value in range(REGIONS)}
    code = {f"c{value}": (f"c{value}", f"block {value // 10}", f"chapter {value // 50}") for value in range(CODES)}
    return [
        generalization_ladder.age(),
        generalization_ladder.plain("sex", per_donor=True),
        generalization_ladder.tree("region", ("code", "group"), region),
        generalization_ladder.tree("diagnosis", ("category", "block", "chapter"), code),
        generalization_ladder.plain("modality", nullable=False),
        generalization_ladder.plain("manufacturer"),
        generalization_ladder.plain("model"),
        generalization_ladder.days(),
    ]


def _skewed(draw: np.random.Generator, values: int, count: int) -> np.ndarray:
    share = 1 / np.arange(1, values + 1) ** 1.1
    return draw.choice(values, count, p=share / share.sum())
