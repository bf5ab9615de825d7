"""How many studies say something else than in the version before."""

from __future__ import annotations

from pathlib import Path

import duckdb

from curate import contract

_OWN = ("release_version", "first_version")


def changed(before: Path | None, after: Path) -> int:
    """How many studies that both releases hold have another row in `studies`."""
    if before is None or not before.is_file():
        return 0
    names = [c.name for c in contract.table("studies").columns if c.name not in _OWN]
    same = " AND ".join(f'a."{name}" IS NOT DISTINCT FROM b."{name}"' for name in names)
    query = (
        f"SELECT count(*) FROM read_parquet(?) a JOIN read_parquet(?) b USING (study_id) WHERE NOT ({same})"  # noqa: S608 - the contract's own names
    )
    with duckdb.connect(config={"threads": 1}) as db:
        row = db.execute(query, [str(before), str(after)]).fetchone()
    return int(row[0]) if row else 0
