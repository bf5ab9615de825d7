"""Every endpoint times every fault: whatever fails, the hub ends as after an undisturbed run.

The table is printed at the end; what QUICK leaves out is marked `long`. `ok`: the run itself
got over the fault. `told`: it ended with one clear line, and the next run finished. A dot: the fault has
no meaning there.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import pytest

from curate.core.errors import CurateError
from curate.hub import open_target
from curate.hub.protocol import Settings
from curate.hub.retry import Patience
from tests.hub.endpoints import ROUTES, STORAGE_ROUTES
from tests.hub.fixtures import pointed_at
from tests.hub.server import TOKEN, HubServer
from tests.hub.small_release import make_release

REPO = "org/scans"
FAULTS: dict[str, dict[str, Any]] = {
    "429": {"status": 429, "retry_after": 3},
    "500": {"status": 500},
    "503": {"status": 503},
    "2nd 503": {"status": 503, "nth": 2},
    "reset": {"reset_midway": True},
    "lost": {"lose_answer": True},
    "2nd lost": {"lose_answer": True, "nth": 2},
    "corrupt": {"corrupt_byte": 100},
    "delay": {"delay": 0.05},
    "401": {"status": 401, "message": "Invalid credentials in Authorization header"},
    "403": {"status": 403},
    "412": {"status": 412},
    "always 503": {"status": 503, "nth": None},
    "always lost": {"lose_answer": True, "nth": None},
}
PASSING = ("429", "500", "503", "2nd 503", "reset", "lost", "2nd lost", "corrupt", "delay")
QUICK = ("429", "503", "reset", "lost", "2nd lost", "corrupt", "401", "always 503")
BYTES = ("lfs-put", "lfs-part", "resolve")  # where a corrupted byte means something; JSON is left to TLS
PUBLISH = (
    *("info", "create", "settings", "refs", "tree", "preupload", "lfs-batch", "lfs-put", "lfs-part"),
    *("lfs-complete", "lfs-verify", "validate-yaml", "commit", "tag", "resolve"),
)
PURGE = (
    *("commits", "branch", "super-squash", "delete-tag", "tag", "delete-branch", "lfs-files", "lfs-delete"),
    "storage",
)
SHARED = ("refs", "tree", "preupload", "lfs-batch", "lfs-put", "commit", "resolve")  # as in publishing
REST = tuple(name for name in FAULTS if name not in QUICK)
EXTENT = pytest.mark.parametrize(
    "faults", [pytest.param(QUICK, id="quick"), pytest.param(REST, id="rest", marks=pytest.mark.long)]
)
Work = Callable[[dict[str, Path]], None]
PATIENCE = Patience(attempts=3, sleep=lambda _: None)


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two versions, the second without study 2; and the first cut again without it."""
    root = tmp_path_factory.mktemp("releases")
    return {
        "1.0.0": make_release(root / "r1", "1.0.0", (1, 2), size=9000),
        "1.0.1": make_release(root / "r2", "1.0.1", (1,), size=9000),
        "again": make_release(root / "c1", "1.0.0", (1,), size=9000),
    }


@pytest.fixture(scope="module")
def table(request: pytest.FixtureRequest) -> Iterator[dict[str, dict[str, str]]]:
    """Collects the cells and prints them when the module is done."""
    rows: dict[str, dict[str, str]] = {}
    yield rows
    shown = [name for name in FAULTS if any(name in cells for cells in rows.values())]
    lines = [f"{'':22}" + "".join(f"{name:>12}" for name in shown)]
    lines += [f"{row:22}" + "".join(f"{cells.get(name, ''):>12}" for name in shown) for row, cells in rows.items()]
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print("\n\n" + "\n".join(lines))  # noqa: T201  (the table is what this module is for)


def publish_both(releases: dict[str, Path]) -> None:
    target = open_target(f"hf://{REPO}", patience=PATIENCE)
    target.publish(releases["1.0.0"], settings=Settings(gated="auto"))
    target.publish(releases["1.0.1"], settings=Settings(gated="auto"))


def purge(releases: dict[str, Path]) -> None:
    open_target(f"hf://{REPO}", patience=PATIENCE).purge({"1.0.0": releases["again"]})


def state(hub: HubServer) -> dict[str, object]:
    """What must not depend on the faults on the way."""
    repo = hub.repo(REPO)
    names = ("main", *sorted(repo.tags))
    return {
        "trees": {name: repo.tree(name) for name in names},
        "branches": sorted(repo.branches),
        "commits": {name: [made.title for made in repo.history(name)] for name in ("main", *sorted(repo.tags))},
        "stored": sorted(repo.lfs),
        "settings": (repo.private, repo.gated),
    }


def cell(hub: HubServer, endpoint: str, fault: str, work: Work, files: dict[str, Path]) -> str:
    """One cell: run with the fault; where it was told, heal and run again."""
    ordered = hub.fail(endpoint, **{"nth": 1, **FAULTS[fault]})
    outcome = "ok"
    try:
        work(files)
    except CurateError as error:
        outcome = "told"
        text = f"{error} {error.hint}"
        assert error.hint
        assert not {"\n", TOKEN, "http"} & {part for part in ("\n", TOKEN, "http") if part in text}, text
    hub.heal()
    if outcome == "told":
        work(files)
    if not ordered.struck:
        return "." if fault.startswith("2nd") else "not called"
    return outcome


def row(endpoint: str, work: Work, files: dict[str, Path], home: Path, faults: Collection[str]) -> dict[str, str]:
    """All cells of an endpoint, each on a fresh repository."""
    cells: dict[str, str] = {}
    with HubServer() as hub, pointed_at(hub, home):
        hub.multipart_above, hub.part_size = 8000, 5000
        if work is purge:
            publish_both(files)
            hub.repo(REPO).open_pull_request(tree=hub.repo(REPO).commit("v1.0.0").tree)  # looked into afterwards
        before = copy.deepcopy(hub.repos)
        work(files)
        expected = state(hub)
        for fault in faults:
            hub.repos = copy.deepcopy(before)
            if fault == "corrupt" and endpoint not in BYTES:
                cells[fault] = "."
                continue
            cells[fault] = cell(hub, endpoint, fault, work, files)
            if state(hub) != expected:
                cells[fault] = "FAILED"
    return cells


def check(cells: dict[str, str]) -> None:
    """No cell failed, and what passes by itself needed no second run."""
    assert {"ok", "told", "."} >= set(cells.values()), cells
    assert all(cells[fault] in ("ok", ".") for fault in PASSING if fault in cells), cells


@pytest.mark.sampled(5)
@EXTENT
@pytest.mark.parametrize("endpoint", PUBLISH)
def test_publish_survives(
    endpoint: str,
    faults: Collection[str],
    releases: dict[str, Path],
    table: dict[str, dict[str, str]],
    tmp_path: Path,
    no_waiting: list[float],
) -> None:
    """Two versions are published as one commit and one tag each, whatever this endpoint does."""
    cells = row(endpoint, publish_both, releases, tmp_path, faults)
    table.setdefault(f"publish {endpoint}", {}).update(cells)
    check(cells)


@pytest.mark.sampled(5)
@EXTENT
@pytest.mark.parametrize("endpoint", [*PURGE, *(pytest.param(name, marks=pytest.mark.long) for name in SHARED)])
def test_purge_survives(
    endpoint: str,
    faults: Collection[str],
    releases: dict[str, Path],
    table: dict[str, dict[str, str]],
    tmp_path: Path,
    no_waiting: list[float],
) -> None:
    """A purge ends with the same tags, trees and stored objects, whatever this endpoint does."""
    cells = row(endpoint, purge, releases, tmp_path, faults)
    table.setdefault(f"purge {endpoint}", {}).update(cells)
    check(cells)


ELSEWHERE = {
    "paths-info": "load and fetch ask it: tests/loading/test_fault_matrix.py",
    "delete-repo": "nothing of ours deletes a repository",
    "whoami": "nothing of ours asks who is logged in",
    "xet-token": "the Xet client talks to a storage of its own: tests/hub/test_xet.py",
}


def test_every_endpoint_of_the_protocol_is_in_the_table() -> None:
    """What the hub of the tests answers is a row of the table for publish or purge, or a reason is given."""
    answered = {name for name, *_ in (*ROUTES, *STORAGE_ROUTES)}
    covered = {*PUBLISH, *PURGE, *SHARED}
    assert answered - covered == set(ELSEWHERE)
    assert covered <= answered
