"""A small release on disk with a real CT and a real MR in its packs, and the summary that describes it."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from PIL import Image
from pydicom.data import get_testdata_file

from curate import contract, licenses
from curate.core.records import ArchiveInfo, FileEntry, ReleaseSummary, VersionChange
from curate.describe import card, changelog, citation, croissant, datacite

VERSION = "1.2.0"
SAMPLES = ("CT_small.dcm", "MR_small.dcm")
LICENSES = ("CC-BY-4.0", "CC0-1.0")
INFO = ArchiveInfo(
    title='Imatges | <b>obertes</b> de *prova*: "1" & més',
    publisher="Hospital de la Prova & Co",
    license="CC-BY-4.0",
    population="test",
    description="Two studies.\n---\nlicense: mit",
    contact="open@example.org",
    homepage="https://example.org/archive",
)


def build(root: Path, *, references: int = 1) -> ReleaseSummary:
    """Write tables, packs, previews, licences and descriptions under `root`."""
    samples = [Path(str(get_testdata_file(name))).read_bytes() for name in SAMPLES]
    rows = tables(samples, references)
    for name in contract.MANIFEST_TABLES:
        path = root / "manifest" / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        contract.write_table(name, path, [contract.to_arrow(name, rows[name])])
    for index, row in enumerate(rows["images"]):
        write_media("images", [row], root / "packs" / f"{index:02x}" / f"{index:064x}.parquet")
    write_media("previews", rows["previews"], root / "previews" / "0000.parquet")
    for path, content in licenses.release_files(LICENSES).items():
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_bytes(content)
    return describe(root, {name: len(found) for name, found in rows.items()})


def describe(root: Path, table_rows: dict[str, int], **changes: Any) -> ReleaseSummary:
    """Write the descriptions of what lies under `root`."""
    summary = summarise(entries(root), table_rows)
    summary = replace(summary, **changes)
    for name, text in (
        ("README.md", card.card(summary)),
        ("croissant.json", croissant.croissant_json(summary)),
        ("CITATION.cff", citation.citation_cff(summary)),
        ("CHANGELOG.md", changelog.changelog(summary)),
        ("datacite.json", datacite.datacite_json(summary)),
    ):
        (root / name).write_text(text, encoding="utf-8", newline="\n")
    return summary


def entries(root: Path) -> tuple[FileEntry, ...]:
    """The data files and licences under `root` as `release.json` lists them."""
    found = sorted(p for p in root.rglob("*") if p.is_file() and p.parent != root)
    return tuple(
        FileEntry(p.relative_to(root).as_posix(), p.stat().st_size, hashlib.sha256(p.read_bytes()).hexdigest())
        for p in found
    )


def summarise(files: tuple[FileEntry, ...], table_rows: dict[str, int]) -> ReleaseSummary:
    """A summary with something in each of its parts."""
    return ReleaseSummary(
        archive=INFO,
        version=VERSION,
        released=date(2026, 3, 4),
        previous_version="1.1.0",
        table_rows=table_rows,
        donor_count=2,
        size_bytes=sum(f.size_bytes for f in files),
        license_counts={"CC0-1.0": 1, "CC-BY-4.0": 1},
        modality_counts={"MR": 1, "CT": 1},
        tables={"sex": {"F": 1234, "M": None}},
        files=files,
        added=1,
        history=(VersionChange("1.1.0", date(2026, 2, 1), added=1),),
        repository="org/imatges",
        data_use=("DUO:0000042", "DUO:0000046"),
        responsible={"dataBiases": "One hospital."},
        statements=("Test material is exempt from the rules on disclosure.",),
    )


def tables(samples: list[bytes], references: int) -> dict[str, list[dict[str, Any]]]:
    """Rows of every table of the contract for two studies of one series of one instance each."""
    keys = [
        {
            "study_id": f"2.25.{n}1",
            "donor_id": f"donor{n}",
            "SeriesInstanceUID": f"2.25.{n}2",
            "SOPInstanceUID": f"2.25.{n}3",
            "license": LICENSES[n - 1],
            "release_version": VERSION,
        }
        for n in (1, 2)
    ]
    refer = keys[0] | {"Modality": "SEG", "referenced_study_id": "2.25.11"}
    refer |= {"ReferencedSeriesInstanceUID": "2.25.12"}
    digests = [hashlib.sha256(s).digest() for s in samples]
    png = io.BytesIO()
    Image.new("L", (8, 6), 99).save(png, "PNG")
    return {
        "studies": [
            row("studies", keys[0], sex="F", age_low_years=40, modalities=["CT"]),
            row("studies", keys[1]),
        ],
        "series": [row("series", keys[0], Rows=128, SliceThickness=5.0), row("series", keys[1])],
        "instances": [row("instances", k, sha256=d) for k, d in zip(keys, digests, strict=True)],
        "references": [row("references", refer)] * references,
        "evidence": [row("evidence", k) for k in keys],
        "revocations": [row("revocations", {}, sha256_of_sha256=hashlib.sha256(digests[1]).digest())],
        "images": [row("images", k, dicom={"bytes": s, "path": "i.dcm"}) for k, s in zip(keys, samples, strict=True)],
        "previews": [row("previews", k, image={"bytes": png.getvalue(), "path": "p.png"}) for k in keys],
    }


def row(table: str, keys: dict[str, Any], **values: Any) -> dict[str, Any]:
    """A row of a table; a column that is not given is null, or plain where it must not be."""
    return {c.name: (keys | values).get(c.name, _plain(c)) for c in contract.table(table).columns}


def _plain(column: contract.Column) -> Any:
    if column.nullable:
        return None
    return {"string": "x", "bool": False, "binary(32)": bytes(32), "float64": 0.5}.get(
        column.type, [] if column.type.startswith("list") else 3
    )


def write_media(table: str, rows: list[dict[str, Any]], path: Path) -> None:
    """A pack or a shard of previews, as plain Parquet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(contract.to_arrow(table, rows), path)
