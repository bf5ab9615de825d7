"""The JSON schema of `archive.toml`, by which editors complete and check it; from the tables that `config` reads by.

Editors find it by the first line of the file, `#:schema ./archive.schema.json`. What a key means, and its default,
are the words that stand behind it in the file that `init` writes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args, get_origin, get_type_hints

from curate import licenses
from curate.archive import config
from curate.core.records import ArchiveInfo
from curate.policies import K_BOUNDS, Policy, PrivacyPolicy

_TYPES = {str: "string", int: "integer", bool: "boolean", float: "number", list: "array"}
_TABLE = re.compile(r"^\[(\w+)\](?: *# (.*))?$")
_KEY = re.compile(r"^(?:# )?(\w+) = (.*?)(?:  # (.*))?$")
_PUBLIC_KEY = r"^[^+\s]+\+[0-9a-f]{8}\+[A-Za-z0-9+/=]+$"  # C2SP signed note


def schema() -> dict[str, Any]:
    """The schema, as JSON Schema draft 7 has it."""
    tables = {name: _table(name, _keys(name)) for name in config.TABLES}
    tables["people"]["additionalProperties"] = {"type": "string"}
    tables["archive"]["required"] = list(config.REQUIRED)
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": config.NAME,
        "description": "What the maintainer of an archive decides; unknown keys are refused.",
        "type": "object",
        "required": ["archive"],
        "additionalProperties": False,
        "properties": tables,
    }


def text() -> str:
    """The schema as a file holds it."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


def _table(name: str, keys: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    told = {key: words for table, key, words in _told() if table == name}
    properties = {key: entry | _described(told.get(key, "")) for key, entry in keys.items()}
    described = _described(told.get("", ""))
    return {"type": "object", **described, "additionalProperties": False, "properties": properties}


def _described(words: str) -> dict[str, str]:
    return {"description": f"{words[:1].upper()}{words[1:]}."} if words else {}


def _told() -> Iterator[tuple[str, str, str]]:
    """Table, key and the words behind it, of each line of a new archive's file; the table's own have no key."""
    table = ""
    for line in config.fresh(ArchiveInfo("T", "P", "CC-BY-4.0"), "file:///DIR", 1).splitlines():
        if heading := _TABLE.match(line):
            table = heading[1]
            yield table, "", heading[2] or ""
        elif table and (found := _KEY.match(line)):
            key, value, words = found[1], found[2], found[3] or ""
            yield table, key, f"{value}, {words}" if words.startswith("or ") else words


def _keys(table: str) -> dict[str, dict[str, Any]]:
    if table == "profile":
        return {key: _choice(hint) or {"type": "boolean"} for key, hint in get_type_hints(Policy).items()}
    if table == "privacy":
        return _privacy()
    return {key: _value(f"{table}.{key}", kind) for key, kind in config.KEYS.get(table, {}).items()}


def _privacy() -> dict[str, dict[str, Any]]:
    hints = get_type_hints(PrivacyPolicy)
    found = {key: _choice(hint) for key, hint in hints.items()}
    found["k"] = {"type": "integer", "minimum": K_BOUNDS[0], "maximum": K_BOUNDS[1]}
    found["largest_suppressed_share"] = {"type": "number", "minimum": 0, "maximum": 1}
    names = {"type": "string", "minLength": 1}
    found["give_up_first"] = {"type": "array", "items": names, "uniqueItems": True}
    return {key: found[key] for key in hints}


def _choice(hint: Any) -> dict[str, Any]:
    """The values that a `Literal` takes; of another type nothing."""
    return {"enum": list(get_args(hint))} if get_origin(hint) is Literal else {}


def _value(name: str, kind: type) -> dict[str, Any]:
    if name == "archive.license":
        return {"type": "string", "anyOf": [{"enum": list(licenses.catalogue())}, {"pattern": _any_case()}]}
    if name in config.CHOICES:
        return {"enum": list(config.CHOICES[name])}
    if name in config.BOUNDS:
        low, high = config.BOUNDS[name]
        return {"type": "integer", "minimum": low, "maximum": high}
    if kind is list:
        pattern = f"^{config.DUO}$" if name == "governance.data_use" else _PUBLIC_KEY
        return {"type": "array", "items": {"type": "string", "pattern": pattern}}
    entry = {"type": _TYPES[kind]}
    return entry | {"minLength": 1} if name.removeprefix("archive.") in config.REQUIRED else entry


def _any_case() -> str:
    """A pattern of the licences' identifiers, which are read in any case."""
    names = "|".join(licenses.catalogue()).replace(".", r"\.")
    return f"^({''.join(f'[{c.upper()}{c.lower()}]' if c.isalpha() else c for c in names)})$"
