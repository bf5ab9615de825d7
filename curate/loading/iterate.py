"""`curate.volumes`: a release's series one by one as labelled volumes, for a training loop; torch if asked."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, get_args

from curate.core.errors import InputError
from curate.loading import join, manifest_tables, ranges, trusted
from curate.loading.ranges import Wanted
from curate.loading.select import TABLES, select
from curate.loading.source import Source
from curate.loading.volume import volume

Series = tuple[Wanted, ...]
Unreadable = Literal["stop", "skip"]


@dataclass(frozen=True, slots=True, eq=False)
class Volumes:
    """An iterable of dictionaries, one a series: ids, `array`, `affine`, `unit`, `spacing_mm`, and labels.

    Each pass reads anew, by verified range requests, one series at a time. Within a worker of PyTorch's
    `DataLoader` it gives that worker's share; `shard` gives a share otherwise. `unreadable` says whether a series
    that forms no volume stops the pass, or is left out with a warning that names it.
    """

    source: Source
    series: tuple[Series, ...]
    labels: dict[str, dict[str, Any]]
    unreadable: Unreadable = "stop"

    def __len__(self) -> int:
        """How many series there are."""
        return len(self.series)

    def shard(self, index: int, count: int) -> Volumes:
        """Every `count`-th series from `index` on."""
        return replace(self, series=self.series[index::count])

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The volumes.

        Raises:
            InputError: a series forms no volume, and such a one is not to be left out.
            HubError: the hub fails, or serves other bytes than were published.
        """
        for one in self.shard(*_worker()).series:
            try:
                found = self._read(one)
            except InputError as error:
                if self.unreadable == "stop":
                    raise
                warnings.warn(f"Left out: {error.message}", UserWarning, stacklevel=2)
                continue
            yield found

    def _read(self, series: Series) -> dict[str, Any]:
        data = [part for span in ranges.spans(series) for _, part in ranges.read_span(self.source, span)]
        try:
            found = volume(data)
        except InputError as error:
            uid, said = series[0].series, error.message
            raise InputError(
                said if uid in said else f"Series {uid}: {said}",
                hint="Choose by the column regular_volume: where=\"Modality = 'CT' AND regular_volume\".",
            ) from None
        return {
            "study_id": series[0].study,
            "SeriesInstanceUID": series[0].series,
            "array": found.array,
            "affine": found.affine,
            "unit": found.unit,
            "spacing_mm": found.spacing_mm,
            **self.labels[series[0].study],
        }


def volumes(
    reference: str | Path,
    *,
    where: str | None = None,
    version: str | None = None,
    labels: bool = True,
    torch: bool = False,
    unreadable: Unreadable = "stop",
    key: str = "",
) -> Any:
    """The series that `where` chooses, as an iterable of labelled volumes; of tensors with `torch`.

    `where` is a condition as for `fetch`, such as `regular_volume AND Modality = 'CT' AND fold < 8`. With
    `torch` it is a `torch.utils.data.IterableDataset`; without it torch is not imported. A series that forms no
    volume stops the pass, naming it; with `unreadable="skip"` it is left out, with a warning that names it.
    The archive's key is pinned when it is first met; `key` is its public key, or a file with it.

    Raises:
        InputError: nothing is chosen, or the condition or `unreadable` cannot be used.
        HubError: the hub fails, or has no such version.
        UntrustedError: it is not signed by the key that is pinned for its archive, or given.
    """
    if unreadable not in get_args(Unreadable):
        raise InputError(f"unreadable cannot be {unreadable!r}.", hint='Use "stop" or "skip".')
    source = trusted.find(reference, version, key)
    rows = select(manifest_tables.local(source, *TABLES), where).to_pylist()
    wanted = sorted((Wanted.of(row) for row in rows), key=lambda one: (one.pack, one.offset))
    grouped = tuple(tuple(group) for _, group in groupby(wanted, key=lambda one: one.series))
    if not grouped:
        raise InputError("No series fulfils the condition.", hint="Look at the values in studies and series.")
    found = Volumes(source, grouped, _labels(source, {one.study for one in wanted}, labels), unreadable)
    if not torch:
        return found
    from curate.loading.tensors import Tensors

    return Tensors(found)


def _labels(source: Source, studies: set[str], wanted: bool) -> dict[str, dict[str, Any]]:
    """The labels of each study, or none."""
    if not wanted:
        return {study: {} for study in studies}
    table = manifest_tables.read_table(source, "studies", ("study_id", *join.LABELS))
    return {row.pop("study_id"): row for row in table.to_pylist() if row["study_id"] in studies}


def _worker() -> tuple[int, int]:
    """Which of how many workers of a DataLoader this is."""
    if "torch" not in sys.modules:
        return 0, 1
    from torch.utils.data import get_worker_info  # type: ignore[import-not-found,unused-ignore]

    found = get_worker_info()
    return (found.id, found.num_workers) if found else (0, 1)
