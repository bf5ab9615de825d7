"""Maps secondary pseudonyms in a release that was taken over back to their donors.

The ids are keyed, so the archive that knows a donor knows each further id that the donor could have.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pyarrow as pa

from curate.archive import disclosure_history
from curate.archive.repository import Archive
from curate.deid import pseudonyms
from curate.keys.derivation import Keys
from curate.privacy.risk import DONOR, PART

PARTS = 32  # a donor's further ids that are looked for; each study has one at most


def with_owners(archive: Archive, raw: pa.Table, past: Sequence[pa.Table]) -> list[pa.Table]:
    """What earlier versions showed, every row with its donor's own id and the part under which it went.

    Of a donor of whom the archive knows nothing else, an id stays as it was published.
    """
    if not any(map(disclosure_history.is_rebuilt, past)):
        return list(past)
    own = {
        donor
        for table in (raw, *past)
        if not disclosure_history.is_rebuilt(table)
        for donor in table[DONOR].to_pylist()
    }
    told = {donor for table in past if disclosure_history.is_rebuilt(table) for donor in table[DONOR].to_pylist()}
    found = _owners(Keys.from_secret(archive.secret), own | told, told - own)
    return [_named(table, found) if disclosure_history.is_rebuilt(table) else table for table in past]


def _owners(keys: Keys, donors: Iterable[str], wanted: set[str]) -> dict[str, tuple[str, int]]:
    """Further id -> its donor's own and its part, of those wanted."""
    if not wanted:
        return {}
    made = ((donor, part) for donor in sorted(donors) for part in range(1, PARTS + 1))
    named = ((pseudonyms.further_donor_id(keys, donor, part), (donor, part)) for donor, part in made)
    return {further: owner for further, owner in named if further in wanted}


def _named(table: pa.Table, owners: dict[str, tuple[str, int]]) -> pa.Table:
    pairs = [owners.get(donor, (donor, 0)) for donor in table[DONOR].to_pylist()]
    columns = {DONOR: pa.array([donor for donor, _ in pairs], pa.string())}
    columns[PART] = pa.array([part for _, part in pairs], pa.int16())
    for name, values in columns.items():
        table = table.set_column(table.schema.get_field_index(name), name, values)
    return table
