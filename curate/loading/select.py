"""Which instances are wanted: one SQL condition over studies, series and instances, read-only and locked in."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from curate import contract
from curate.core.errors import InputError

TABLES = ("instances", "series", "studies")
_WANTED = (
    "study_id",
    "SeriesInstanceUID",
    "SOPInstanceUID",
    "sha256",
    "pack",
    "offset_bytes",
    "size_bytes",
    "license",
)
_SHARED = ("study_id", "SeriesInstanceUID", "license", "release_version")
MEMORY, SECONDS = "500MB", 120.0  # of a condition; the join of a million instances takes two seconds
_MOST_BYTES = 1 << 42
_PACK = re.compile(r"packs/[0-9a-f]{2}/[0-9a-f]{64}\.parquet")


def select(paths: Mapping[str, Path], where: str | None = None, seconds: float = SECONDS) -> pa.Table:
    """The instances that a condition chooses, by pack and offset; all of them without one.

    Columns of `instances` have their names; of `series` and `studies` too, but those that an earlier table
    has already are `series_...` and `study_...` (`study_size_bytes`). Subqueries may name the three tables.

    `paths` are the local files of the three tables.

    Raises:
        InputError: the condition is no single expression over these columns, or takes too long or too much memory.
    """
    with duckdb.connect() as database:
        _prepare(database, paths)
        try:
            with _limited(database, seconds):
                found = database.view("manifest")
                if where is not None:
                    found = found.filter(duckdb.SQLExpression(where))
                rows = found.project(", ".join(_WANTED)).order("pack, offset_bytes").to_arrow_table()
        except duckdb.InterruptException:
            told = f"The condition took more than {seconds:,.0f} seconds, and was stopped."
            raise InputError(told, hint="Ask for less at once; a condition needs no recursion.") from None
        except (duckdb.OutOfMemoryException, MemoryError):
            told = f"The condition took more than {MEMORY}, and was stopped."
            raise InputError(told, hint="Ask for less at once.") from None
        except (duckdb.Error, ValueError) as error:
            raise InputError(f"The condition cannot be used: {_line(error)}", hint=_columns_hint()) from None
    _check_ids(rows)
    return rows


@contextmanager
def _limited(database: duckdb.DuckDBPyConnection, seconds: float) -> Iterator[None]:
    """Stop what a database does when its time is over."""
    watch = threading.Timer(seconds, database.interrupt)
    watch.daemon = True
    watch.start()
    try:
        yield
    finally:
        watch.cancel()


def _prepare(database: duckdb.DuckDBPyConnection, paths: Mapping[str, Path]) -> None:
    """Views over the tables; after that no file, network, setting or extension is within reach."""
    for name, path in ((name, paths[name]) for name in TABLES):
        quoted = str(path).replace("'", "''")
        database.execute(f"CREATE VIEW {name} AS FROM read_parquet('{quoted}')")
    database.execute(f"CREATE VIEW manifest AS {_joined()}")
    allowed = ", ".join("'" + str(path).replace("'", "''") + "'" for path in map(paths.__getitem__, TABLES))
    for setting in (
        f"memory_limit = '{MEMORY}'",
        "temp_directory = ''",  # what is above that is refused, not spilled
        "threads = 2",
        f"allowed_paths = [{allowed}]",
        "autoinstall_known_extensions = false",
        "autoload_known_extensions = false",
        "python_enable_replacements = false",
        "enable_external_access = false",
        "lock_configuration = true",
    ):
        database.execute(f"SET {setting}")


def _joined() -> str:
    columns = {name: [column.name for column in contract.table(name).columns] for name in TABLES}
    shown = []
    for name, prefix in zip(TABLES, ("", "series_", "study_"), strict=True):
        for column in columns[name]:
            if name != "instances" and column in _SHARED:
                continue
            doubled = sum(column in other for other in columns.values()) > 1
            shown.append(f'{name}."{column}" AS "{prefix if doubled else ""}{column}"')
    return (
        f"SELECT {', '.join(shown)} FROM instances JOIN series USING (study_id, SeriesInstanceUID)"  # noqa: S608
        " JOIN studies USING (study_id)"
    )


def _line(error: Exception) -> str:
    """The first line of what duckdb says, and its suggestion where it has one."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    kept = [lines[0], *(line for line in lines[1:] if line.startswith(("Candidate", "Did you mean")))]
    return " ".join(kept)[:300]


def _columns_hint() -> str:
    return "Write it as for instance: region_group = 'chest' AND Modality = 'CT' (strings in single quotes)."


def _check_ids(rows: pa.Table) -> None:
    """Names of files are made of ids: refuse what is none.

    Raises:
        InputError: the manifest holds what no archive of ours writes.
    """
    for name in ("study_id", "SeriesInstanceUID", "SOPInstanceUID"):
        if not _all(contract.is_published_uid(text) for text in rows[name].unique().to_pylist()):
            raise InputError(f"The manifest's {name} is not in order.", hint="Run `curate check` on the release.")
    if not _all(_PACK.fullmatch(path) for path in rows["pack"].unique().to_pylist()):
        raise InputError("The manifest's pack is not in order.", hint="Run `curate check` on the release.")
    for name in ("offset_bytes", "size_bytes"):
        bounds = pc.min_max(rows[name]).as_py()
        if rows.num_rows and not 0 <= bounds["min"] <= bounds["max"] <= _MOST_BYTES:
            raise InputError(f"The manifest's {name} is not in order.", hint="Run `curate check` on the release.")


def _all(found: Iterable[object]) -> bool:
    return all(bool(one) for one in found)
