"""`archive.toml`: what the maintainer decides; unknown keys are refused."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from curate import licenses
from curate.core.digests import sha256_json
from curate.core.errors import CurateError, InputError, quoted
from curate.core.records import ArchiveInfo
from curate.policies import Policy, PrivacyPolicy
from curate.transparency.signed_note import public_key

NAME = "archive.toml"
SCHEMA_NAME = "archive.schema.json"
PIXELS = ("as-is", "jpeg-ls", "jpeg-2000")
TABLES = ("archive", "hub", "privacy", "profile", "approval", "governance", "people", "packs")
_ARCHIVE_KEYS = {
    "title": str,
    "publisher": str,
    "license": str,
    "population": str,
    "description": str,
    "contact": str,
    "homepage": str,
    "cooling_off_days": int,
    "packs": str,
    "quarantine": str,
}
_APPROVAL_KEYS = {"required": int, "four_eyes": bool, "reviewers": list, "sheet": bool, "sample_series": int}
_GOVERNANCE_KEYS = {"dpia": str, "consent_text": str, "data_use": list, "responsible": str}
_PACKS_KEYS = {"target_size_mb": int, "pixels": str}
_STORES = ("packs", "quarantine")
_HUB_KEYS = {"target": str, "gated": str, "private": bool, "doi": str, "drop_after_days": int}
_GATED = ("auto", "manual", "off")
_SCHEMES_OF_DOIS = ("", "zenodo://")
_POPULATIONS = ("persons", "test")
DUO = r"DUO:\d{7}"
KEYS: Mapping[str, Mapping[str, type]] = {
    "archive": _ARCHIVE_KEYS,
    "hub": _HUB_KEYS,
    "approval": _APPROVAL_KEYS,
    "governance": _GOVERNANCE_KEYS,
    "packs": _PACKS_KEYS,
}
"""The keys of each table, with the type of their value; `[profile]` and `[privacy]` are in `policies`."""
REQUIRED = ("title", "publisher", "license")
"""What `[archive]` cannot be without."""
CHOICES: Mapping[str, tuple[str, ...]] = {
    "archive.population": _POPULATIONS,
    "hub.gated": _GATED,
    "hub.doi": _SCHEMES_OF_DOIS,
    "packs.pixels": PIXELS,
}
"""The values of keys that take a few only."""
BOUNDS: Mapping[str, tuple[int, int]] = {
    "archive.cooling_off_days": (0, 3650),
    "hub.drop_after_days": (0, 36_500),
    "approval.required": (0, 20),
    "approval.sample_series": (0, 1_000_000),
    "packs.target_size_mb": (1, 1024),
}
"""The least and the largest value of keys that take whole numbers."""
_KINDS = {"str": "text", "int": "a whole number", "bool": "true or false", "list": "a list"}
_KEY_HINT = "Copy them from `curate key show`."


@dataclass(frozen=True, slots=True)
class ApprovalPolicy:
    """`[approval]`: what publishing asks for.

    `reviewers` are the public keys that count; with none given, anybody's does. `four_eyes`: not of who cut the
    release. `sheet`: the five questions must be answered. `sample_series`: how many series are to be opened.
    """

    required: int = 1
    four_eyes: bool = False
    reviewers: tuple[str, ...] = ()
    sheet: bool = False
    sample_series: int = 300


@dataclass(frozen=True, slots=True)
class Config:
    """A validated `archive.toml`.

    `privacy` and `profile` stay mappings, for they pass to workers and evidence; both are validated here. `profile` is
    the effective one: every option, as the table or else the archive's population has it. `packs` and `quarantine` are
    folders or URLs where these lie; empty: in the archive's own folder. The digest is without them: they say nothing
    of what is released. `hub_gated` and `hub_private` are empty or None where the archive does not say; `data_use` and
    `responsible` are DUO codes, and texts by the name of their RAI property, which a file beside `archive.toml` holds.
    """

    info: ArchiveInfo
    cooling_off_days: int = 30
    hub_target: str = ""
    drop_after_days: int = 0
    approval: ApprovalPolicy = ApprovalPolicy()
    target_pack_bytes: int = 32_000_000
    pixels: str = "as-is"
    privacy: Mapping[str, Any] = field(default_factory=dict)
    profile: Mapping[str, Any] = field(default_factory=dict)
    governance: Mapping[str, str] = field(default_factory=dict)
    people: Mapping[str, str] = field(default_factory=dict)
    digest: str = ""
    packs: str = ""
    quarantine: str = ""
    hub_gated: str = ""
    hub_private: bool | None = None
    hub_doi: str = ""
    data_use: tuple[str, ...] = ()
    responsible: Mapping[str, str] = field(default_factory=dict)


def parse(text: str, where: str = NAME, folder: Path | None = None) -> Config:
    """The configuration of a text; what it names by file is read from `folder`.

    Raises:
        InputError: not TOML, an unknown table or key, a value of the wrong type.
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{where} is not valid TOML: {error}.", hint="Mend the file.") from error
    _known(raw, TABLES, where, "table")
    tables: dict[str, dict[str, Any]] = {name: raw.get(name, {}) for name in TABLES}
    if not all(isinstance(value, dict) for value in tables.values()):
        raise InputError(f"{where} has a table that is a plain value.", hint="Write tables as [name].")
    archive = _typed(tables["archive"], _ARCHIVE_KEYS, where, "archive")
    hub = _typed(tables["hub"], _HUB_KEYS, where, "hub")
    people = _typed(tables["people"], dict.fromkeys(tables["people"], str), where, "people")
    packs = _typed(tables["packs"], _PACKS_KEYS, where, "packs")
    for key in REQUIRED:
        if not archive.get(key):
            raise InputError(f"{where} has no {key} in [archive].", hint=f'Add: {key} = "..."')
    population = archive.get("population", "persons")
    if population not in _POPULATIONS:
        raise InputError(f"{where}: population in [archive] is neither persons nor test.", hint="Name one.")
    _license(archive["license"], where)
    _one_of(hub.get("gated", "off"), _GATED, where, "gated in [hub]")
    _one_of(hub.get("doi", ""), _SCHEMES_OF_DOIS, where, "doi in [hub]")
    governance = _typed(tables["governance"], _GOVERNANCE_KEYS, where, "governance")
    data_use = governance.pop("data_use", [])
    if not all(isinstance(code, str) and re.fullmatch(DUO, code) for code in data_use):
        raise InputError(f"{where}: data_use in [governance] takes DUO codes.", hint='Write ["DUO:0000042"].')
    said = _responsible(governance.pop("responsible", ""), folder)
    stores = (archive.pop("packs", "").rstrip("/"), archive.pop("quarantine", "").rstrip("/"))
    days = _bounded(archive.pop("cooling_off_days", 30), "archive.cooling_off_days", where)
    return Config(
        ArchiveInfo(**archive),
        days,
        hub.get("target", ""),
        _bounded(hub.get("drop_after_days", 0), "hub.drop_after_days", where),
        _approval(tables["approval"], where),
        _bounded(packs.get("target_size_mb", 32), "packs.target_size_mb", where) * 1_000_000,
        _one_of(packs.get("pixels", "as-is"), PIXELS, where, "pixels"),
        _privacy(tables["privacy"], population, where),
        _profile(tables["profile"], population, where),
        governance,
        people,
        sha256_json(_without_floats({**_without_stores(raw), **({"responsible": said} if said else {})})),
        *stores,
        hub_gated=hub.get("gated", ""),
        hub_private=hub.get("private"),
        hub_doi=hub.get("doi", ""),
        data_use=tuple(data_use),
        responsible=said,
    )


def _license(spdx_id: str, where: str) -> None:
    try:
        licenses.get(spdx_id)
    except CurateError as error:
        raise InputError(f"{where}: license in [archive]: {error.message}", hint=error.hint) from None


def _profile(table: dict[str, Any], population: str, where: str) -> dict[str, Any]:
    """`[profile]` with the defaults of its population."""
    try:
        return asdict(Policy.of_archive(table, population))
    except InputError as error:
        raise InputError(f"{where}: {error.message}", hint=error.hint) from None


def _privacy(table: dict[str, Any], population: str, where: str) -> dict[str, Any]:
    if table.get("population", population) != population:
        message = f"{where}: [privacy] population contradicts [archive] population."
        raise InputError(message, hint="Leave it out of [privacy].")
    try:
        PrivacyPolicy.from_mapping(table, population=population)
    except InputError as error:
        raise InputError(f"{where}: {error.message}", hint=error.hint) from None
    return table


def _approval(table: dict[str, Any], where: str) -> ApprovalPolicy:
    raw = _typed(table, _APPROVAL_KEYS, where, "approval")
    reviewers = raw.pop("reviewers", [])
    for text in reviewers:
        if not isinstance(text, str) or str(public_key(text)) != text:
            raise InputError(f"{where}: reviewers in [approval] takes texts of public keys.", hint=_KEY_HINT)
    _bounded(raw.setdefault("required", 1), "approval.required", where)
    _bounded(raw.setdefault("sample_series", 300), "approval.sample_series", where)
    if reviewers and raw["required"] > len(reviewers):
        raise InputError(f"{where}: [approval] asks for more approvals than it names reviewers.", hint="Mend it.")
    return ApprovalPolicy(reviewers=tuple(sorted(set(reviewers))), **raw)


def _one_of(value: str, allowed: tuple[str, ...], where: str, name: str) -> str:
    if value not in allowed:
        raise InputError(f"{where}: {name} has a value that it does not take.", hint=f"Use: {', '.join(allowed)}.")
    return value


def _responsible(name: str, folder: Path | None) -> dict[str, str]:
    """Texts by the name of their RAI property: what the archive states of how its data came to be.

    Raises:
        InputError: there is no such file, or it holds something else.
    """
    if not name or folder is None:
        return {}
    path, hint = folder / name, 'Write RAI properties such as dataCollection = "...".'
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        raise InputError(f"{path}, which [governance] names, cannot be read.", hint=hint) from None
    if not all(isinstance(value, str) for value in raw.values()):
        raise InputError(f"{path} holds something else than texts.", hint=hint)
    return raw


def _known(raw: Mapping[str, Any], allowed: Any, where: str, what: str) -> None:
    for key in raw:
        if key not in allowed:
            names = ", ".join(allowed)
            raise InputError(f"{where} has an unknown {what} {key!r}.", hint=f"Known: {names}.")


def _typed(raw: dict[str, Any], kinds: Mapping[str, type], where: str, table: str) -> dict[str, Any]:
    _known(raw, kinds, where, f"key in [{table}]:")
    for key, value in raw.items():
        if type(value) is not kinds[key]:
            wanted = _KINDS[kinds[key].__name__]
            raise InputError(f"{where}: {key} in [{table}] must be {wanted}.", hint="Mend the value.")
    return dict(raw)


def _bounded(value: int, name: str, where: str) -> int:
    (low, high), key = BOUNDS[name], name.partition(".")[2]
    if not low <= value <= high:
        raise InputError(f"{where}: {key} must lie between {low} and {high}.", hint="Mend the value.")
    return value


def _without_stores(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {**raw, "archive": {key: value for key, value in raw["archive"].items() if key not in _STORES}}


def _without_floats(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_floats(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_without_floats(entry) for entry in value]
    return str(value) if isinstance(value, float) else value


def read(folder: Path) -> Config:
    """The configuration of an archive's folder.

    Raises:
        InputError: there is no `archive.toml`, or it is not valid.
    """
    path = folder / NAME
    try:
        return parse(path.read_text(encoding="utf-8"), str(path), folder)
    except FileNotFoundError:
        raise InputError(
            f"{folder} is not an archive: it has no {NAME}.", hint=f"Make one: curate init {quoted(folder)} ..."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read.", hint="Check its permissions and encoding.") from error


def fresh(info: ArchiveInfo, hub_target: str, approvals: int) -> str:
    """A new archive's configuration, with every key at its default and a line on each.

    Raises:
        InputError: what was given cannot stand in it.
    """
    text = f"""#:schema ./{SCHEMA_NAME}
# The archive's own description and policy. `curate` refuses keys that it does not know.
[archive]
title = {_quoted(info.title)}  # what the data set is called
publisher = {_quoted(info.publisher)}  # who publishes it: an organisation
license = {_quoted(info.license)}  # SPDX identifier; a donation may carry its own
population = {_quoted(info.population)}  # "persons", or "test" for phantoms and samples; the card repeats it
description = {_quoted(info.description)}  # a sentence for the card: whose images, of what
contact = {_quoted(info.contact)}  # where questions go
homepage = {_quoted(info.homepage)}  # the archive's page, http(s)://
cooling_off_days = 30  # days from consent until a donation may enter
# packs = "s3://BUCKET/PREFIX"  # a folder or URL that workers on other machines share
# quarantine = "s3://BUCKET/PREFIX"  # the same of what waits

[hub]
target = {_quoted(hub_target)}  # file:///DIR, hf://ORG/NAME or s3://BUCKET/PREFIX
# gated = "manual"  # or "auto", "off": readers accept the terms first; the card says so
# private = true  # or false: the hub shows it to its owner only
# doi = "zenodo://"  # reserve a DOI for each version before it is cut
# drop_after_days = 0  # after a withdrawal, versions that are older are taken off the hub, not cut again; 0: none

[profile]  # PS3.15 options; `curate profile` explains what each attribute becomes
# dates = "rebase"  # or "remove": a donor's first study falls on 2000-01-01, or there are no dates
# retain_safe_private = true  # or false: private attributes of a closed list stay, or go
# clean_descriptors = true  # or false: descriptions are rebuilt from acquisition terms, or go
# secondary_capture = "refuse"  # or "hold", "allow": screenshots and scanned documents
# burned_in = "mask"  # or "hold", "refuse", "allow": text in pixels; allow, the default for test, looks at nothing
# marks = "keep"  # or "mask": marks of side and technique in pixels
# head = "allow"  # or "deface", "hold", "refuse": volumes that show a head; allow looks at nothing
# dental_and_fetal = "hold"  # or "refuse", "allow": teeth identify, and an unborn child did not consent
# site_and_scanner = false  # or true: the manifest has pseudonyms of hospital and scanner
# equipment = "vendor"  # or "model": whether headers name model and software; vendor is the default for persons
# vendor_headers = "rebuild"  # or "remove": private headers of vendors, which converters read
# anatomy = "remove"  # or "keep": whether headers name the region; remove is the default for persons

[privacy]  # disclosure risk; `curate risk` measures it
# access = "open"  # or "gated": k is 11 for open access, 5 where terms are accepted
# k = 11  # donors that look alike at least; the default follows access
# largest_suppressed_share = 0.05  # of a release's new studies; the rest waits
# later_studies = "split"  # or "hold": a study that singles its donor out gets a further donor_id, or waits
# give_up_first = ["diagnosis_basis", "region", "age", "diagnosis", "sex"]  # which detail goes first

[approval]
required = {approvals}  # how many reviewers must approve a release before it is published
# reviewers = ["anna-puig+1a2b3c4d+..."]  # whose approvals count, as `curate key show` prints keys; anybody's if none
# four_eyes = true  # who cut a release does not approve it
# sheet = true  # approvals must answer the five questions of `curate sheet`
# sample_series = 300  # series that a reviewer opens: nothing found in n bounds the share below 3/n at 95%

[governance]
# dpia = "DPIA 2026/14, approved on ..."  # where the impact assessment is to be found
# consent_text = "consent.md"  # a file beside this one; the reviewers' sheet states its digest
# data_use = ["DUO:0000042"]  # what the data may be used for, as GA4GH Data Use Ontology codes
# responsible = "responsible.toml"  # a file beside this one: Croissant RAI properties, such as dataCollection = "..."

[people]  # names for the ledger, by account on this machine
# jdoe = "Joan Doe"

[packs]
target_size_mb = 32  # of packs to come
# pixels = "as-is"  # or "jpeg-ls", "jpeg-2000": native grey pixels of studies to come, losslessly compressed
"""
    parse(text)
    return text


def _quoted(text: str) -> str:
    if any("\ud800" <= c <= "\udfff" for c in text):  # bytes of the command line that its locale could not read
        hint = "Set a locale of UTF-8, such as LC_ALL=C.UTF-8, then run it again."
        raise InputError("The title or the publisher is not readable text.", hint=hint)
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04X}" for c in escaped) + '"'
