"""Imports point one way, rules and texts agree with the code."""

from __future__ import annotations

import ast
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from pydicom.datadict import keyword_for_tag

import curate
from curate.core.findings import rules

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "curate"

# a room may import rooms of a lower level only; `steps/<verb>` and `cli` see what lies below them
LEVELS = (
    ("core", "decoding"),
    ("contract", "policies", "licenses", "untrusted", "parallel", "keys"),
    ("dicom", "metadata", "privacy", "transparency", "hub", "describe", "pages"),
    ("deid", "archive"),
    ("pixels", "attestation"),
    ("donation", "releases", "verify", "loading"),
    ("steps",),
    ("cli",),
)
LEVEL = {room: number for number, rooms in enumerate(LEVELS) for room in rooms}


def _imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "curate":
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names if alias.name.split(".")[0] == "curate")
    return found


def _modules() -> list[Path]:
    return sorted(p for p in PACKAGE.rglob("*.py") if "_data" not in p.parts)


def _room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", _modules(), ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_imports_point_one_way(path: Path) -> None:
    """A module imports rooms of lower levels only, neighbours and other steps never."""
    room = _room(path)
    if room in ("__init__", "__main__"):
        return
    assert room in LEVEL, f"{room} has no place in the order of the rooms"
    for name in _imports(path):
        parts = name.split(".")
        if len(parts) < 2 or parts[1] not in LEVEL:
            continue
        other = parts[1]
        if other == room:
            if room == "steps":
                mine = path.relative_to(PACKAGE).parts[1].removesuffix(".py")
                assert mine == "recall" or parts[2] == mine, f"{path.name} imports another step: {name}"
            continue
        assert LEVEL[other] < LEVEL[room], f"{path.name} imports {name}, which lies beside or above it"


def _named(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Neither at their heads nor within functions, nor for types only: each can be read before those above it."""
    places = {_named(path): path for path in _modules()}
    below = {name: _imports(path) for name, path in places.items()}
    graph = {
        name: {found if found in places else found.rpartition(".")[0] for found in names} & places.keys() - {name}
        for name, names in below.items()
    }
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"a circle: {' -> '.join(error.args[1])}")


def test_public_names_are_listed_once_and_are_no_rooms() -> None:
    """Editors find each public name where the stub says, and none is hidden by a room of its name."""
    rooms = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in _modules()}
    assert len(curate.__all__) == len(set(curate.__all__))
    assert rooms & set(curate.__all__) == set()
    for name in curate.__all__:
        assert getattr(curate, name) is not None, name


def test_every_rule_is_used_and_every_used_rule_is_known() -> None:
    """Each code that the program can report stands in rules.json, and each entry there is reported somewhere."""
    source = "".join(p.read_text(encoding="utf-8") for p in PACKAGE.rglob("*.py"))
    source += "".join(p.read_text(encoding="utf-8") for p in PACKAGE.rglob("data/*.json"))
    formed = re.findall(r'f"([A-Z_]*)\{[^}]*\}([A-Z_]*)"', source)  # such as f"TABLE_{name}_MISSING"
    formed = [(start, end) for start, end in formed if len(start + end) > 4]
    unused = [
        code
        for code in rules()
        if f'"{code}"' not in source and not any(code.startswith(start) and code.endswith(end) for start, end in formed)
    ]
    assert unused == []
    reported = set(re.findall(r'Finding\(\s*"([A-Z][A-Z0-9_]+)"', source))
    reported |= set(re.findall(r'MalformedError\(\s*"([A-Z][A-Z0-9_]+)"', source))
    assert sorted(reported - rules().keys()) == []


_BARE_TAG = re.compile(r"\b0x[0-9A-Fa-f]{8}\b(?! *[&|<>+-])")


@pytest.mark.parametrize("path", _modules(), ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_tags_are_written_by_keyword(path: Path) -> None:
    """A tag of PS3.6 stands as a number in `dicom/tags.py` alone, under the standard's own keyword."""
    text = path.read_text(encoding="utf-8")
    if path == PACKAGE / "dicom" / "tags.py":
        named = dict(re.findall(r"^(\w+) = (0x[0-9A-F]{8})$", text, re.M))
        assert {keyword: keyword_for_tag(int(tag, 16)) for keyword, tag in named.items()} == {k: k for k in named}
        return
    numbers = {match.group() for match in _BARE_TAG.finditer(text)}
    assert {number for number in numbers if keyword_for_tag(int(number, 16))} == set()


def test_only_the_hub_opens_connections() -> None:
    """No room but the hub and loading imports a networked library."""
    networked = re.compile(
        r"^\s*(?:from|import) (huggingface_hub|requests|urllib\.request|http\.client|socketserver)", re.M
    )
    for path in _modules():
        if _room(path) not in ("hub", "loading"):
            assert not networked.search(path.read_text(encoding="utf-8")), path


def test_no_traceback_is_swallowed_silently() -> None:
    """A bare `except: pass` stands nowhere."""
    for path in _modules():
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"except( Exception)?:\s*(pass|\.\.\.)\s*$", text, re.M), path


_OUTCOME = re.compile(r"\b(None|False|none|empty|nothing|Whether)\b")


def _does_nothing(body: list[ast.stmt]) -> bool:
    """Whether a handler only goes on, or returns what stands for nothing."""
    if len(body) > 1:
        return False
    value = body[0].value if isinstance(body[0], ast.Return) else None
    plain = value is None or ast.unparse(value) in ("None", "True", "False", "''", "b''", "()", "[]", "{}")
    return isinstance(body[0], ast.Pass | ast.Continue | ast.Return) and plain


@pytest.mark.parametrize("path", _modules(), ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_what_is_swallowed_has_its_reason(path: Path) -> None:
    """An error that stops nothing says why beside it, or the function says what it gives then."""
    text = path.read_text(encoding="utf-8")
    lines, tree = text.splitlines(), ast.parse(text)
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        said = _OUTCOME.search(ast.get_docstring(function) or "")
        for node in ast.walk(function):
            handler = isinstance(node, ast.ExceptHandler) and _does_nothing(node.body)
            suppressed = isinstance(node, ast.With) and "suppress(" in ast.unparse(node.items[0])
            if (handler and not said) or suppressed:
                last = node.body[-1].end_lineno if isinstance(node, ast.ExceptHandler) else node.lineno
                assert any("#" in line for line in lines[node.lineno - 1 : last]), f"{path.name}:{node.lineno}"


def test_no_path_of_a_machine_and_no_registry_stands_in_the_project() -> None:
    """No file names a home, a temporary folder of a person, or a package registry's address."""
    words = re.compile(
        "|".join(["/ho" + "me/", "/ro" + "ot/", "index" + "-url", r"pypi\.o" + "rg", "file" + "s.pythonhosted"])
    )
    listed = [
        *ROOT.glob("*.md"),
        *ROOT.glob("*.toml"),
        ROOT / "Makefile",
        ROOT / "requirements.lock",
        *_modules(),
    ]
    for path in listed:
        if path.is_file():
            assert not words.search(path.read_text(encoding="utf-8")), path
