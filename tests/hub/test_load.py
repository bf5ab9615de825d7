"""What is published loads with the real `datasets`, by tag, from the hub and from the folder hub."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from curate.hub import open_target
from tests.hub.server import HubServer
from tests.hub.small_release import CONFIGS, make_release

LOAD = """
import json, sys
from datasets import load_dataset
where, revision, config, streaming = {arguments}
rows = list(load_dataset(where, config, revision=revision, split="train", streaming=streaming))
print(json.dumps([sorted(rows[0]), len(rows), [str(row.get("release_version")) for row in rows]]))
"""


def loaded(run: Callable[..., str], *arguments: object) -> tuple[list[str], int, list[str]]:
    columns, count, versions = json.loads(run(LOAD.format(arguments=repr(arguments))).splitlines()[-1])
    return columns, count, versions


@pytest.fixture
def two_versions(tmp_path: Path) -> tuple[Path, Path]:
    return make_release(tmp_path / "r1", "1.0.0"), make_release(tmp_path / "r2", "1.1.0", (1, 2, 3, 4))


@pytest.mark.parametrize("streaming", [False, True])
def test_both_versions_load_from_the_hub_by_tag(
    hub: HubServer, run_python: Callable[..., str], two_versions: tuple[Path, Path], streaming: bool
) -> None:
    """Each tag gives its own rows, streaming and not, and the hub knows every request that `datasets` makes."""
    target = open_target("hf://org/scans")
    for release in two_versions:
        target.publish(release)
    assert loaded(run_python, "org/scans", "v1.0.0", "studies", streaming)[1:] == (3, ["1.0.0"] * 3)
    assert loaded(run_python, "org/scans", "v1.1.0", "studies", streaming)[1:] == (4, ["1.1.0"] * 4)
    assert "dicom" in loaded(run_python, "org/scans", "v1.1.0", "images", streaming)[0]
    assert hub.calls()["unknown"] == 0, [r for r in hub.requests if r.endpoint == "unknown"]


def test_every_config_loads_from_the_folder_hub(
    tmp_path: Path, two_versions: tuple[Path, Path], run_python: Callable[..., str]
) -> None:
    """`load_dataset(DIR/v1.1.0)` reads each config of the card."""
    target = open_target((tmp_path / "published").as_uri())
    for release in two_versions:
        target.publish(release)
    for config in CONFIGS:
        where = str(tmp_path / "published" / "v1.1.0")
        assert loaded(run_python, where, None, config, False)[1] == 4
