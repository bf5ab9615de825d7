"""An archive that is built once, its two versions on a folder hub and on the HTTP hub, and a client."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path

import pytest

from curate.hub import open_target
from tests.hub.fixtures import pointed_at
from tests.hub.server import HubServer
from tests.loading import archive
from tests.loading.client import Client

REPO = "org/scans"


@pytest.fixture(scope="session")
def folder_hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder hub with 1.0.0 (three studies) and 1.1.0 (four); to be read only."""
    return archive.build(tmp_path_factory.mktemp("archive"))


@pytest.fixture(scope="session")
def first(folder_hub: Path) -> Path:
    """The release 1.0.0."""
    return folder_hub / "v1.0.0"


@pytest.fixture(scope="session")
def second(folder_hub: Path) -> Path:
    """The release 1.1.0."""
    return folder_hub / "v1.1.0"


@pytest.fixture(scope="session")
def served(first: Path, second: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubServer]:
    """A running hub where both versions are published as `org/scans`."""
    with HubServer() as hub:
        with pointed_at(hub, tmp_path_factory.mktemp("home")):
            for release in (first, second):
                open_target(f"hf://{REPO}").publish(release)
        yield hub


@pytest.fixture(scope="session")
def process(served: HubServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """The process of the tests' clients: importing them takes longer than most tests."""
    found = Client(served, tmp_path_factory.mktemp("client"))
    yield found
    found.close()


@pytest.fixture
def client(process: Client, request: pytest.FixtureRequest) -> Client:
    """A client with a repository of its own, `client.name`, so that no cache knows it; the hub is healthy."""
    hub = process.hub
    hub.heal()
    hub.forget()
    process.run("from curate.attestation import pinned_keys; pinned_keys.path().unlink(missing_ok=True)")
    process.name = f"org/{request.node.name.split('[')[0][:40]}-{len(hub.repos)}"
    hub.repos[process.name] = copy.deepcopy(hub.repos[REPO])
    hub.repos[process.name].name = process.name
    return process
