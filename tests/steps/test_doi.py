"""A DOI that is known before the cut, and a record of it that holds nothing about a person."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from curate.core.errors import CurateError, HubError, RefusedError
from curate.core.findings import has_errors
from curate.hub.retry import Patience
from curate.steps.publish import Publication, publish
from curate.steps.release import release
from curate.steps.withdraw import withdraw
from curate.verify.release import check_release
from tests import synth
from tests.hub.zenodo_server import ROUTES, TOKEN, Record, ZenodoServer
from tests.steps.test_publish import build, chain, more

FAULTS: dict[str, dict[str, Any]] = {
    "429": {"status": 429, "retry_after": 3},
    "500": {"status": 500},
    "503": {"status": 503},
    "reset": {"reset_midway": True},
    "lost": {"lose_answer": True},
    "401": {"status": 401},
    "403": {"status": 403},
    "always 503": {"status": 503, "nth": None},
    "always lost": {"lose_answer": True, "nth": None},
}
PASSING = ("429", "500", "503", "reset", "lost")


@pytest.fixture
def zenodo(monkeypatch: pytest.MonkeyPatch) -> Iterator[ZenodoServer]:
    """A running stand-in for Zenodo, and no waiting between tries."""
    patient = Patience(attempts=3, sleep=lambda _: None)
    monkeypatch.setattr("curate.hub.Patience", lambda: patient)
    monkeypatch.setattr("curate.hub.zenodo.records.Patience", lambda: patient)
    with ZenodoServer() as server:
        monkeypatch.setenv("ZENODO_ENDPOINT", server.url)
        monkeypatch.setenv("ZENODO_TOKEN", TOKEN)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield server


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An archive with a folder hub, nothing cut."""
    return build(tmp_path, hub=(tmp_path / "hub").as_uri())


def only(zenodo: ZenodoServer) -> Record:
    """The one record."""
    (record,) = zenodo.records.values()
    return record


def test_every_text_of_the_version_bears_the_doi(root: Path, zenodo: ZenodoServer) -> None:
    """Card, CITATION.cff, Croissant, datacite.json and the seal bear the DOI that is reserved, not published yet."""
    cut = release(root, reserve="zenodo://")
    doi = only(zenodo).pids["doi"]["identifier"]
    assert not only(zenodo).published
    assert not only(zenodo).files
    read = {path.name: path.read_text() for path in cut.path.iterdir() if path.is_file()}
    assert yaml.safe_load(read["CITATION.cff"])["doi"] == doi
    assert json.loads(read["datacite.json"])["doi"] == doi
    assert json.loads(read["croissant.json"])["url"] == f"https://doi.org/{doi}"
    assert f"<https://doi.org/{doi}>" in read["README.md"]
    assert json.loads(read["release.json"])["outside"]["doi"] == doi
    assert not has_errors([f for result in check_release(cut.path) for f in result.findings])
    zenodo.forget()
    assert not release(root, reserve="zenodo://").new
    assert not zenodo.requests


def test_check_notices_a_text_without_the_doi(root: Path, zenodo: ZenodoServer) -> None:
    """A text that bears another DOI than the seal is a finding."""
    cut = release(root, reserve="zenodo://")
    path = cut.path / "CITATION.cff"
    path.chmod(0o644)
    path.write_text(path.read_text().replace("10.5072", "10.5073"))
    found = {(f.rule, f.place) for result in check_release(cut.path) for f in result.findings}
    assert ("DOI_STATED", "CITATION.cff") in found


def test_the_archive_may_ask_for_a_doi_every_time(tmp_path: Path, zenodo: ZenodoServer) -> None:
    """`[hub] doi` reserves one a version; both share a concept once the first is published."""
    root = build(tmp_path, 'doi = "zenodo://"', hub=(tmp_path / "hub").as_uri())
    release(root)
    publish(root, "1.0.0")
    publish(root, "1.0.0", "zenodo://")
    more(root, tmp_path / "later", first=5)
    assert release(root).version == "1.1.0"
    publish(root, "1.1.0", "zenodo://")
    first, second = zenodo.records.values()
    assert first.parent == second.parent
    assert first.pids != second.pids
    assert first.published
    assert second.published


def deposited(root: Path) -> Publication:
    """The version, cut with a DOI and deposited."""
    return publish(root, release(root, reserve="zenodo://").version, "zenodo://")


def test_the_record_holds_texts_and_counts_and_nothing_about_a_person(root: Path, zenodo: ZenodoServer) -> None:
    """Card, licences, dictionary, counts, digest; no id of any study, donor, series or instance, no table."""
    told = publish(root, release(root, reserve="zenodo://").version, "zenodo://", dry_run=True)
    before = len(zenodo.requests)
    done = deposited(root)
    assert before < len(zenodo.requests)
    files = {name: data or b"" for name, data in only(zenodo).files.items()}
    assert (told.sent_files, told.sent_bytes) == (done.sent_files, done.sent_bytes)
    assert done.sent_bytes == sum(map(len, files.values()))
    assert done.commit == only(zenodo).pids["doi"]["identifier"]
    assert {"README.md", "TERMS.md", "LICENSE-CC-BY-4.0.txt", "CITATION.cff", "datacite.json"} < set(files)
    assert {"dictionary-studies.json", "counts.json", "release.sha256", "CHANGELOG.md"} < set(files)
    sealed = root / "releases" / "1.0.0" / "release.json"
    assert files["release.sha256"].split()[0].decode() == hashlib.sha256(sealed.read_bytes()).hexdigest()
    assert json.loads(files["counts.json"])["counts"]["studies"] == 2
    needles = set()
    for name in ("studies", "series", "instances"):
        for row in pq.read_table(root / f"releases/1.0.0/manifest/{name}.parquet").to_pylist():
            needles |= {str(value) for key, value in row.items() if key.endswith(("_id", "UID")) and value}
    needles -= {"1.2.840.10008.5.1.4.1.1.2"}  # the class of CT images
    assert len(needles) > 6
    assert not [name for name, data in files.items() if any(n.encode() in data for n in needles)]
    assert not [name for name, data in files.items() if data.startswith(b"PAR1")]


def test_without_a_doi_nothing_is_deposited(root: Path, zenodo: ZenodoServer) -> None:
    """A version that bears no DOI is refused without a request; a published one never gets a DOI later."""
    release(root)
    with pytest.raises(RefusedError, match="bears no DOI") as told:
        publish(root, "1.0.0", "zenodo://")
    assert "--doi" in told.value.hint
    assert not zenodo.requests
    publish(root, "1.0.0")
    with pytest.raises(RefusedError, match="published without a DOI"):
        release(root, reserve="zenodo://")


def test_an_unpublished_cut_gets_its_doi(root: Path, zenodo: ZenodoServer) -> None:
    """What was cut without a DOI and shown to nobody is cut again with one, under the same number."""
    assert release(root).version == "1.0.0"
    cut = release(root, reserve="zenodo://")
    assert (cut.version, cut.new) == ("1.0.0", True)
    assert not release(root).new


def test_a_withdrawal_leaves_the_record_alone(root: Path, zenodo: ZenodoServer) -> None:
    """What was deposited says nothing of a person, so nothing is purged there; the hub is."""
    deposited(root)
    publish(root, "1.0.0")
    record = dict(only(zenodo).files)
    withdraw(root, synth.uid(0, 0))
    cut = release(root)
    zenodo.forget()
    assert publish(root, cut.version).purged == ("v1.0.0",)
    assert not zenodo.requests
    assert only(zenodo).files == record
    recut = json.loads((root / "releases/1.0.0/release.json").read_text())
    assert recut["outside"]["doi"] == only(zenodo).pids["doi"]["identifier"]


ENDPOINTS = sorted({name for name, *_ in ROUTES} - {"z-drop", "z-version"})
SHORT = ("z-create", "z-reserve", "z-publish")


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    "endpoint", [pytest.param(name, marks=() if name in SHORT else pytest.mark.long) for name in ENDPOINTS]
)
def test_every_fault_ends_with_one_record(root: Path, zenodo: ZenodoServer, endpoint: str) -> None:
    """Whatever an endpoint does to cut or deposit, the next run ends with one record, its DOI in the release."""
    before = root.with_name("before")
    shutil.copytree(root, before)
    faults = ("503", "lost", "401") if endpoint in SHORT else FAULTS
    for fault, how in ((name, FAULTS[name]) for name in faults):
        zenodo.records.clear()
        shutil.rmtree(root)
        shutil.copytree(before, root)
        ordered = zenodo.fail(endpoint, **{"nth": 1, **how})
        try:
            deposited(root)
        except CurateError as error:
            assert fault not in PASSING, f"{fault}: {error}"
            assert error.hint
            assert isinstance(error, HubError)
            assert not [e for e in chain(error) if TOKEN in f"{e!r}{vars(e)}" or hasattr(e, "request")]
            zenodo.heal()
            deposited(root)
        assert ordered.struck, "the endpoint was not asked"
        zenodo.heal()
        record = only(zenodo)
        sealed = json.loads((root / "releases" / "1.0.0" / "release.json").read_text())
        assert record.published, fault
        assert record.pids["doi"]["identifier"] == sealed["outside"]["doi"], fault
        assert all(record.files.values()), fault
