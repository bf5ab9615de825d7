"""The dataset card, README.md: YAML that the Hub and `datasets` read, and a body for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from curate import contract, licenses
from curate.core.records import FileEntry, ReleaseSummary
from curate.describe import layout, markup
from curate.describe.body import body

SPLIT = "train"
TAGS = ("medical", "dicom", "medical-imaging", "radiology", "de-identified", "open-data")
_MODALITY_TAGS = {
    "CT": "ct",
    "MR": "mri",
    "PT": "pet",
    "US": "ultrasound",
    "MG": "mammography",
    "CR": "x-ray",
    "DX": "x-ray",
    "XA": "angiography",
    "NM": "nuclear-medicine",
    "SM": "pathology",
    "SEG": "segmentation",
}
_DTYPES = {"struct<bytes: binary, path: string>": "image"}


def card(summary: ReleaseSummary) -> str:
    """README.md of a release."""
    return f"---\n{markup.dump_yaml(front_matter(summary))}---\n\n{body(summary)}"


def front_matter(summary: ReleaseSummary) -> dict[str, Any]:
    """The YAML of the card, in its order; `curate` holds what `check` reads back."""
    used = sorted(summary.license_counts or (summary.archive.license,))
    license_id, license_name = licenses.hub_license(used)
    document: dict[str, Any] = {
        "pretty_name": markup.plain(summary.archive.title),
        "license": license_id,
    }
    if license_name:
        document["license_name"] = license_name
        document["license_link"] = licenses.OVERVIEW_PATH
    document["tags"] = tags(summary)
    document["size_categories"] = [size_category(summary.table_rows.get("instances", 0))]
    document["configs"] = configs(summary.version, summary.files, summary.table_rows)
    if summary.gated:
        document["extra_gated_heading"] = "Accept the terms of use to read this release"
        document["extra_gated_prompt"] = licenses.terms()
        document["extra_gated_fields"] = {"I accept the terms of use": "checkbox"}
        document["extra_gated_button_content"] = "Accept"
    document["curate"] = {
        "version": summary.version,
        "contract": contract.VERSION,
        "released": summary.released.isoformat(),
        "population": summary.archive.population,
        "counts": counts(summary),
        "licenses": {name: summary.license_counts[name] for name in sorted(summary.license_counts)},
    }
    return document


def tags(summary: ReleaseSummary) -> list[str]:
    """Words that people search the Hub for, the modalities' among them."""
    found = (_MODALITY_TAGS.get(modality, "") for modality in sorted(summary.modality_counts))
    return [*TAGS, *sorted({tag for tag in found if tag})]


def counts(summary: ReleaseSummary) -> dict[str, int]:
    """Donors, and rows of each table."""
    return {"donors": summary.donor_count} | {
        name: summary.table_rows[name] for name in layout.TABLES if name in summary.table_rows
    }


def size_category(rows: int) -> str:
    """The Hub's class of a number of rows, such as `1K<n<10K`."""
    if rows < 1000:
        return "n<1K"
    names = ("1K", "10K", "100K", "1M", "10M", "100M", "1B", "10B", "100B", "1T")
    power = min(len(str(rows)) - 4, len(names) - 1)
    return f"{names[power]}<n<{names[power + 1]}" if power + 1 < len(names) else f"n>{names[-1]}"


def configs(version: str, files: Iterable[FileEntry], table_rows: Mapping[str, int]) -> list[dict[str, Any]]:
    """The configs that `load_dataset` offers, `studies` first and by default.

    Each bears a digest of its files: `datasets` keys its cache by the folder's name and the config, so without
    it two archives' folders `v1.0.0`, or a version and its re-cut, would be taken for the same data.
    """
    held = tuple(files)
    return [
        _config(name, version, layout.content(name, held), default=name == "studies")
        for name in layout.configs(held, table_rows)
    ]


def _config(name: str, version: str, content: str, *, default: bool) -> dict[str, Any]:
    config: dict[str, Any] = {"config_name": name, "version": version, "description": f"content {content}"}
    if default:
        config["default"] = True
    config["data_files"] = [{"split": SPLIT, "path": layout.pattern(name)}]
    if name == "previews":  # says that the bytes are to be decoded
        config["features"] = _features(contract.table(name))
    return config


def _features(table: contract.Table) -> list[Mapping[str, str]]:
    return [{"name": c.name, "dtype": _DTYPES.get(c.type, c.type)} for c in table.columns]
