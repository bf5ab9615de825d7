"""Reads a dataset card back, YAML and tables, and compares it with what the release holds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from curate import licenses
from curate.core.errors import CurateError
from curate.core.findings import Finding
from curate.core.records import FileEntry
from curate.describe import body, markup
from curate.describe.card import configs as expected_configs

PATH = "README.md"
LONGEST = 1 << 20  # characters; a card does not grow with its release
_FRONT = re.compile(r"\A---\n(.*?)\n---\n(.*)\Z", re.DOTALL)
_ROW = re.compile(r"^\| (?:\[)?([\w.-]+)(?:\]\([^)|]*\))? \| ([\d,]+) \|", re.MULTILINE | re.ASCII)
_VERSION = re.compile(r"^Version \*\*([^*\n]+)\*\*, released ", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What a card states: in its YAML, and again in the tables that people see (`shown_`)."""

    version: str
    population: str
    license: str
    counts: Mapping[str, int]
    licenses: Mapping[str, int]
    configs: tuple[Mapping[str, Any], ...]
    shown_version: str = ""
    shown_counts: Mapping[str, int] = field(default_factory=dict)
    shown_licenses: Mapping[str, int] = field(default_factory=dict)


def read_card(text: str) -> CardFacts | None:
    """What a card states, or None where its YAML is missing or broken."""
    parts = _FRONT.match(text) if len(text) <= LONGEST else None
    if parts is None:
        return None
    try:
        document = markup.load_yaml(parts[1])
    except ValueError:
        return None
    ours = document.get("curate") if isinstance(document, dict) else None
    if not isinstance(ours, dict):
        return None
    shown = _VERSION.search(parts[2])
    return CardFacts(
        version=_string(ours.get("version")),
        population=_string(ours.get("population")),
        license=_string(document.get("license")),
        counts=_numbers(ours.get("counts")),
        licenses=_numbers(ours.get("licenses")),
        configs=_mappings(document.get("configs")),
        shown_version=shown[1] if shown else "",
        shown_counts=_table(parts[2], body.COUNTS_HEADING),
        shown_licenses=_table(parts[2], body.LICENSES_HEADING),
    )


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""


def _numbers(value: object) -> dict[str, int]:
    items = value.items() if isinstance(value, dict) else ()
    return {k: v for k, v in items if isinstance(k, str) and isinstance(v, int) and not isinstance(v, bool)}


def _mappings(value: object) -> tuple[Mapping[str, Any], ...]:
    return tuple(item for item in value if isinstance(item, dict)) if isinstance(value, list) else ()


def _table(text: str, heading: str) -> dict[str, int]:
    """The first column of the section's table -> its second, a number."""
    section = text.partition(f"\n{heading}\n")[2].partition("\n##")[0]
    return {name: int(number.replace(",", "") or 0) for name, number in _ROW.findall(section)}


def check_card(
    text: str,
    *,
    version: str,
    population: str,
    counts: Mapping[str, int],
    license_counts: Mapping[str, int],
    files: Iterable[FileEntry],
) -> list[Finding]:
    """Findings where a card does not say what the release holds.

    `counts` are donors and the rows of each table, `license_counts` the studies of each SPDX identifier,
    `files` what `release.json` lists.
    """
    facts = read_card(text)
    if facts is None:
        return [Finding("CARD_UNREADABLE", PATH)]
    findings = []
    stated = {facts.version, facts.shown_version} | {str(c.get("version")) for c in facts.configs}
    if stated != {version}:
        findings.append(Finding("CARD_VERSION", PATH))
    if facts.population != population or (population == "test") != (body.TEST_MATERIAL in text):
        findings.append(Finding("CARD_POPULATION", PATH))
    findings += _differences("CARD_COUNT", counts, facts.counts, facts.shown_counts)
    findings += _check_licenses(facts, license_counts)
    return findings + _check_configs(facts, expected_configs(version, files, counts))


def _differences(
    code: str, held: Mapping[str, int], stated: Mapping[str, int], shown: Mapping[str, int]
) -> list[Finding]:
    """A finding for each number that the release, the card's YAML and its table do not agree on."""
    names = sorted({*held, *stated, *shown})
    return [
        Finding(code, PATH, name if name in held else "")  # a name that only the card has is not shown
        for name in names
        if not (held.get(name) == stated.get(name) == shown.get(name))
    ]


def _check_licenses(facts: CardFacts, license_counts: Mapping[str, int]) -> list[Finding]:
    findings = _differences("CARD_LICENSE", license_counts, facts.licenses, facts.shown_licenses)
    try:
        expected = licenses.hub_license(license_counts)[0] if license_counts else facts.license
    except CurateError:  # an unknown licence is a finding of the rows
        return findings
    return findings if facts.license == expected else [*findings, Finding("CARD_LICENSE", PATH, "license")]


def _check_configs(facts: CardFacts, configs: Iterable[Mapping[str, Any]]) -> list[Finding]:
    expected = {c["config_name"]: c for c in configs}
    found = {str(c.get("config_name")): c for c in facts.configs}
    wrong = [name for name in expected if _without_version(expected, name) != _without_version(found, name)]
    findings = [Finding("CARD_CONFIG", PATH, name) for name in wrong]
    if set(found) - set(expected) or len(found) != len(facts.configs):
        findings.append(Finding("CARD_CONFIG", PATH))
    return findings


def _without_version(held: Mapping[str, Mapping[str, Any]], name: str) -> dict[str, Any] | None:
    return {k: v for k, v in held[name].items() if k != "version"} if name in held else None
