"""The one place that finds the packaged `manifests/` and `licenses/`."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
CONTRACT_VERSION = "v1"


def root() -> Path:
    """The folder that holds `manifests/` and `licenses/`: inside the wheel, or the source tree."""
    packaged = _PACKAGE / "_data"
    return packaged if packaged.is_dir() else _PACKAGE.parent


def manifest_text(name: str) -> str:
    """The text of a file of the contract, such as `studies.json`."""
    return (root() / "manifests" / CONTRACT_VERSION / name).read_text(encoding="utf-8")


def license_path(name: str) -> Path:
    """The path of a file of `licenses/`, such as `catalogue.json` or `CC-BY-4.0.txt`."""
    return root() / "licenses" / name


def vocabulary_path(name: str) -> Path:
    """The path of a data file that a module of `curate` reads, such as `deid/data/profile.json`."""
    return _PACKAGE / name
