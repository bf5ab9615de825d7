"""An archive that was restored from a backup republishes nothing that was withdrawn since, and finds its way back."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from curate.archive.repository import opened
from curate.core.errors import RefusedError
from curate.hub import open_target
from curate.steps.adopt import adopt
from curate.steps.audit import audit
from curate.steps.doctor import doctor
from curate.steps.intake import intake
from curate.steps.publish import publish
from curate.steps.purge import purge
from curate.steps.release import release
from curate.steps.withdraw import withdraw
from tests import synth
from tests.hub.server import HubServer
from tests.steps.archives import curate, curate_json, donation, files_of, make_archive
from tests.steps.test_recall import id_of, places

HF = "hf://org/held"


def more(root: Path, first: int, studies: int = 1) -> None:
    """A donation of some studies more."""
    source, table = donation(root.parent / f"donated{first}", studies=studies, instances=2, first=first)
    intake(root, [source], table, deidentify=True, workers=1)


def build(root: Path, hub: str) -> Path:
    """An archive that published 1.0.0 with studies 0 to 2; its backup is of then."""
    make_archive(root, hub=hub)
    (root / "secret.key").write_text("60" * 32 + "\n")
    more(root, 0, studies=3)
    publish(root, release(root).version)
    shutil.copytree(root, root.parent / "backup")
    return root


def restore(root: Path) -> None:
    """Put the backup in the archive's place."""
    shutil.rmtree(root)
    shutil.copytree(root.parent / "backup", root)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive, its folder hub and its backup, in a folder that tests take copies of."""
    folder = tmp_path_factory.mktemp("made")
    build(folder / "archive", (folder / "hub").as_uri())
    return folder


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """The archive, with a hub of its own."""
    work = Path(shutil.copytree(made, tmp_path / "work"))
    for name in ("archive", "backup"):
        _moved(work / name, made, work)
    return work / "archive"


def _moved(archive: Path, before: Path, now: Path) -> None:
    """Let an archive that was copied publish to the copied hub, as if it had always done so."""
    path = archive / "archive.toml"
    path.write_text(path.read_text().replace((before / "hub").as_uri(), (now / "hub").as_uri()))
    with opened(archive, write=True) as held, held.ledger.transaction():
        for event in list(held.ledger.events("published")):
            payload = {**event.payload, "target": (now / "hub").as_uri()}
            held.ledger.append(event.at, "published", event.subject, payload, who="", tool="")
            gone = {"target": event.payload["target"], "digest": payload["digest"], "dropped": True}
            held.ledger.append(event.at, "purged", event.subject, gone, who="", tool="")


def _errors(place: Path) -> set[str]:
    from curate.core.findings import Severity

    return {f.rule for r in audit([place]) for f in r.findings if f.severity is Severity.ERROR}


def _cut_and_refused(root: Path, to: str = "") -> str:
    """As after a restoration: a study more, cut; the publication is refused. Gives the version."""
    more(root, 20)
    version = release(root).version
    with pytest.raises(RefusedError, match="older than") as told:
        publish(root, version, to)
    assert "curate adopt" in told.value.hint
    return version


@pytest.mark.parametrize("later", ["released", "purged only"])
def test_a_backup_older_than_a_withdrawal_republishes_nobody(root: Path, later: str) -> None:
    """Publish and doctor notice it by log or revocations; adopt withdraws here, and the archive goes on."""
    hub, study = root.parent / "hub", id_of(root, 1)
    withdraw(root, synth.uid(1, 0))
    if later == "released":
        publish(root, release(root).version)
    else:
        purge(root)
    assert not places(hub, study)
    restore(root)
    before = files_of(hub)
    _cut_and_refused(root)
    assert files_of(hub) == before
    assert "HUB_AHEAD" in [f.rule for f in doctor(root, dry_run=True).damaged]
    (done,) = curate_json("adopt", root)
    assert done["studies"] == 1
    assert not places(root / "releases", study)
    assert not places(root / "packs", study)
    assert doctor(root).damaged == []
    cut = release(root)
    assert cut.version == "1.1.0"
    publish(root, cut.version)
    assert not places(hub, study)
    assert _errors(hub) == set()
    ids = pq.read_table(hub / f"v{cut.version}/manifest/studies.parquet")["study_id"].to_pylist()
    assert ids == sorted(id_of(root, n) for n in (0, 2, 20))
    assert curate_json("adopt", root)[0]["already"]


def test_a_version_that_the_backup_does_not_know_comes_back(root: Path) -> None:
    """What was published since is brought from the hub, counted as published, and the next version follows it."""
    hub = root.parent / "hub"
    more(root, 10)
    withdraw(root, synth.uid(0, 0))
    publish(root, release(root).version)
    restore(root)
    more(root, 20)
    assert release(root).version == "1.1.0"
    with pytest.raises(RefusedError, match="older than"):
        publish(root, "1.1.0")
    (done,) = adopt(root)
    assert (set(done.versions), done.studies) == ({"1.0.0", "1.1.0"}, 1)
    more(root, 10)  # what came after the backup is taken in again
    cut = release(root)
    assert cut.version == "1.2.0"
    publish(root, cut.version)
    assert _errors(hub) == set()
    assert not places(hub, id_of(root, 0))
    ids = pq.read_table(cut.path / "manifest/studies.parquet")["study_id"].to_pylist()
    assert ids == sorted(id_of(root, n) for n in (1, 2, 10, 20))


def test_a_withdrawn_study_that_is_sent_again_is_not_admitted(root: Path) -> None:
    """One that came and went after the backup, so that no record of it is left, is known by its bytes."""
    more(root, 10)
    publish(root, release(root).version)
    withdraw(root, synth.uid(10, 0))
    publish(root, release(root).version)
    restore(root)
    adopt(root)
    study = id_of(root, 10)
    source, table = root.parent / "donated10", root.parent / "donated10.csv"
    for _ in range(2):  # the second time before it is read
        report = intake(root, [source], table, deidentify=True, workers=1)
        assert (report.admitted_studies, report.quarantined_studies) == (0, 1)
        assert "STUDY_WITHDRAWN" in {finding.rule for finding in report.findings}
        with opened(root, write=False) as held:
            assert not held.ledger.has_study(study)
            assert [entry.codes for entry in held.ledger.quarantined()] == [{"STUDY_WITHDRAWN": 1}]
    assert not places(root / "packs", study)
    more(root, 20)
    publish(root, release(root).version)
    assert not places(root.parent / "hub", id_of(root, 10))
    assert _errors(root.parent / "hub") == set()


def test_an_old_purge_that_waited_puts_nobody_back(root: Path) -> None:
    """A restored archive with a withdrawal of its own does not bring back who was withdrawn meanwhile."""
    withdraw(root, synth.uid(1, 0))
    purge(root)
    restore(root)
    withdraw(root, synth.uid(2, 0))
    with pytest.raises(RefusedError, match="known as withdrawn"):
        purge(root)
    adopt(root)
    purge(root)
    hub = root.parent / "hub"
    assert not places(hub, id_of(root, 1), id_of(root, 2))
    publish(root, release(root).version)
    assert _errors(hub) == set()


def test_a_second_hub_knows_it_too(root: Path) -> None:
    """The hub that is published to may have slept through the withdrawal: all hubs are asked."""
    second = (root.parent / "second").as_uri()
    publish(root, "1.0.0", second)
    shutil.rmtree(root.parent / "backup")
    shutil.copytree(root, root.parent / "backup")
    withdraw(root, synth.uid(1, 0))
    publish(root, release(root).version, second)
    restore(root)
    _cut_and_refused(root)
    told = curate("publish", root, "1.1.0", code=2)
    assert "second" in told.stderr
    adopt(root)
    publish(root, release(root).version)
    purge(root)
    assert not places(root.parent / "hub", id_of(root, 1))


def test_another_archive_at_the_same_place_is_refused(root: Path, tmp_path: Path) -> None:
    """A hub whose checkpoints bear a strange key is not published to."""
    other = make_archive(tmp_path / "other", hub=(root.parent / "hub").as_uri())
    more(other, 30)
    with pytest.raises(RefusedError, match="does not bear the signature"):
        publish(other, release(other).version)


def test_the_hub_of_hugging_face_knows_it_too(tmp_path: Path, hub: HubServer) -> None:
    """The same over HTTP, with the real client."""
    root = build(tmp_path / "archive", HF)
    withdraw(root, synth.uid(1, 0))
    publish(root, release(root).version)
    restore(root)
    _cut_and_refused(root)
    assert adopt(root)[0].studies == 1
    version = release(root).version
    publish(root, version)
    target = open_target(HF)
    for each in target.versions():
        packs = [path for path in target.holds(each) if path.startswith("packs/")]
        assert not any(id_of(root, 1).encode() in target.read(each, path) for path in packs)
    assert {f.rule for r in audit([HF]) for f in r.findings} <= {"ATTESTATION_KEY_NOT_GIVEN"}
