"""The body of the dataset card: what a release is, how to load, read, cite and verify it."""

from __future__ import annotations

from curate import contract, licenses
from curate.describe import citation, layout, markup
from curate.describe.markup import code, escape, table
from curate.records import ReleaseSummary

COUNTS_HEADING = "## What is in it"
LICENSES_HEADING = "## Licences"
TEST_MATERIAL = "**This is test material** (phantoms, samples)"
FOLDER = "path/to/this/folder"
_ROW = {
    "studies": "a study",
    "series": "a series",
    "instances": "an instance: its digest, and where its bytes lie",
    "references": "a series and one that it refers to",
    "evidence": "how a study was anonymised",
    "revocations": "a withdrawn instance",
    "images": "an instance's DICOM bytes",
    "previews": "a small picture of a series",
}


def body(summary: ReleaseSummary) -> str:
    """The card below its YAML."""
    sections = [
        _head(summary),
        _population(summary),
        _counts(summary),
        *_tables(summary),
        _load(summary),
        _pixels(summary),
        _person(),
        _licenses(summary),
        _terms(summary),
        _withdrawal(),
        _verify(),
        _cite(summary),
    ]
    return "\n\n".join("\n".join(lines) for lines in sections) + "\n"


def _head(summary: ReleaseSummary) -> list[str]:
    archive = summary.archive
    lines = [f"# {escape(archive.title)}", ""]
    for notice in summary.notices:
        lines += [f"> **Notice.** {escape(notice)}", ""]
    lines += [
        f"Version **{summary.version}**, released {summary.released.isoformat()} by {escape(archive.publisher)}.",
    ]
    if archive.description:
        lines += ["", escape(archive.description)]
    lines += [
        "",
        "De-identified DICOM studies with the minimum that research needs: age band, sex, anatomical region, "
        "diagnosis category. Tables are Parquet; the images are DICOM Part 10 files inside Parquet packs.",
    ]
    for statement in summary.statements:
        lines += ["", escape(statement)]
    return lines


def _population(summary: ReleaseSummary) -> list[str]:
    lines = ["## Whose images these are", ""]
    if summary.archive.population == "test":
        lines.append(
            f"{TEST_MATERIAL}, not studies that patients donated. The rules against the "
            "disclosure of persons were not applied to it. Do not draw medical conclusions from it."
        )
    else:
        lines.append(
            f"Studies of {_number(summary.donor_count, 'person', 'persons')}, donated for research after their "
            "clinical use had ended, each under a licence that its donor chose, and anonymised before they "
            "reached the archive or by it."
        )
    return lines


def _counts(summary: ReleaseSummary) -> list[str]:
    who = "a test object" if summary.archive.population == "test" else "a person"
    rows = [["donors", f"{summary.donor_count:,}", who]]
    for name in layout.TABLES:
        if name in summary.table_rows:
            rows.append([name, f"{summary.table_rows[name]:,}", _ROW[name]])
    lines = [COUNTS_HEADING, "", *table(("Table", "Rows", "One row is"), rows), ""]
    lines.append(f"Together {summary.size_bytes:,} bytes.")
    if summary.modality_counts:
        listed = ", ".join(f"{escape(m)} {n:,}" for m, n in sorted(summary.modality_counts.items()))
        lines[-1] += f" Studies by modality (a study may have several): {listed}."
    if summary.previous_version:
        lines += [
            "",
            f"Against {summary.previous_version}: {summary.added:,} studies added, {summary.removed:,} removed, "
            f"{summary.changed:,} changed. See [CHANGELOG.md](CHANGELOG.md).",
        ]
    return lines


def _tables(summary: ReleaseSummary) -> list[list[str]]:
    """The audited counts; one that was hidden, so that nobody is singled out, says so."""
    sections = []
    for name, cells in sorted(summary.tables.items()):
        title = escape(name.replace("_", " "))
        rows = [
            [escape(str(value)), "hidden" if count is None else f"{count:,}"]
            for value, count in cells.items()
        ]
        sections.append([f"### Studies by {title}", "", *table((title.capitalize(), "Studies"), rows)])
    return sections


def _load(summary: ReleaseSummary) -> list[str]:
    tag = f"v{summary.version}"
    lines = ["## Load it", ""]
    if markup.is_repository(summary.repository):
        lines += [
            "From the Hub, by the version's tag:",
            "",
            "```python",
            "from datasets import load_dataset",
            "",
            f'studies = load_dataset("{summary.repository}", "studies", revision="{tag}")["train"]',
            "```",
            "",
            "`datasets` answers from its cache when the Hub does not answer, without saying so; `curate.load` "
            "compares the version that it got with the one asked for:",
            "",
            "```python",
            "import curate",
            "",
            f'studies = curate.load("{summary.repository}", "studies", version="{summary.version}")',
            "```",
            "",
        ]
    lines += [
        "From a downloaded folder:",
        "",
        "```python",
        "from datasets import load_dataset",
        "",
        f'studies = load_dataset("{FOLDER}", "studies")["train"]',
        "```",
        "",
        f"The configs are {_configs(summary)}. `streaming=True` reads only what you iterate over. "
        "All rows are in one split, `train`: split by the column `fold` (0 to 9), which keeps a donor on one "
        "side and never changes.",
    ]
    return lines


def _configs(summary: ReleaseSummary) -> str:
    names = ", ".join(code(name) for name in layout.configs(summary.files, summary.table_rows))
    empty = [n for n in contract.CONFIGS if n not in layout.configs(summary.files, summary.table_rows)]
    return names + (f" (this version has no rows for {', '.join(map(code, empty))})" if empty else "")


def _pixels(summary: ReleaseSummary) -> list[str]:
    lines = ["## From a row to pixels", ""]
    if not layout.files_of("images", summary.files):
        return [*lines, "This version holds no images."]
    return [
        *lines,
        "```python",
        "import io",
        "",
        "import pydicom",
        "from datasets import load_dataset",
        "",
        f'images = load_dataset("{FOLDER}", "images", split="train", streaming=True)',
        "row = next(iter(images))",
        'dataset = pydicom.dcmread(io.BytesIO(row["dicom"]["bytes"]))',
        'pixels = dataset.pixel_array if "PixelData" in dataset else None',
        "```",
        "",
        "Compressed transfer syntaxes need a decoder, such as `pylibjpeg` or `python-gdcm`. Join on `study_id` "
        "to `studies` for age band, sex, region and diagnosis. Each instance also lies in one piece at "
        "`offset_bytes` of its `pack` (table `instances`): one range request reads it.",
    ]


def _person() -> list[str]:
    rows = [
        [code(column.name), escape(column.description), escape(column.why)]
        for name in ("studies", "series")
        for column in contract.table(name).columns
        if column.role == "quasi-identifier"
    ]
    lines = ["## What is published about a person", ""]
    lines.append(
        "Only these columns say anything that others could know of a person or a place. All else is an "
        "identifier new to the archive or describes a file. Names, dates, addresses, numbers of records and "
        "free text were removed, in the images' headers too (DICOM PS3.15 Annex E); dates are rebased, so that "
        "a donor's first study falls on 2000-01-01 and only intervals are left."
    )
    return [*lines, "", *table(("Column", "What it says", "Why it counts"), rows)]


def _licenses(summary: ReleaseSummary) -> list[str]:
    rows = []
    for spdx_id, count in sorted(summary.license_counts.items()):
        entry = licenses.get(spdx_id)
        rows.append(
            [
                f"[{spdx_id}]({entry.path})",
                f"{count:,}",
                "yes" if entry.commercial_use else "no",
                "yes" if entry.derivatives else "no",
                "yes" if entry.attribution else "no",
                "yes" if entry.share_alike else "no",
            ]
        )
    header = ("Licence", "Studies", "Commercial use", "Derivatives", "Attribution asked", "Share alike asked")
    lines = [LICENSES_HEADING, "", "Each row bears its licence in `license`.", "", *table(header, rows)]
    database = [s for s in sorted(summary.license_counts) if not licenses.get(s).covers_contents]
    if database:
        lines += ["", f"{', '.join(database)} covers the database, not rights in its single images."]
    return lines


def _terms(summary: ReleaseSummary) -> list[str]:
    contact = summary.archive.contact
    lines = [
        "## Terms",
        "",
        "Apart from the licence, [TERMS.md](TERMS.md) asks: make no attempt to identify or contact anyone, and "
        "report a suspected identification.",
    ]
    if contact:
        lines[-1] += f" Report to {escape(contact)}."
    if summary.gated:
        lines[-1] += " Reading this release asks that you accept them."
    return lines


def _withdrawal() -> list[str]:
    return [
        "## Withdrawal",
        "",
        "A donor may withdraw at any time, without a reason. The next version is then without the study, and "
        "so is every earlier version that stays available. `manifest/revocations.parquet` lists the SHA-256 of "
        "the SHA-256 of each withdrawn instance: compare it with your copies, and delete what matches.",
        "",
        "```python",
        "import hashlib",
        "",
        "import pyarrow.parquet as pq",
        "",
        f'revoked = set(pq.read_table("{FOLDER}/manifest/revocations.parquet")["sha256_of_sha256"].to_pylist())',
        f'mine = pq.read_table("{FOLDER}/manifest/instances.parquet")["sha256"].to_pylist()',
        "gone = [digest.hex() for digest in mine if hashlib.sha256(digest).digest() in revoked]",
        "```",
    ]


def _verify() -> list[str]:
    return [
        "## Verify it",
        "",
        "`release.json` has the size and SHA-256 of every file; its own SHA-256 names the release. "
        "This proves files, tables, images and this card from the release's own bytes:",
        "",
        "```sh",
        f"curate check {FOLDER}",
        "```",
    ]


def _cite(summary: ReleaseSummary) -> list[str]:
    address = citation.url(summary)
    return [
        "## Cite it",
        "",
        escape(citation.sentence(summary)) + (f" <{address}>" if address else ""),
        "",
        "```bibtex",
        citation.bibtex(summary),
        "```",
        "",
        "[CITATION.cff](CITATION.cff) has the same for tools; [CHANGELOG.md](CHANGELOG.md) says what each version "
        "changed.",
    ]


def _number(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"
