"""After a real withdrawal every older version loads and is fetched without the study, and says so."""

from __future__ import annotations

import warnings
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from curate.hub.folder.target import FolderHub
from curate.loading.fetch import fetch
from curate.steps.publish import publish
from curate.steps.release import release
from curate.steps.withdraw import withdraw
from tests.loading import archive
from tests.loading.archive import INSTANCES, SLICES
from tests.loading.client import Client


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, Path]:
    """A folder hub from which a study of both versions was withdrawn, its id, and a fetch of before."""
    root = tmp_path_factory.mktemp("withdrawn")
    archive.build(root)
    fetch(root / "hub", root / "copy", version="1.0.0")
    study = pq.read_table(root / "hub/v1.0.0/manifest/studies.parquet")["study_id"].to_pylist()[0]
    withdraw(root / "archive", study)
    publish(root / "archive", release(root / "archive").version)
    return root / "hub", str(study), root / "copy"


def test_an_older_version_loads_without_the_study(client: Client, places: tuple[Path, str, Path]) -> None:
    """`load` of 1.0.0 warns that it was cut again, and has all but the withdrawn study; the newest says nothing."""
    hub, study, _ = places
    text = "result = [r['study_id'] for r in load(name, 'images', version=version, streaming=True)]"
    for version, count in INSTANCES.items():
        found = client.run(text, name=str(hub), version=version)
        assert study not in found
        assert len(found) == count - SLICES
        assert [f"{version} was cut again without the studies" in said for said in client.warnings] == [True]
    assert len(client.run(text, name=str(hub), version=None)) == INSTANCES["1.1.0"] - SLICES
    assert client.warnings == []


def test_a_copy_of_before_loses_the_study(places: tuple[Path, str, Path]) -> None:
    """The same fetch again, into the folder of before, deletes the study's files and its rows."""
    hub, study, copy = places
    assert (copy / study).is_dir()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = fetch(hub, copy, version="1.0.0")
    assert (again.deleted, again.fetched, again.instances) == (SLICES, 0, 2 * SLICES)
    assert not (copy / study).exists()
    assert study not in pq.read_table(copy / "manifest/studies.parquet")["study_id"].to_pylist()


@pytest.fixture(scope="module")
def half_way(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder hub where 1.1.1 revokes a study that 1.0.0 and 1.1.0, not purged yet, still hold."""
    root = tmp_path_factory.mktemp("half")
    archive.build(root)
    study = pq.read_table(root / "hub/v1.0.0/manifest/studies.parquet")["study_id"].to_pylist()[0]
    withdraw(root / "archive", study)
    FolderHub(root / "hub").publish(release(root / "archive").path)  # and no purge
    assert study in pq.read_table(root / "hub/v1.0.0/manifest/studies.parquet")["study_id"].to_pylist()
    return root / "hub", str(study)


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("config", ["studies", "images", "previews"])
def test_what_the_newest_version_revokes_is_left_out(
    client: Client, half_way: tuple[Path, str], config: str, streaming: bool
) -> None:
    """A hub that is not purged yet deceives nobody: `load` reads the newest revocations, and says so."""
    hub, study = half_way
    text = """
        rows = load(name, config, version="1.0.0", streaming=streaming)
        result = sorted({row["study_id"] for row in rows})
    """
    found = client.run(text, name=str(hub), config=config, streaming=streaming)
    assert study not in found
    assert len(found) == 2
    assert ["left out here" in said for said in client.warnings] == [True]
