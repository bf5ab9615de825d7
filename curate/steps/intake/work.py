"""What is gathered while a study's instances pass by."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from curate.archive import packs
from curate.core.findings import Finding
from curate.core.records import Row
from curate.dicom import series_references as references
from curate.donation import burned_in_annotation
from curate.donation.deface_plan import DefacePlan
from curate.keys.derivation import Keys
from curate.steps.intake.batch_state import Order
from curate.steps.intake.tasks import SourceInstance


@dataclass(slots=True)
class Work:
    """What is gathered while a study's instances pass by, the keys, and a folder for what is not finished."""

    keys: Keys
    scratch: Path
    digests: dict[str, bytes] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    facts: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    packs: list[tuple[Path, packs.Packed]] = field(default_factory=list)
    applied: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    refused: list[SourceInstance] = field(default_factory=list)
    headers: dict[str, tuple[Order, dict[str, Any]]] = field(default_factory=dict)
    order: list[Order] = field(default_factory=list)
    names: frozenset[str] = frozenset()
    references: list[references.Reference] = field(default_factory=list)
    previews: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    sources: set[bytes] = field(default_factory=set)
    refused_sources: set[bytes] = field(default_factory=set)
    already: int = 0
    size_bytes: int = 0
    looked: burned_in_annotation.Tally = field(default_factory=burned_in_annotation.Tally)
    came: dict[str, str] = field(default_factory=dict)
    places: dict[str, Row] = field(default_factory=dict)
    faces: DefacePlan = field(default_factory=DefacePlan)
    renumbered: bool = False
    faceless: Counter[str] = field(default_factory=Counter)
