"""What is joined to rows while they pass: labels of their study, and a look at each image's digest."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import datasets
import pyarrow as pa

from curate import contract
from curate.core.errors import HubError, InputError
from curate.loading.manifest_tables import Digests, read_table
from curate.loading.source import Source

LABELS = (
    "donor_id", "fold", "age_low_years", "age_high_years", "sex", "region_codes", "region", "region_group",
    "laterality", "diagnosis_code", "diagnosis_title", "diagnosis_level", "diagnosis_basis",
)  # fmt: skip


@dataclass
class Check:
    """Compares each image with the digest that the manifest states; reads of the manifest what it needs."""

    source: Source
    _digests: Digests | None = field(default=None, repr=False)

    def __call__(self, rows: pa.Table) -> pa.Table:
        """The rows as they came.

        Raises:
            HubError: the bytes of one are not those that were published.
        """
        if self._digests is None:
            self._digests = Digests(self.source)
        studies, instances = rows["study_id"].to_pylist(), rows["SOPInstanceUID"].to_pylist()
        for study, instance, image in zip(studies, instances, rows["dicom"], strict=True):
            data = image["bytes"].as_buffer()
            if hashlib.sha256(data).digest() != self._digests.of(study, instance):
                raise HubError(
                    f"Instance {instance} arrived otherwise than it was published.",
                    hint="Load it again; tell the archive if it stays.",
                )
        return rows

    def __getstate__(self) -> dict[str, Any]:
        """A worker opens the manifest itself."""
        return {"source": self.source, "_digests": None}


def checked(dataset: Any, source: Source) -> Any:
    """A streamed dataset of images that refuses one whose bytes are not the published ones."""
    if isinstance(dataset, dict):
        return type(dataset)({name: checked(part, source) for name, part in dataset.items()})
    if not {"study_id", "SOPInstanceUID", "dicom"} <= set(dataset.features or ()):
        return dataset  # the caller asked for other columns
    return _mapped(dataset, Check(source), dataset.features)


@dataclass(frozen=True)
class _Stays:
    """Whether a row's study was not withdrawn."""

    gone: frozenset[str]

    def __call__(self, study: str) -> bool:
        return study not in self.gone


def without(dataset: Any, gone: frozenset[str]) -> Any:
    """A dataset without the rows of these studies.

    Raises:
        InputError: its rows do not say of which study they are.
    """
    if isinstance(dataset, dict):
        return type(dataset)({name: without(part, gone) for name, part in dataset.items()})
    names = set(dataset.features or ())
    if "sha256_of_sha256" in names:
        return dataset  # revocations
    if "study_id" not in names:
        raise InputError("What was withdrawn is left out by study_id.", hint="Leave that column among `columns`.")
    if isinstance(dataset, datasets.IterableDataset):
        return dataset.filter(_Stays(gone), input_columns="study_id")
    return dataset.select([n for n, study in enumerate(dataset["study_id"]) if study not in gone])


def _mapped(dataset: Any, function: Any, features: Any) -> Any:
    """A function over Arrow rows, one at a time; `map(features=)` would keep a later cast from decoding."""
    made = dataset.with_format("arrow").map(function, batched=True, batch_size=1)
    return made.with_format(None).cast(datasets.Features(features))


@dataclass
class _Labels:
    """The labels of each study, read when the first row asks for them."""

    source: Source
    names: tuple[str, ...]
    _rows: dict[str, int] = field(default_factory=dict, repr=False)
    _table: pa.Table | None = field(default=None, repr=False)

    def table(self) -> pa.Table:
        """The studies' label columns; `place` finds a study's row."""
        if self._table is None:
            table = read_table(self.source, "studies", ("study_id", *self.names))
            self._rows = {study: n for n, study in enumerate(table["study_id"].to_pylist())}
            self._table = table.drop_columns(["study_id"])
        return self._table

    def place(self, study: str) -> int:
        """The row of a study.

        Raises:
            HubError: the release contradicts itself.
        """
        self.table()
        if study not in self._rows:
            raise HubError(f"Study {study} has no row in studies.", hint="Run `curate check` on the release.")
        return self._rows[study]

    def taken(self, studies: Any) -> pa.Table:
        """The labels of studies, row by row."""
        rows = pa.array([self.place(study) for study in studies], pa.int64())
        return self.table().take(rows).cast(schema(self.names))

    def __call__(self, rows: pa.Table) -> pa.Table:
        """The rows with their labels."""
        for name, column in zip(self.names, self.taken(rows["study_id"].to_pylist()).columns, strict=True):
            rows = rows.append_column(name, column)
        return rows

    def __getstate__(self) -> dict[str, Any]:
        """A worker reads the table itself."""
        return {"source": self.source, "names": self.names, "_rows": {}, "_table": None}


def labelled(dataset: Any, source: Source) -> Any:
    """A dataset with the labels of each row's study; no image byte is copied.

    Raises:
        InputError: its rows name no study.
    """
    if isinstance(dataset, dict):
        return type(dataset)({name: labelled(part, source) for name, part in dataset.items()})
    held = dataset.features or {}
    if "study_id" not in held:
        raise InputError("Labels need the column study_id.", hint="Leave it among `columns`.")
    labels = _Labels(source, tuple(name for name in LABELS if name not in held))
    if isinstance(dataset, datasets.IterableDataset):
        added = datasets.Features.from_arrow_schema(schema(labels.names))
        return _mapped(dataset, labels, {**held, **added})
    columns = datasets.Dataset(labels.taken(dataset["study_id"]))
    return datasets.concatenate_datasets([dataset, columns], axis=1)


def schema(names: Sequence[str]) -> pa.Schema:
    """The types of label columns, as the contract has them."""
    return pa.schema([contract.table("studies").column(name).arrow for name in names])
