"""Releases that were made to harm who reads them: the golden one, with one thing in it that no release has."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from curate.core.digests import canonical_json, sha256_file

GOLDEN = Path(__file__).parents[2] / "manifests" / "golden"
ESCAPE = "\x1b\x07\x9b\u202e"  # what begins a command to a terminal
Maker = Callable[[Path], None]
HOSTILE: dict[str, Maker] = {}


def hostile(maker: Maker) -> Maker:
    """Note a maker under its name."""
    HOSTILE[maker.__name__] = maker
    return maker


def make(name: str, folder: str) -> None:
    """Make a hostile release in a folder that is not there yet."""
    shutil.copytree(GOLDEN, folder, copy_function=shutil.copyfile)
    HOSTILE[name](Path(folder))


def reseal(folder: Path, **changed: Any) -> None:
    """State every file of the folder anew, as whoever forges a release would."""
    path = folder / "release.json"
    sealed = json.loads(path.read_text()) | changed
    files = (p for p in sorted(folder.rglob("*")) if p.is_file() and not p.is_symlink() and p != path)
    names = ((p, p.relative_to(folder).as_posix()) for p in files)
    sealed["files"] = {
        name: {"sha256": sha256_file(p), "size_bytes": p.stat().st_size}
        for p, name in names
        if not name.startswith("attestations/")
    } | changed.get("files", {})
    path.write_text(canonical_json(sealed) + "\n")


def rewrite(folder: Path, name: str, **columns: Any) -> None:
    """Write a table of the manifest with other values in some columns, and seal it."""
    path = folder / "manifest" / f"{name}.parquet"
    table = pq.read_table(path)
    for column, value in columns.items():
        at = table.schema.get_field_index(column)
        values = [value(old) for old in table[column].to_pylist()]
        table = table.set_column(at, table.schema.field(at), pa.array(values, table.schema.field(at).type))
    pq.write_table(table, path, compression="zstd")
    reseal(folder)


def _rows(folder: Path, name: str, count: int) -> None:
    """A table of the manifest as one row so many times: a few kilobytes."""
    path = folder / name
    row = pq.read_table(path).slice(0, 1)
    part = pa.concat_tables([row] * 1000).combine_chunks()
    group = pa.concat_tables([part] * 1000).combine_chunks()
    with pq.ParquetWriter(path, row.schema, compression="zstd") as writer:
        for _ in range(count // group.num_rows):
            writer.write_table(group, row_group_size=group.num_rows)
    reseal(folder)


@hostile
def leaves_bomb(folder: Path) -> None:
    """Two million leaves in one small file, under a checkpoint that names its digest."""
    _rows(folder, "attestations/leaves.parquet", 2_000_000)
    checkpoint = folder / "attestations" / "checkpoint.txt"
    lines = checkpoint.read_text().split("\n")
    digest = sha256_file(folder / "attestations" / "leaves.parquet")
    new = [f"file leaves.parquet {digest}" if line.startswith("file leaves") else line for line in lines]
    checkpoint.write_text("\n".join(new))


@hostile
def instances_bomb(folder: Path) -> None:
    """A million rows of one instance."""
    _rows(folder, "manifest/instances.parquet", 1_000_000)


@hostile
def one_long_value(folder: Path) -> None:
    """A text of 2 MB in a column, once stored and repeated by each row."""
    path = folder / "manifest" / "studies.parquet"
    table = pq.read_table(path).slice(0, 1)
    at = table.schema.get_field_index("region")
    table = table.set_column(at, table.schema.field(at), pa.array(["x" * 2_000_000], pa.string()))
    table = pa.concat_tables([table] * 100)
    pq.write_table(table.unify_dictionaries(), path, compression="zstd", dictionary_pagesize_limit=1 << 30)
    reseal(folder)


@hostile
def page_that_inflates(folder: Path) -> None:
    """A page of 70 MB of the same character, of 10 kB when compressed."""
    path = folder / "manifest" / "evidence.parquet"
    table = pq.read_table(path).slice(0, 1)
    at = table.schema.get_field_index("payload")
    table = table.set_column(at, table.schema.field(at), pa.array(["{" + " " * 70_000_000 + "}"], pa.string()))
    pq.write_table(table, path, compression="zstd", use_dictionary=False)
    reseal(folder)


@hostile
def long_list(folder: Path) -> None:
    """Lists of twenty million entries in all."""
    path = folder / "manifest" / "series.parquet"
    table = pq.read_table(path).slice(0, 1)
    at = table.schema.get_field_index("ImageType")
    entries = pa.DictionaryArray.from_arrays(_zeros(), ["A"])
    values = pa.ListArray.from_arrays(pa.array([0, len(entries)], pa.int32()), entries)
    table = table.set_column(at, pa.field("ImageType", values.type), values)
    pq.write_table(table, path, compression="zstd")
    reseal(folder)


def _zeros() -> pa.Array:
    return pa.Array.from_buffers(pa.int8(), 20_000_000, [None, pa.py_buffer(bytes(20_000_000))])


@hostile
def cut_short(folder: Path) -> None:
    """A table without its end."""
    path = folder / "manifest" / "series.parquet"
    path.write_bytes(path.read_bytes()[:-2000])
    reseal(folder)


@hostile
def footer_that_lies(folder: Path) -> None:
    """A table whose footer's bytes are noise."""
    path = folder / "manifest" / "instances.parquet"
    data = bytearray(path.read_bytes())
    for at in range(len(data) - 1500, len(data) - 8, 7):
        data[at] ^= 0x55
    path.write_bytes(data)
    reseal(folder)


@hostile
def footer_of_gigabytes(folder: Path) -> None:
    """A table that says that its footer is 2 GB long."""
    path = folder / "manifest" / "studies.parquet"
    path.write_bytes(path.read_bytes()[:-8] + struct.pack("<I", 0x7FFFFFFF) + b"PAR1")
    reseal(folder)


@hostile
def not_utf8(folder: Path) -> None:
    """A text whose bytes are none."""
    path = folder / "manifest" / "series.parquet"
    table = pq.read_table(path)
    at = table.schema.get_field_index("SeriesDescription")
    raw = pa.array([b"\xff\xfe\x80"] * table.num_rows, pa.binary())
    texts = pa.StringArray.from_buffers(len(raw), raw.buffers()[1], raw.buffers()[2])
    pq.write_table(table.set_column(at, table.schema.field(at), texts), path)
    reseal(folder)


@hostile
def image_bomb(folder: Path) -> None:
    """A preview of 60,000 by 60,000 pixels in 100 kB."""
    raw = zlib.compress(bytes(60_001) * 3000, 9)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    _preview(folder, b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", raw) + chunk(b"IEND", b""))


@hostile
def preview_elsewhere(folder: Path) -> None:
    """A preview whose series is a path that leads out of the reviewer's site."""
    _preview(folder, None, uid="../../../escaped")


@hostile
def preview_with_text(folder: Path) -> None:
    """A preview with a chunk of text in it."""
    shard = next((folder / "previews").iterdir())
    data = pq.read_table(shard)["image"][0].as_py()["bytes"]
    text = b"tEXtComment\0A NAME"
    chunk = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
    _preview(folder, data[:33] + chunk + data[33:])


def _preview(folder: Path, data: bytes | None, uid: str | None = None) -> None:
    (shard,) = (folder / "previews").iterdir()
    table = pq.read_table(shard)
    rows = table.to_pylist()
    for row in rows[:1]:
        row["SeriesInstanceUID"] = uid or row["SeriesInstanceUID"]
        row["image"] = {"bytes": data or row["image"]["bytes"], "path": f"{row['SeriesInstanceUID']}.png"}
    shard.unlink()
    temporary = folder / "shard"
    pq.write_table(pa.Table.from_pylist(rows, table.schema), temporary, compression="none")
    temporary.rename(folder / "previews" / f"{sha256_file(temporary)}.parquet")
    reseal(folder)


@hostile
def negative_places(folder: Path) -> None:
    """Sizes and offsets below zero."""
    rewrite(folder, "instances", offset_bytes=lambda _: -5, size_bytes=lambda _: -1)


@hostile
def endless_sizes(folder: Path) -> None:
    """An instance of eight exabytes."""
    rewrite(folder, "instances", size_bytes=lambda _: (1 << 63) - 1)


@hostile
def device_as_pack(folder: Path) -> None:
    """A pack that never ends."""
    rewrite(folder, "instances", pack=lambda _: "/dev/zero")


@hostile
def local_file_as_pack(folder: Path) -> None:
    """A pack that is a private file of who reads the release."""
    rewrite(folder, "instances", pack=lambda _: "../secret.txt")


@hostile
def pipe_as_pack(folder: Path) -> None:
    """A pack that is a pipe without a writer."""
    (pack,) = (folder / "packs").rglob("*.parquet")
    pack.unlink()
    os.mkfifo(pack)


@hostile
def pipes_everywhere(folder: Path) -> None:
    """Pipes in the place of what signs."""
    for name in ("keys.json", "approvals.json", "checkpoint.txt"):
        (folder / "attestations" / name).unlink()
        os.mkfifo(folder / "attestations" / name)


@hostile
def link_out(folder: Path) -> None:
    """A table that is a link to elsewhere."""
    path = folder / "manifest" / "evidence.parquet"
    other = folder.parent / "elsewhere.parquet"
    path.rename(other)
    path.symlink_to(other)


@hostile
def linked_folder(folder: Path) -> None:
    """A folder of the release that is a link to elsewhere."""
    other = folder.parent / "elsewhere"
    (folder / "manifest").rename(other)
    (folder / "manifest").symlink_to(other)


def _named(folder: Path, name: str) -> None:
    reseal(folder, files={name: {"sha256": hashlib.sha256().hexdigest(), "size_bytes": 0}})


@hostile
def name_of_300_characters(folder: Path) -> None:
    """A file whose name no system takes."""
    _named(folder, "packs/" + "x" * 300 + ".parquet")


@hostile
def dotted_names(folder: Path) -> None:
    """A file that lies above the release."""
    _named(folder, "packs/../../secret.txt")


@hostile
def empty_name(folder: Path) -> None:
    """A file without a name."""
    _named(folder, "")


@hostile
def half_a_character(folder: Path) -> None:
    """A name with half of a surrogate pair."""
    half = '"files":{"\\ud800":{"sha256":"","size_bytes":1},'
    text = (folder / "release.json").read_text()
    (folder / "release.json").write_text(text.replace('"files":{', half, 1))


@hostile
def deep_json(folder: Path) -> None:
    """A release.json of 100,000 levels."""
    text = (folder / "release.json").read_text()
    (folder / "release.json").write_text('{"deep":' + "[" * 100_000 + "]" * 100_000 + "," + text[1:])


@hostile
def large_release_json(folder: Path) -> None:
    """A release.json of 200 MB."""
    with (folder / "release.json").open("r+b") as file:
        file.truncate(200 << 20)


@hostile
def other_kinds(folder: Path) -> None:
    """Values of release.json of other kinds than they are."""
    reseal(folder, counts={"studies": "many", "series": -1}, statements=[{}], profile={"dates": ["x"]})


@hostile
def no_counts(folder: Path) -> None:
    """A release.json that counts nothing, and says odd things of the world around."""
    reseal(folder, counts={}, outside=[1], privacy="none", recut=7, previous="x")


@hostile
def aliases(folder: Path) -> None:
    """A card and a citation whose YAML expands to gigabytes."""
    steps = "".join(f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    bomb = f"a: &a [x,x,x,x,x,x,x,x,x]\n{steps}configs: *i\nabstract: *i\ncurate:\n  counts: *i\n"
    (folder / "README.md").write_text(f"---\n{bomb}---\n\nText.\n")
    (folder / "CITATION.cff").write_text(bomb)
    reseal(folder)


@hostile
def deep_evidence(folder: Path) -> None:
    """Evidence of 50,000 levels."""
    rewrite(folder, "evidence", payload=lambda _: "[" * 50_000)


@hostile
def odd_evidence(folder: Path) -> None:
    """Evidence that counts texts."""
    rewrite(folder, "evidence", payload=lambda _: json.dumps({"warnings": {ESCAPE: "x"}, "applied": [1]}))


@hostile
def escapes(folder: Path) -> None:
    """Control characters in all that a terminal may show."""
    (folder / f"extra {ESCAPE}").write_text("")
    reseal(folder, title=ESCAPE, publisher=ESCAPE, tool=ESCAPE, statements=[ESCAPE])


@hostile
def undecodable_name(folder: Path) -> None:
    """A file more, whose name is no text."""
    (Path(os.fsdecode(os.fsencode(folder) + b"/\xff\x1b[2J"))).write_text("")


@hostile
def page_heads_that_lie(folder: Path) -> None:
    """A pack whose pages' heads are noise."""
    (pack,) = (folder / "packs").rglob("*.parquet")
    data = bytearray(pack.read_bytes())
    data[4:24] = b"\xff" * 20
    pack.write_bytes(data)
    reseal(folder)


def names() -> Iterator[str]:
    """The hostile releases."""
    yield from HOSTILE
