"""The account of an intake."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from curate.core.findings import Finding


@dataclass(slots=True)
class IntakeReport:
    """What became of every file: `files` = admitted + copies + quarantined + not instances.

    `admitted_instances` are in now, whether they were before or not, each counted once; `copies` are further files with
    exactly the bytes of one of these. Of the admitted, `joined_instances` came to `joined_studies`, which were there in
    part. `findings` are merged; `other` names what is no study's instance by its place and kind; `receipts` is the
    encrypted file to which the codes of `new_receipts` donations were added.
    """

    files: int = 0
    admitted_instances: int = 0
    copies: int = 0
    quarantined_instances: int = 0
    not_instances: int = 0
    joined_instances: int = 0
    admitted_studies: int = 0
    joined_studies: int = 0
    unchanged_studies: int = 0
    quarantined_studies: int = 0
    size_bytes: int = 0
    other: tuple[tuple[str, str], ...] = ()
    kinds: dict[str, int] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    new_receipts: int = 0
    receipts: Path | None = None

    @property
    def codes(self) -> dict[str, int]:
        """How often each rule was found, over all files."""
        counts: Counter[str] = Counter()
        for finding in self.findings:
            counts[finding.rule] += finding.count
        return dict(sorted(counts.items()))

    def unchanged(self) -> dict[str, Any]:
        """The same account, as plain data, of taking the same in once more: nothing is new then."""
        again = replace(
            self,
            unchanged_studies=self.unchanged_studies + self.admitted_studies + self.joined_studies,
            admitted_studies=0,
            joined_studies=0,
            joined_instances=0,
            size_bytes=0,
            new_receipts=0,
            receipts=None,
        )
        return asdict(again)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> IntakeReport:
        """The account that `unchanged` gave, after JSON."""
        told = dict(plain)
        told["other"] = tuple((place, kind) for place, kind in plain["other"])
        told["findings"] = tuple(Finding(**finding) for finding in plain["findings"])
        return cls(**told)
