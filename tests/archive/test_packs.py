"""Packs: each instance in one piece at its stated place."""

from __future__ import annotations

import hashlib
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.archive import packs
from curate.archive.packs import PackRow
from curate.archive.repository import store
from curate.core.errors import DamagedError, StorageError


def _rows(sizes: list[tuple[int, int]]) -> list[PackRow]:
    """Instances of (study, size) with distinct bytes."""
    return [
        PackRow(f"2.25.{study}", f"2.25.{study}0", f"2.25.{study}{n:04d}", bytes([n % 251]) * size)
        for n, (study, size) in enumerate(sorted(sizes))
    ]


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 70_000)), min_size=1, max_size=30))
@settings(max_examples=25, deadline=None)
def test_every_instance_is_read_by_offset_and_size_alone(sizes: list[tuple[int, int]]) -> None:
    """Bytes cut out of the file at the stated place are the instance, whatever the sizes."""
    import tempfile

    rows = _rows(sizes)
    with tempfile.TemporaryDirectory() as folder:
        packed = packs.store_pack(rows, store(Path(folder), ""))
        path = Path(folder) / packs.pack_path(packed.sha256)
        content = path.read_bytes()
        assert hashlib.sha256(content).hexdigest() == packed.sha256
        assert packed.size_bytes == len(content)
        for row, (offset, size) in zip(rows, packed.places, strict=True):
            assert content[offset : offset + size] == row.data
        table = pq.read_table(path).to_pylist()
        assert [r["dicom"]["bytes"] for r in table] == [r.data for r in rows]


def test_row_groups_hold_one_study_and_at_most_16_mb(tmp_path: Path) -> None:
    """A reader of one study touches no other, and never needs more than 16 MB at once."""
    packed = packs.store_pack(_rows([(1, 7_000_000)] * 4 + [(2, 10)]), store(tmp_path, ""))
    metadata = pq.read_metadata(tmp_path / packs.pack_path(packed.sha256))
    rows = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    assert rows == [2, 2, 1]


def test_other_readers_read_a_pack(tmp_path: Path) -> None:
    """DuckDB, which shares no code with pyarrow, finds the same rows, in several row groups too."""
    rows = _rows([(1, 7_000_000)] * 3 + [(2, 10), (3, 0)])
    where = store(tmp_path, "")
    packed = packs.store_pack(rows, where)
    path = tmp_path / packs.pack_path(packed.sha256)
    query = "SELECT study_id, SeriesInstanceUID, SOPInstanceUID, dicom.bytes, dicom.path FROM read_parquet(?)"
    with duckdb.connect() as db:
        found = db.execute(query, [str(path)]).fetchall()
    assert found == [(r.study_id, r.series, r.instance, r.data, f"{r.instance}.dcm") for r in rows]


def test_bytes_are_stored_plainly_without_statistics(tmp_path: Path) -> None:
    """No compression, no dictionary, and no statistics that would repeat bytes elsewhere in the file."""
    packed = packs.store_pack(_rows([(1, 500)] * 3), store(tmp_path, ""))
    group = pq.read_metadata(tmp_path / packs.pack_path(packed.sha256)).row_group(0)
    for number in range(group.num_columns):
        column = group.column(number)
        assert column.compression == "UNCOMPRESSED"
        assert column.statistics is None
        assert not column.has_dictionary_page


def test_the_same_rows_give_the_same_pack(tmp_path: Path) -> None:
    """A pack is a function of its rows, and an equal one is not written twice."""
    first = packs.store_pack(_rows([(1, 500)] * 3), store(tmp_path, ""))
    again = packs.store_pack(_rows([(1, 500)] * 3), store(tmp_path, ""))
    assert first == again
    assert len(list(tmp_path.rglob("*.parquet"))) == 1


@pytest.mark.parametrize("damage", ["cut", "compressed", "text"])
def test_what_is_no_pack_is_damaged(tmp_path: Path, damage: str) -> None:
    """A cut, compressed or foreign file is told as damage, not read somehow."""
    packed = packs.store_pack(_rows([(1, 5000)] * 3), store(tmp_path, ""))
    path = tmp_path / packs.pack_path(packed.sha256)
    path.chmod(0o644)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-200])
    elif damage == "compressed":
        pq.write_table(pq.read_table(path), path, compression="zstd")
    else:
        path.write_text("not a pack")
    with pytest.raises(DamagedError):
        list(packs.instance_places(path))


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a write fails for want of room, the message says so and no file stays."""
    from curate.core import durable

    def full(step: str, path: Path) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(durable, "observer", full)
    with pytest.raises(StorageError, match="the disk is full"):
        packs.store_pack(_rows([(1, 500)]), store(tmp_path, ""))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_an_instance_of_many_pieces_is_written(tmp_path: Path) -> None:
    """More pieces than the system takes in one call, as a clip of many frames gives."""
    pieces = [bytes([n % 251]) * (n % 5) for n in range(5000)]
    writer = packs.PackWriter(tmp_path / "pack")
    writer.add(packs.Ids("2.25.1", "2.25.10", "2.25.100"), pieces)
    (place,) = writer.close().places
    assert packs.read_instance(tmp_path / "pack", *place) == b"".join(pieces)
