"""Write the generated parts of README and docs/ anew: `python -m tests.regenerate_docs`.

A page says where a part stands by `<!-- generated: NAME -->` and `<!-- end -->`; PARTS has one function a name. The
notebook of the researchers' tutorial is written as a page, too, so that all pages are Markdown.
"""

from __future__ import annotations

import inspect
import json
import re
import sqlite3
import tempfile
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from itertools import groupby
from pathlib import Path
from typing import Any, get_args, get_type_hints

import typer
from typer.core import TyperArgument

import curate
from curate import contract
from curate.archive import config
from curate.archive.ledger import Ledger
from curate.core.findings import Rule, rules
from curate.core.records import ArchiveInfo
from curate.deid import explain, grammar
from curate.policies import PROFILE_DEFAULTS, Policy

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
DOCS = ROOT / "docs"
NOTEBOOK = DOCS / "tutorials" / "researcher.ipynb"
_BLOCK = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.S)
_KEY = re.compile(r"^(?P<off># )?(?P<key>\w+) = (?P<value>.*?)(?:  # (?P<text>.*))?$")
_KINDS: Mapping[Any, str] = {Path: "PATH", int: "N", float: "NUMBER"}
_TYPES: Mapping[type, str] = {
    str: "text",
    bool: "true or false",
    int: "whole number",
    float: "number",
    list: "list",
}
_EXAMPLE = re.compile(r"^Example: (.*)$", re.M)


def pages() -> list[Path]:
    """README and every page of the documentation."""
    return [README, *sorted(DOCS.rglob("*.md"))]


def table(head: Iterable[str], rows: Iterable[Iterable[object]], right: Iterable[str] = ()) -> str:
    """A table in Markdown."""
    names = list(head)
    marks = ["---:" if name in right else "---" for name in names]
    lines = [names, marks, *([_cell(value) for value in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: object) -> str:
    return str(value).replace("\\[", "[").replace("|", "\\|").replace("\n", " ")


def commands() -> str:
    """Every command with its first sentence."""
    found = [
        (f"[`curate {name}`](#curate-{name.replace(' ', '-')})", _paragraphs(command)[0])
        for name, command in _commands()
    ]
    return table(("command", "what it does"), found)


def _commands() -> Iterator[tuple[str, Any]]:
    """Every command and subcommand, such as `key show`, in the order of the help."""
    from curate.cli.main import app

    for name, command in typer.main.get_group(app).commands.items():
        nested = getattr(command, "commands", None)
        if nested is None:
            yield name, command
        else:
            yield from ((f"{name} {inner}", one) for inner, one in nested.items())


def _paragraphs(command: Any) -> list[str]:
    """A command's help without its example, a paragraph each."""
    text = _EXAMPLE.sub("", inspect.cleandoc(command.help or "")).replace("\b", "")
    return [" ".join(one.split()) for one in text.split("\n\n") if one.strip()]


def usage() -> str:
    """Every command with what it takes: arguments, options, defaults, an example."""
    return "\n\n".join(_one_command(name, command) for name, command in _commands())


def _one_command(name: str, command: Any) -> str:
    words = [_argument(one) for one in command.params if isinstance(one, TyperArgument)]
    parts = [f"## curate {name}", *_paragraphs(command)]
    parts.append("```text\n" + " ".join(["curate", name, *words, "[OPTIONS]"]) + "\n```")
    parts += [f"Example: `{found}`" for found in _EXAMPLE.findall(inspect.cleandoc(command.help or ""))]
    shown = [one for one in command.params if not getattr(one, "hidden", False) and one.name != "help"]
    if shown:
        parts.append(table(("argument or option", "meaning", "default"), map(_parameter, shown)))
    return "\n\n".join(parts)


def _argument(one: Any) -> str:
    name = (one.metavar or one.name.upper()) + ("..." if one.nargs == -1 else "")
    return name if one.required else f"[{name}]"


def _parameter(one: Any) -> tuple[str, str, str]:
    if isinstance(one, TyperArgument):
        return f"`{_argument(one).strip('[]')}`", one.help or "", _default(one)
    kind = one.type_descriptor.annotation
    takes = "" if one.is_flag else f" {one.metavar or _KINDS.get(kind, 'TEXT')}"
    return ", ".join(f"`{name}{takes}`" for name in one.opts), one.help or "", _default(one)


def _default(one: Any) -> str:
    if one.required:
        return "must be given"
    value = one.default
    if callable(value) or value in (None, "", False, ()) or value == []:
        return ""
    return f"`{value}`"


def person() -> str:
    """The columns that say something of a person or a place."""
    counted = (
        (name, f"`{column.name}`", column.description, column.why)
        for name in ("studies", "series")
        for column in contract.table(name).columns
        if column.role == "quasi-identifier"
    )
    return table(("table", "column", "what it says", "why it counts"), counted)


def columns() -> str:
    """Every column of every table that is published."""
    names = (*contract.MANIFEST_TABLES, "images", "previews", "leaves", "openings")
    return "\n\n".join(_one_table(contract.table(name)) for name in names)


def _one_table(one: contract.Table) -> str:
    keys = ", ".join(f"`{name}`" for name in one.key)
    order = ", ".join(f"`{name}`" for name in one.sort)
    head = f"## {one.name}\n\n{one.title}. {one.description}\n\nKey: {keys}. Sorted by: {order or 'nothing'}."
    rows = (
        (f"`{c.name}`", f"{c.type}{', null' if c.nullable else ''}", _meaning(c), c.role, c.why) for c in one.columns
    )
    return f"{head}\n\n" + table(("column", "type", "meaning", "role", "why it is published"), rows)


def _meaning(column: contract.Column) -> str:
    extra = [f"Unit: {column.unit}." if column.unit else ""]
    extra.append(f"One of: {', '.join(column.terms)}." if column.terms else "")
    return " ".join([column.description, *filter(None, extra)])


def profile() -> str:
    """What happens to attributes, by action."""
    return explain.markdown(Policy()).strip()


def attributes() -> str:
    """Every attribute of Table E.1-1: what the standard asks for, and what becomes of it in an archive of persons."""
    policy = Policy.of_archive({}, "persons")
    found = [one for one in explain.everything(policy) if one.table and not one.creator]
    rows = ((one.tag, one.keyword, one.table, one.action.value, one.becomes or "nothing", one.reason) for one in found)
    return table(("tag", "keyword", "Basic Profile", "curate", "what stays", "why"), rows)


def private_attributes() -> str:
    """The private attributes that are proven safe, by creator."""
    found = [one for one in explain.everything(Policy()) if one.creator]
    return table(
        ("private creator", "tag", "VR", "what stays"),
        ((f"`{one.creator}`", one.tag.replace(",10", ",xx"), one.vr, one.becomes or "nothing") for one in found),
    )


def vendor_headers() -> str:
    """What stays of each vendor's private header: elements, then the fields inside its blocks."""
    parts = []
    for vendor, entries in groupby(grammar.data("vendor.json"), lambda entry: str(entry["vendor"])):
        rows = (
            (
                f"`{one['creator']}`",
                f"({one['group']},xx{one['element']})",
                one["vr"],
                one["why"],
                _passes(one["grammar"]),
            )
            for one in entries
        )
        parts.append(f"### {vendor}\n\n" + table(("private creator", "tag", "VR", "says", "what passes"), rows))
    return "\n\n".join(parts)


def vendor_fields() -> str:
    """The fields inside vendors' blocks that stay."""
    fields = grammar.data("vendor_fields.json")
    parts = []
    for part, title, name in (
        ("csa", "Siemens: fields of the CSA headers", "name"),
        ("protocol", "Siemens: lines of the protocol (`[]` is an index)", "key"),
        ("ge", "GE: lines of the protocol data block", "key"),
    ):
        rows = ((f"`{one[name]}`", one["why"], _passes(one["grammar"])) for one in fields[part])
        parts.append(f"### {title}\n\n" + table(("field", "says", "what passes"), rows))
    return "\n\n".join(parts)


def _passes(rule: str) -> str:
    name, _, argument = rule.partition("(")
    words = f" ({argument[:-1].replace(',', ', ')})" if argument and name in ("num", "exact", "big", "words") else ""
    if name == "rounded":
        words = f": to {argument[:-1].rpartition(',')[2]}"
    return explain.GRAMMARS[name] + words


def converted() -> str:
    """What a converter makes of series before and after, and why a field is lost."""
    found = json.loads((ROOT / "tests" / "dicom" / "converted.json").read_text(encoding="utf-8"))
    head = (
        "source",
        "vendor",
        "series",
        "volumes",
        "mirrored or misplaced",
        "voxels",
        "directions",
        "fields lost or rounded",
    )
    rows = []
    for row in found["measured"]:
        for what, kind in (("rebuilt", ""), ("removed", " (headers removed)")):
            counts = (row[f"{what}_{name}"] for name in ("affine", "voxels", "bvec"))
            fields = ", ".join(row[f"{what}_fields"]) or "none"
            rows.append((row["source"] + kind, row["vendor"], row["series"], row["volumes"], *counts, fields))
    reasons = ((one["vendor"], one["field"], one["reason"]) for one in found["lost"])
    return table(head, rows) + "\n\n" + table(("vendor", "field", "why it is lost or rounded"), reasons)


def rule_codes() -> str:
    """Every rule, by the first word of its code: what is wrong, and what to do."""
    parts = []
    for family, entries in groupby(sorted(rules().values(), key=lambda one: one.code), _family):
        parts += [f"## {family}", *map(_one_rule, entries)]
    return "\n\n".join(parts)


def _family(one: Rule) -> str:
    return one.code.split("_")[0]


def _one_rule(one: Rule) -> str:
    cites = f" Rests on: {one.cites}." if one.cites else ""
    return (
        f"### {one.code}\n\n*{one.severity.value.capitalize()}.* {one.title.rstrip('.')}.{cites}\n\n"
        f"What to do: {one.next}"
    )


def configuration() -> str:
    """Every key of `archive.toml`: as `curate init` writes it, with its type."""
    text = config.fresh(ArchiveInfo("Chest CT of Girona", "Hospital X", "CC-BY-4.0", "persons"), "", 1)
    parts = []
    for block in re.split(r"^(?=\[)", text, flags=re.M)[1:]:
        name = block[1 : block.index("]")]
        keys = (found for line in block.splitlines()[1:] if (found := _KEY.match(line)))
        rows = [_one_key(name, found) for found in keys]
        parts.append(f"## [{name}]\n\n" + table(("key", "type", "default or example", "meaning"), rows))
    return "\n\n".join(parts)


_PLAIN = {
    ("archive", "title"): "the archive's name, on its cards and in citations",
    ("archive", "publisher"): "who publishes it: a hospital, a foundation",
    ("archive", "description"): "what the card says of it",
    ("archive", "contact"): "where readers report a suspected identification",
    ("archive", "homepage"): "its page",
    ("archive", "quarantine"): "the same for what waits, which is encrypted before it gets there",
    ("people", "jdoe"): "the key is an account on this machine, the value the name to show",
}


def _one_key(block: str, found: re.Match[str]) -> tuple[str, str, str, str]:
    meaning = found["text"] or _PLAIN[block, found["key"]]
    key = "ACCOUNT" if block == "people" else found["key"]
    kind = _TYPES[type(tomllib.loads(f"value = {found['value']}")["value"])]
    return f"`{key}`", kind, f"`{found['value']}`", meaning


def keys_of_configuration() -> dict[str, set[str]]:
    """The keys that the configuration page names, by table."""
    found: dict[str, set[str]] = {}
    for block in re.split(r"^## ", configuration(), flags=re.M)[1:]:
        name = block[1 : block.index("]")]
        found[name] = set(re.findall(r"^\| `(\w+)` \|", block, re.M))
    return found


def population() -> str:
    """What `[profile]` is for each population where the file says nothing."""
    rows = []
    for field in fields(Policy):
        values = (Policy.of_archive({}, name) for name in PROFILE_DEFAULTS)
        choices = get_args(get_type_hints(Policy)[field.name]) or (True, False)
        takes = ", ".join(f"`{_toml(one)}`" for one in choices)
        rows.append((f"`{field.name}`", takes, *(f"`{_toml(getattr(one, field.name))}`" for one in values)))
    return table(("key of [profile]", "takes", *(f"default, {name}" for name in PROFILE_DEFAULTS)), rows)


def _toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def ledger_schema() -> str:
    """The tables of `ledger.db`, as SQLite has them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.db"
        Ledger.create(path)
        db = sqlite3.connect(path)
        found = db.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY type DESC, name")
        text = ";\n".join(sql for (sql,) in found)
        db.close()
    return f"```sql\n{text};\n```"


def api() -> str:
    """Directives by which Sphinx writes the public functions and records from their docstrings."""
    names = sorted(curate.__all__, key=str.lower)
    functions = [name for name in names if not inspect.isclass(getattr(curate, name))]
    records = [name for name in names if inspect.isclass(getattr(curate, name))]
    parts = ["## Functions", *(_directive("autofunction", name) for name in functions)]
    return "\n\n".join([*parts, "## Records and errors", *(_directive("autoclass", name) for name in records)])


def _directive(kind: str, name: str) -> str:
    options = "   :members:\n" if kind == "autoclass" else ""
    return f"```{{eval-rst}}\n.. {kind}:: curate.{name}\n{options}```"


def notebook() -> str:
    """The researchers' tutorial, which is a notebook, as a page."""
    parts = []
    for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]:
        text = "".join(cell["source"])
        parts.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
        printed = "".join(line for output in cell.get("outputs", ()) for line in output["text"])
        parts += [f"```text\n{printed.rstrip()}\n```"] if printed else []
    head = "*This page is [a notebook](researcher.ipynb).*"
    return "\n\n".join([parts[0].split("\n\n", 1)[0], head, parts[0].split("\n\n", 1)[1], *parts[1:]])


PARTS: Mapping[str, Callable[[], str]] = {
    "api": api,
    "attributes": attributes,
    "columns": columns,
    "commands": commands,
    "configuration": configuration,
    "converted": converted,
    "ledger_schema": ledger_schema,
    "notebook": notebook,
    "person": person,
    "population": population,
    "private_attributes": private_attributes,
    "profile": profile,
    "rule_codes": rule_codes,
    "usage": usage,
    "vendor_fields": vendor_fields,
    "vendor_headers": vendor_headers,
}


def generated(text: str) -> str:
    """A page with its generated parts as the code has them now."""
    return _BLOCK.sub(lambda found: f"{found[1]}{PARTS[found[2]]()}\n{found[3]}", text)


if __name__ == "__main__":
    for page in pages():
        text = page.read_text(encoding="utf-8")
        if (fresh := generated(text)) != text:
            page.write_text(fresh, encoding="utf-8")
