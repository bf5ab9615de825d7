"""Every endpoint times every fault, for load and fetch: right data, or a clear error and right data the next time.

The table is printed at the end. `ok`: the run itself got over the fault. `told`: it ended with one clear line,
and the next run was right. `raised`: the client's own error while rows were drawn from a stream, and the next
run was right. A dot: the endpoint was not asked, or the fault has no meaning there. Never: other data.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from curate.core.errors import CurateError
from tests.hub.server import TOKEN
from tests.loading.client import Client
from tests.loading.conftest import REPO

FAULTS: dict[str, dict[str, Any]] = {
    "429": {"status": 429, "retry_after": 1},
    "500": {"status": 500},
    "503": {"status": 503},
    "2nd 503": {"status": 503, "nth": 2},
    "reset": {"reset_midway": True},
    "lost": {"lose_answer": True},
    "corrupt": {"corrupt_byte": 100},
    "corrupt 5k": {"corrupt_byte": 5000},
    "delay": {"delay": 0.05},
    "401": {"status": 401, "message": "Invalid credentials in Authorization header"},
    "403": {"status": 403},
    "gated": {"status": 403, "code": "GatedRepo"},
    "404": {"status": 404, "code": "RevisionNotFound"},
    "always 503": {"status": 503, "nth": None},
    "always lost": {"lose_answer": True, "nth": None},
    "always bad": {"corrupt_byte": 100, "nth": None},
}
QUICK = ("503", "reset", "corrupt", "always 503")
PASSING = ("429", "500", "503", "2nd 503", "reset", "lost", "corrupt", "corrupt 5k", "delay")
REST = tuple(name for name in FAULTS if name not in QUICK)
ENDPOINTS = ("refs", "paths-info", "resolve", "storage", "info", "tree")
BYTES = ("resolve", "storage")  # a corrupted byte of JSON is left to TLS
EXTENT = pytest.mark.parametrize(
    "faults", [pytest.param(QUICK, id="quick"), pytest.param(REST, id="rest", marks=pytest.mark.long)]
)
TASKS = {
    "load": "result = sorted(load(name, 'instances', version='1.0.0')['SOPInstanceUID'])",
    "stream": """
        import hashlib
        rows = load(name, "images", version="1.0.0", streaming=True, labels=True)
        result = sorted([r["SOPInstanceUID"], r["fold"], hashlib.sha256(r["dicom"]["bytes"]).hexdigest()] for r in rows)
    """,
    "fetch": """
        import hashlib, pathlib, tempfile
        to = globals().setdefault("places", {}).setdefault(name, tempfile.mkdtemp())
        fetch(name, to, where="Modality = 'CT'", version="1.0.0")
        found = [p for p in pathlib.Path(to).rglob("*.*") if p.is_file()]
        result = sorted([str(p.relative_to(to)), hashlib.sha256(p.read_bytes()).hexdigest()] for p in found
                        if p.name != "selection.json")
    """,
}


@pytest.fixture(scope="module")
def table(request: pytest.FixtureRequest) -> Iterator[dict[str, dict[str, str]]]:
    """Collects the cells and prints them when the module is done."""
    rows: dict[str, dict[str, str]] = {}
    yield rows
    shown = [name for name in FAULTS if any(name in cells for cells in rows.values())]
    lines = [f"{'':20}" + "".join(f"{name:>12}" for name in shown)]
    lines += [f"{row:20}" + "".join(f"{c.get(name, ''):>12}" for name in shown) for row, c in rows.items()]
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print("\n\n" + "\n".join(lines))  # noqa: T201  (the table is what this module is for)


def repository(client: Client, name: str) -> str:
    """A repository that no cache knows."""
    repo = copy.deepcopy(client.hub.repos[REPO])
    repo.name = f"org/{name}-{len(client.hub.repos)}"
    client.hub.repos[repo.name] = repo
    return repo.name


def cell(client: Client, task: str, endpoint: str, fault: str, truth: Any) -> str:
    """One cell: run with the fault; then heal and run again; both times the data are right or absent."""
    name = repository(client, task)
    ordered = client.hub.fail(endpoint, **{"nth": 1, **FAULTS[fault]})
    outcome = "ok"
    try:
        assert client.run(TASKS[task], name=name) == truth, "other data"
    except CurateError as error:
        outcome = "told"
        text = f"{error} {error.hint}"
        assert error.hint
        assert "\n" not in text
        assert TOKEN not in text
        assert "http" not in text
    except RuntimeError:
        assert task == "stream"
        outcome = "raised"
    client.hub.heal()
    if not ordered.struck:
        return "."
    return outcome if client.run(TASKS[task], name=name) == truth else "FAILED"


@pytest.mark.sampled(5)
@EXTENT
@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("task", TASKS)
def test_it_survives(
    client: Client, task: str, endpoint: str, faults: tuple[str, ...], table: dict[str, dict[str, str]]
) -> None:
    """Whatever this endpoint does, what is loaded is what was published, now or the next time."""
    truth = client.run(TASKS[task], name=repository(client, task))
    cells = table.setdefault(f"{task} {endpoint}", {})
    for fault in faults:
        if "corrupt_byte" in FAULTS[fault] and endpoint not in BYTES:
            cells[fault] = "."
            continue
        cells[fault] = cell(client, task, endpoint, fault, truth)
    assert "FAILED" not in cells.values(), cells
    assert {cells[fault] for fault in PASSING if fault in cells} <= {"ok", "."}, cells
