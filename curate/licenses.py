"""The licences a release may carry: what each permits, its verbatim text, and what is wrong with a raw value.

SPDX identifiers match without regard to case (SPDX 3.0.1, annex B); what is stored is the canonical spelling.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache

import license_expression

from curate.core import resources
from curate.core.errors import DamagedError, InputError, RefusedError
from curate.core.findings import Finding

FOLDER = "LICENSES"
TERMS_PATH = f"{FOLDER}/TERMS.md"
OVERVIEW_PATH = "LICENSE.md"


@dataclass(frozen=True, slots=True)
class License:
    """One licence of `licenses/catalogue.json`, and what it permits of the data.

    `hub_id` is the Hub's identifier; `sha256` that of the verbatim text, in hex. `covers_contents` is false
    where the licence covers a database and not the rights in its single items.
    """

    spdx_id: str
    name: str
    url: str
    sha256: str
    hub_id: str
    redistribution: bool
    derivatives: bool
    commercial_use: bool
    attribution: bool
    covers_contents: bool
    share_alike: bool

    @property
    def path(self) -> str:
        """Where a release holds the text, from its root."""
        return f"{FOLDER}/{self.spdx_id}.txt"

    @property
    def spdx_url(self) -> str:
        """The licence's page in the SPDX License List."""
        return f"https://spdx.org/licenses/{self.spdx_id}.html"


@cache
def catalogue() -> Mapping[str, License]:
    """All licences by SPDX identifier, sorted."""
    raw = json.loads(resources.license_path("catalogue.json").read_text(encoding="utf-8"))
    return {entry["spdx_id"]: License(**entry) for entry in raw["licenses"]}


def find(spdx_id: str) -> License | None:
    """The licence of an identifier in any case, or None."""
    return _by_folded().get(spdx_id.strip().casefold())


@cache
def _by_folded() -> Mapping[str, License]:
    return {spdx_id.casefold(): entry for spdx_id, entry in catalogue().items()}


def get(spdx_id: str) -> License:
    """The licence of an identifier.

    Raises:
        InputError: not a licence of the catalogue.
    """
    found = find(spdx_id)
    if found is None:
        near = difflib.get_close_matches(spdx_id.strip().casefold(), _by_folded(), n=3, cutoff=0.5)
        names = [_by_folded()[name].spdx_id for name in near] or list(catalogue())
        raise InputError(f"{spdx_id!r} is not a licence of the catalogue", hint=f"Give one of: {', '.join(names)}.")
    return found


def text(spdx_id: str) -> str:
    """The verbatim text of a licence.

    Raises:
        InputError: not a licence of the catalogue.
        DamagedError: the installed text is not the catalogue's.
    """
    entry = get(spdx_id)
    content = resources.license_path(f"{entry.spdx_id}.txt").read_bytes()
    if hashlib.sha256(content).hexdigest() != entry.sha256:
        raise DamagedError(
            f"the installed text of {entry.spdx_id} is not the one of the catalogue",
            hint="Install curate again.",
        )
    return content.decode("utf-8")


def terms() -> str:
    """The terms of use (no re-identification) that stand beside every licence."""
    return resources.license_path("TERMS.md").read_text(encoding="utf-8")


def classify(raw: str | None, place: str = "") -> License | Finding:
    """The licence that a raw value names, or a finding: missing, unknown, deprecated, conflicting.

    One row bears one licence: an expression that names several is conflicting.
    """
    value = (raw or "").strip()
    if not value:
        return Finding("LICENSE_MISSING", place, "license")
    if found := find(value):
        return found
    return Finding(_problem(value), place, "license")


def _problem(value: str) -> str:
    if value.casefold() in _deprecated():
        return "LICENSE_DEPRECATED"
    try:
        keys = _spdx().license_keys(value)
    except Exception:  # the parser also fails in ways of its own, such as IndexError on "()"
        return "LICENSE_UNKNOWN"
    return "LICENSE_CONFLICTING" if len(keys) > 1 and all(map(_is_spdx, keys)) else "LICENSE_UNKNOWN"


@cache
def _spdx() -> license_expression.Licensing:
    return license_expression.get_spdx_licensing()  # builds an automaton of 2,400 names: 0.1 s


def _is_spdx(key: str) -> bool:
    return key.casefold() in _current() or key.casefold() in _deprecated()


@cache
def _current() -> frozenset[str]:
    """Identifiers that SPDX lists today, case-folded."""
    entries = license_expression.get_license_index()
    return frozenset(e["spdx_license_key"].casefold() for e in entries if e.get("spdx_license_key"))


@cache
def _deprecated() -> frozenset[str]:
    """Identifiers that SPDX has replaced by others, case-folded, such as gpl-2.0."""
    entries = license_expression.get_license_index()
    old = {key.casefold() for e in entries for key in e.get("other_spdx_license_keys") or ()}
    return frozenset(key for key in old if not key.startswith("licenseref-")) - _current()


def hub_license(spdx_ids: Collection[str]) -> tuple[str, str | None]:
    """The Hub's `license` and `license_name`: several licences are `other`, with a name of their own.

    Raises:
        InputError: none given, or one that is not of the catalogue.
    """
    entries = sorted({get(spdx_id).spdx_id for spdx_id in spdx_ids})
    if not entries:
        raise InputError("a release needs a licence", hint="Set [archive] license in archive.toml.")
    if len(entries) == 1:
        return get(entries[0]).hub_id, None
    return "other", "-and-".join(entry.casefold() for entry in entries)


def of_study(donor_choice: str | None, archive_license: str) -> License:
    """The licence that a study gets: what its donor chose, or the archive's where the donor left it open.

    Raises:
        InputError: a licence that is not of the catalogue.
    """
    if not (donor_choice or "").strip():
        return get(archive_license)
    chosen = find(str(donor_choice))
    if chosen is None:  # a cell of a donor's row: its value is not shown
        raise InputError(
            "the licence that a donor chose is not of the catalogue",
            hint=f"Give one of: {', '.join(catalogue())}.",
        )
    return chosen


def may_release(donor_choice: str | None, offered_license: str) -> License:
    """The licence under which a study is about to be released, where its donor agreed to that one.

    A wider licence is refused, and so is a narrower one: neither is what the donor chose.

    Raises:
        InputError: a licence that is not of the catalogue.
        RefusedError: the donor chose another licence.
    """
    offered = get(offered_license)
    chosen = of_study(donor_choice, offered.spdx_id)
    if chosen != offered:
        raise RefusedError(
            f"a donor chose {chosen.spdx_id}, so the study may not be released under {offered.spdx_id}",
            hint=f"Release it under {chosen.spdx_id}: a row's licence may differ from the archive's.",
        )
    return chosen


def check_one(spdx_ids: Iterable[str], place: str) -> list[Finding]:
    """A finding where the rows of one study bear different licences."""
    return [Finding("LICENSE_CONFLICTING", place, "license")] if len(set(spdx_ids)) > 1 else []


def release_files(spdx_ids: Collection[str]) -> dict[str, bytes]:
    """What a release carries of licences: path from the root -> bytes; an overview where there are several.

    A release whose last study was withdrawn has no licence left, only the terms.

    Raises:
        InputError: a licence that is not of the catalogue.
    """
    entries = sorted({get(spdx_id) for spdx_id in spdx_ids}, key=lambda entry: entry.spdx_id)
    files = {entry.path: text(entry.spdx_id).encode("utf-8") for entry in entries}
    files[TERMS_PATH] = terms().encode("utf-8")
    if len(entries) > 1:  # the Hub links a file of this name
        files[OVERVIEW_PATH] = _overview(entries).encode("utf-8")
    return files


def _overview(entries: Iterable[License]) -> str:
    lines = [
        "# Licences of this release",
        "",
        "Each row of each table bears its licence in the column `license`. The texts:",
        "",
        *(f"- {entry.name} (`{entry.spdx_id}`): [{entry.path}]({entry.path})" for entry in entries),
        "",
        f"The terms in [TERMS.md]({TERMS_PATH}) stand beside them.",
    ]
    return "\n".join(lines) + "\n"


def check_files(used: Collection[str], digests: Mapping[str, str]) -> list[Finding]:
    """Findings where a release's licence texts do not match the licences of its rows.

    `used` are the identifiers that rows bear, `digests` the SHA-256 in hex of the release's files by path.
    """
    findings = [Finding(p.rule, p.place, p.tag) for p in map(classify, used) if isinstance(p, Finding)]
    wanted = {entry.path: entry for entry in map(find, used) if entry}
    for path, entry in sorted(wanted.items()):
        if path not in digests:
            findings.append(Finding("LICENSE_TEXT_MISSING", path))
        elif digests[path] != entry.sha256:
            findings.append(Finding("LICENSE_TEXT_CHANGED", path))
    held = sorted(path for path in digests if path.startswith(f"{FOLDER}/"))
    findings += [Finding("LICENSE_UNUSED", path) for path in held if path not in (*wanted, TERMS_PATH)]
    if TERMS_PATH not in digests:
        findings.append(Finding("LICENSE_TERMS_MISSING", TERMS_PATH))
    return findings
