"""`zenodo://` as a target: texts and counts of a release under its DOI, for ever; nothing about a person."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from curate import contract, licenses
from curate.core import resources, versions
from curate.core.digests import canonical_json
from curate.core.errors import HubError, RefusedError
from curate.core.progress import Progress, silent
from curate.core.records import FileEntry
from curate.hub.protocol import RELEASE_FILE, Contents, Published, Purged, Settings, UploadPlan, contents_of
from curate.hub.retry import Patience
from curate.hub.zenodo import records
from curate.hub.zenodo.records import Description

_TEXTS = ("README.md", "CHANGELOG.md", "CITATION.cff", "datacite.json")


@dataclass(frozen=True, slots=True)
class ZenodoHub:
    """Zenodo, its sandbox, or another InvenioRDM (`ZENODO_ENDPOINT`); it never gets a row about a person."""

    patience: Patience
    can_erase: bool = False

    @property
    def url(self) -> str:
        """The target as a URL."""
        return "zenodo://"

    def plan(self, release: Path, previous: Path | None = None) -> UploadPlan:
        """What `publish` would send; no connection."""
        del previous
        version, files = contents_of(release).version, files_of(release)
        entries = (FileEntry(name, len(data), hashlib.sha256(data).hexdigest()) for name, data in sorted(files.items()))
        return UploadPlan(versions.tag(version), tuple(entries), (), ())

    def publish(
        self,
        release: Path,
        *,
        settings: Settings | None = None,
        expected: Contents | None = None,
        progress: Progress = silent,
    ) -> Published:
        """Publish the record whose DOI the release bears; a second run finds it published.

        Raises:
            RefusedError: the release bears no DOI.
            HubError: Zenodo refuses, fails, or holds other files.
        """
        del settings  # a record is public
        contents, sealed = contents_of(release, expected), json.loads((release / RELEASE_FILE).read_bytes())
        doi = sealed.get("outside", {}).get("doi")
        if not doi:
            raise RefusedError(
                f"Release {contents.version} bears no DOI.",
                hint="Reserve one before the cut: curate release ARCHIVE --doi zenodo://",
            )
        files = files_of(release)
        found = records.find(doi, patience=self.patience)
        already = found.published
        done = records.deposit(found, described(sealed), files, patience=self.patience)
        size = sum(map(len, files.values()))
        progress.add(size_bytes=size)
        sent = (0, 0, len(files)) if already else (len(files), size, 0)
        return Published(self.url, contents.tag, done.doi, *sent, already)

    def versions(self) -> tuple[str, ...]:
        """Not known: an account's records are of many archives."""
        return ()

    def holds(self, version: str) -> dict[str, FileEntry]:
        """Refused: a record is asked for by its DOI."""
        raise _unlike(version)

    def read(self, version: str, path: str, offset: int = 0, length: int | None = None) -> bytes:
        """Refused: a record is asked for by its DOI."""
        del path, offset, length
        raise _unlike(version)

    def purge(self, recuts: Mapping[str, Path], *, drop: Collection[str] = (), progress: Progress = silent) -> Purged:
        """Nothing is there to erase: no row about a person is ever sent."""
        del recuts, drop, progress
        return Purged((), (), 0, 0, ())

    def readers(self) -> Settings:
        """Everybody."""
        return Settings(private=False)

    def close_to_readers(self) -> Settings:
        """Nothing about a person is there; a published record stays."""
        return self.readers()

    def open_to_readers(self, settings: Settings) -> None:
        """It is always open."""


def _unlike(version: str) -> HubError:
    return HubError(
        f"zenodo:// holds no {versions.tag(version)} that could be read from here.",
        hint="Look the DOI up at https://doi.org, or read the release from its own hub.",
    )


def files_of(release: Path) -> dict[str, bytes]:
    """The record's files: texts, licences, data dictionary, audited counts, the digest of `release.json`."""
    found = {name: (release / name).read_bytes() for name in _TEXTS}
    found["TERMS.md"] = (release / licenses.TERMS_PATH).read_bytes()
    for path in sorted((release / licenses.FOLDER).glob("*.txt")):
        found[f"LICENSE-{path.name}"] = path.read_bytes()
    for table in (*contract.MANIFEST_TABLES, "images", "previews"):
        found[f"dictionary-{table}.json"] = resources.manifest_text(f"{table}.json").encode()
    sealed = (release / RELEASE_FILE).read_bytes()
    content = json.loads(sealed)
    counts = {name: content[name] for name in ("version", "date", "contract", "population", "counts")}
    found["counts.json"] = (canonical_json(counts) + "\n").encode()
    found["release.sha256"] = f"{hashlib.sha256(sealed).hexdigest()}  {RELEASE_FILE}\n".encode()
    return found


def described(sealed: Mapping[str, Any]) -> Description:
    """What the record says of a release."""
    repository = sealed.get("outside", {}).get("repository")
    spdx = sorted(
        Path(path).stem for path in sealed["files"] if path.startswith(f"{licenses.FOLDER}/") and path.endswith(".txt")
    )
    return Description(
        title=sealed["title"],
        creators=(sealed["publisher"],),
        publisher=sealed["publisher"],
        description=(
            "Card, licences, data dictionary, audited counts and digest of a release of de-identified DICOM studies."
            " The release itself lies where it can be cut again when a donor withdraws."
        ),
        released=date.fromisoformat(sealed["date"]),
        version=sealed["version"],
        licenses=tuple(spdx),
        urls=(f"https://huggingface.co/datasets/{repository}",) if repository else (),
        keywords=("DICOM", "medical imaging", "open data", "de-identified"),
    )
