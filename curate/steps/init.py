"""`curate init`: make an archive."""

from __future__ import annotations

from pathlib import Path

from curate import hub, licenses
from curate.archive import config, config_schema, repository
from curate.core import durable, resources
from curate.core.errors import InputError
from curate.core.records import ArchiveInfo

EXAMPLE_TABLE = "studies.csv"
_EXAMPLE = ArchiveInfo(
    "Chest CT of Girona",
    "Hospital X",
    "CC-BY-4.0",
    description="CT, MR and X-ray studies that patients of Hospital X donated.",
    contact="data@hospital.example",
    homepage="https://hospital.example/data",
)


def init(
    root: Path,
    info: ArchiveInfo,
    *,
    hub_target: str = "",
    approvals: int = 1,
    under_passphrase: bool = False,
) -> Path:
    """Make an archive in a new or empty folder and return its path; its key under a passphrase if wanted.

    Raises:
        InputError: the folder is not empty, the licence is not in the catalogue, or the hub is none that we know.
    """
    licenses.get(info.license)
    if info.population not in ("persons", "test"):
        raise InputError("The population is neither persons nor test.", hint="Name one of the two.")
    if hub_target:
        hub.open_target(hub_target)  # refused now, not when the first release is to be published
    target = hub_target or (root.resolve().parent / f"{root.name}-hub").as_uri()
    repository.create(root, info, target, approvals, under_passphrase=under_passphrase)
    return root


def init_example(folder: Path) -> tuple[Path, ...]:
    """Write a sample `studies.csv` and `archive.toml`, with its schema, into a new or empty folder; no key is made.

    Raises:
        InputError: the folder is not empty.
        StorageError: it cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} exists and is not empty.", hint="Name a new folder.")
    table = resources.vocabulary_path("metadata/data/studies.example.csv").read_bytes()
    texts = {
        config.NAME: config.fresh(_EXAMPLE, "hf://ORG/NAME", 1).encode(),
        config.SCHEMA_NAME: config_schema.text().encode(),
        EXAMPLE_TABLE: table,
    }
    with durable.storage_errors(f"write to {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in texts.items():
            durable.write_bytes(folder / name, data)
    return tuple(folder / name for name in texts)
