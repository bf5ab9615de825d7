"""What is published loads with the real `datasets`, by tag, from the hub and from the folder hub."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from curate.hub import open_target
from tests.hub.server import HubServer
from tests.hub.small_release import CONFIGS, make_release

LOAD = """
import json
from datasets import load_dataset
for where, revision, config, streaming in {asked}:
    rows = list(load_dataset(where, config, revision=revision, split="train", streaming=streaming))
    print("LOADED", json.dumps([sorted(rows[0]), len(rows), rows[0].get("release_version")]))
"""


def loaded(
    run: Callable[..., str], asked: Sequence[tuple[str, str | None, str, bool]]
) -> list[tuple[list[str], int, str]]:
    """Columns, rows and version of what `datasets` loads, one process for all."""
    lines = run(LOAD.format(asked=repr(list(asked)))).splitlines()
    return [tuple(json.loads(line.removeprefix("LOADED "))) for line in lines if line.startswith("LOADED ")]


def test_both_versions_load_from_the_hub_by_tag(hub: HubServer, run_python: Callable[..., str], tmp_path: Path) -> None:
    """Each tag gives its own rows, streaming and not, and the hub knows every request of `datasets`."""
    target = open_target("hf://org/scans")
    target.publish(make_release(tmp_path / "r1", "1.0.0"))
    target.publish(make_release(tmp_path / "r2", "1.1.0", (1, 2, 3, 4)))
    asked = [
        ("org/scans", tag, config, streaming)
        for config in ("studies", "images")
        for tag in ("v1.0.0", "v1.1.0")
        for streaming in (False, True)
    ]
    found = loaded(run_python, asked)
    assert [count for _, count, _ in found] == [3, 3, 4, 4] * 2
    assert [version for _, _, version in found[:4]] == ["1.0.0", "1.0.0", "1.1.0", "1.1.0"]
    assert all("dicom" in columns for columns, _, _ in found[4:])
    assert hub.calls()["unknown"] == 0, [r for r in hub.requests if r.endpoint == "unknown"]


def test_every_config_loads_from_the_folder_hub(run_python: Callable[..., str], tmp_path: Path) -> None:
    """`load_dataset(DIR/v1.1.0)` reads each config of the card."""
    target = open_target((tmp_path / "published").as_uri())
    target.publish(make_release(tmp_path / "r1", "1.0.0"))
    target.publish(make_release(tmp_path / "r2", "1.1.0", (1, 2, 3, 4)))
    where = str(tmp_path / "published" / "v1.1.0")
    found = loaded(run_python, [(where, None, config, False) for config in CONFIGS])
    assert [count for _, count, _ in found] == [4] * len(CONFIGS)
