"""The day of a leak: closed at once, corrected, purged, told; whatever kills it, a second run ends it."""

from __future__ import annotations

import copy
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from curate.archive.ledger_records import Event
from curate.archive.repository import opened
from curate.core.errors import HubError, InputError, LockedError, RefusedError
from curate.core.findings import has_errors
from curate.deid import pseudonyms
from curate.hub import open_target
from curate.hub.folder.target import FolderHub
from curate.hub.protocol import Settings
from curate.keys.derivation import Keys
from curate.releases.recall_notices import REASONS
from curate.steps.intake import intake
from curate.steps.publish import publish
from curate.steps.recall import recall
from curate.steps.withdraw import withdraw
from curate.verify.release import check_release
from tests import synth
from tests.hub.fixtures import pointed_at
from tests.hub.server import HubServer
from tests.hub.store import Repo
from tests.steps import donors
from tests.steps.archives import curate, curate_json, donation, files_of, make_archive
from tests.steps.donors import release

HF = "hf://org/held"
PARTS = 8  # so that several processes share the exhaustive one


EPOCH = "1767225600"


def take_in(root: Path, folder: Path, first: int, studies: int = 2) -> None:
    """A donation of some studies more."""
    source, table = donation(folder, studies=studies, instances=2, first=first)
    intake(root, [source], table, deidentify=True, workers=1)


def build(work: Path, hub: str) -> Path:
    """An archive that published 1.0.0 with studies 0 and 1, and 1.1.0 with 2 and 3 as well; one more waits."""
    root = make_archive(work / "archive", hub=hub)
    (root / "secret.key").write_text("60" * 32 + "\n")
    for number, version in enumerate(("1.0.0", "1.1.0")):
        take_in(root, work / f"donated{number}", first=2 * number)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SOURCE_DATE_EPOCH", EPOCH)  # no later version may be cut on an earlier day
            assert release(root).version == version
        publish(root, version)
    take_in(root, work / "later", first=9, studies=1)
    toml = root / "archive.toml"
    toml.write_text(toml.read_text().replace("required = 0", "required = 2"))
    return root


def _opened(root: Path) -> list[Event]:
    with opened(root, write=False) as archive:
        return list(archive.ledger.events("release_opened"))


def id_of(root: Path, study: int) -> str:
    """The published id of a synthetic study."""
    keys = Keys.from_secret(bytes.fromhex((root / "secret.key").read_text().strip()))
    return str(pseudonyms.new_uid(keys, synth.uid(study, 0)))


def places(folder: Path, *needles: str) -> list[str]:
    """The files that show one of the ids."""
    found = []
    for name, data in files_of(folder).items():
        cells = str(pq.read_table(folder / name).to_pydict()) if name.endswith(".parquet") else ""
        if any(needle.encode() in data or needle in cells for needle in needles):
            found.append(name)
    return found


def events(root: Path, *kinds: str) -> list[str]:
    """The ledger's events of a recall, and of what it calls, in their order."""
    with opened(root, write=False) as archive:
        return [event.kind for event in archive.ledger.events() if not kinds or event.kind in kinds]


@pytest.fixture(scope="module")
def folder(fast_folder: Path) -> Iterator[Path]:
    """`before`: an archive whose hub is a folder, as it must lie in `work`; and one on the Hub, in `hf`."""
    made = fast_folder / "recalls"
    made.mkdir()
    (made / "work").mkdir()
    build(made / "work", (made / "work" / "hub").as_uri())
    shutil.copytree(made / "work", made / "before")
    yield made
    remove(made)


@pytest.fixture(scope="module")
def on_the_hub(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Repo]]:
    """An archive that is published on the Hub, and what the hub then holds."""
    made = tmp_path_factory.mktemp("hf")
    with HubServer() as hub, pointed_at(hub, made / "home"):
        return build(made, HF), hub.repos


@pytest.fixture
def work(folder: Path) -> Path:
    """Where the archive and its folder hub lie, as they were."""
    remove(folder / "work")
    shutil.copytree(folder / "before", folder / "work")
    return folder / "work"


@pytest.fixture
def root(work: Path) -> Path:
    """The archive whose hub is a folder."""
    return work / "archive"


@pytest.fixture
def hf_root(on_the_hub: tuple[Path, dict[str, Repo]], hub: HubServer, tmp_path: Path) -> Path:
    """The archive on the Hub."""
    hub.repos = copy.deepcopy(on_the_hub[1])
    shutil.copytree(on_the_hub[0], tmp_path / "archive")
    return tmp_path / "archive"


def test_a_study_is_recalled_everywhere_and_the_public_is_told(root: Path, work: Path) -> None:
    """Under no tag is anything of it; the corrected and the older cards bear the notice; nothing new slips out."""
    study, hub = id_of(root, 1), work / "hub"
    assert places(hub, study)
    done = recall(root, synth.uid(1, 0), "PIXELS")
    assert (done.studies, done.versions, done.corrected) == (1, ("1.0.0", "1.1.0"), "1.1.1")
    assert (done.remaining, done.targets) == ((), (hub.as_uri(),))
    assert not places(hub, study)
    assert not places(root / "releases", study)
    assert not places(root / "packs", study)
    assert sorted(path.name for path in hub.iterdir()) == ["refs.json", "v1.0.0", "v1.1.0", "v1.1.1"]
    for version in ("v1.0.0", "v1.1.0", "v1.1.1"):
        card = (hub / version / "README.md").read_text()
        assert "**Notice.** On " in card
        assert "1 study was recalled from version 1.0.0, 1.1.0. Reason PIXELS:" in card
        assert not has_errors([f for result in check_release(hub / version) for f in result.findings])
    assert "Reason PIXELS" in (hub / "v1.1.1" / "CHANGELOG.md").read_text()
    rows = pq.read_table(hub / "v1.1.1" / "manifest" / "revocations.parquet").to_pylist()
    assert [row["version"] for row in rows] == ["1.1.1"] * 2
    studies = pq.read_table(hub / "v1.1.1" / "manifest" / "studies.parquet")["study_id"].to_pylist()
    assert studies == sorted(id_of(root, n) for n in (0, 2, 3))  # 9 waits for its reviewers
    assert not (root / "recalls").exists() or not list((root / "recalls").iterdir())


def test_a_clock_that_went_back_delays_no_recall(root: Path, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The corrected version bears the date of the version before it, and the hubs hold nothing of the study."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "946684800")
    done = recall(root, synth.uid(1, 0), "PIXELS")
    assert (done.corrected, done.remaining) == ("1.1.1", ())
    dates = [event.payload["date"] for event in _opened(root)]
    assert dates == ["2026-01-01"] * 3
    with pytest.raises(RefusedError, match="Today is 2000-01-01"):
        release(root)


def test_every_step_is_in_the_ledger_with_who_did_it(root: Path) -> None:
    """Opened, closed, withdrawn, cut, published, purged, opened again, done; each by an account."""
    before = len(events(root))
    recall(root, id_of(root, 1), "HEADER")
    kinds = events(root)[before:]
    wanted = ["recall_opened", "recall_closed", "withdrawn", "released", "recall_cut", "published", "purged"]
    wanted += ["recall_reopened", "recall_done"]
    assert [kind for kind in kinds if kind in wanted and kind not in ("purged",)] == [
        kind for kind in wanted if kind != "purged"
    ]
    with opened(root, write=False) as archive:
        (event,) = archive.ledger.events("recall_opened")
        assert event.who
        assert event.payload["reason"] == "HEADER"


def test_what_is_done_already_is_said_with_its_time(root: Path) -> None:
    """A finished recall, run again by any of its names or rehearsed, changes nothing and says when it was done."""
    recall(root, "1.1.0", "CONSENT")
    with opened(root, write=False) as archive:
        (ended,) = archive.ledger.events("recall_done")
    before = events(root)
    for subject in ("v1.1.0", id_of(root, 2), synth.uid(3, 0)):
        told = curate_json("recall", root, subject, "--reason", "PIXELS")
        assert (told["already"], told["studies"], told["corrected"]) == (ended.at, 2, "1.1.1")
        assert told["reason"] == "CONSENT"
    shown = curate("recall", root, "1.1.0", "--reason", "CONSENT", "--drill").stdout
    assert f"done already, since {ended.at}" in shown
    assert events(root) == before


def test_the_next_release_bears_no_notice_and_adds_what_waited(root: Path) -> None:
    """After a recall nothing is new but what waits; its version is an ordinary one."""
    recall(root, id_of(root, 1), "PIXELS")
    cut = release(root)
    assert (cut.version, cut.added, cut.removed) == ("1.2.0", 1, 0)
    card = (cut.path / "README.md").read_text()
    assert "Notice" not in card
    assert "Reason PIXELS" in (cut.path / "CHANGELOG.md").read_text()
    assert not release(root).new


def test_a_version_is_recalled_with_all_that_it_brought(root: Path, work: Path) -> None:
    """The studies that 1.1.0 added go, those of 1.0.0 stay, and 1.0.0 is not touched."""
    before = files_of(work / "hub" / "v1.0.0")
    done = recall(root, "v1.1.0", "CONSENT")
    assert (done.subject, done.studies, done.versions, done.corrected) == ("1.1.0", 2, ("1.1.0",), "1.1.1")
    assert not places(work / "hub", id_of(root, 2), id_of(root, 3))
    assert files_of(work / "hub" / "v1.0.0") == before
    assert "2 studies were recalled" in (work / "hub" / "v1.1.1" / "README.md").read_text()


def test_what_cannot_be_recalled_is_said(root: Path) -> None:
    """An unknown reason, an unknown study, a version that was never cut, one that brought nothing."""
    for subject, reason, said in (
        ("1.0.0", "BECAUSE", "no reason"),
        ("1.2.345", "PIXELS", "no release"),
        ("2.25.1.7", "PIXELS", "Nothing that is published"),
        (synth.uid(9, 0), "PIXELS", "Nothing that is published"),
    ):
        with pytest.raises(InputError, match=said) as told:
            recall(root, subject, reason)
        assert told.value.hint


def test_a_drill_changes_nothing(root: Path, work: Path) -> None:
    """A rehearsal says what would happen, with the same numbers, and leaves archive and hub byte by byte."""
    before, hub = files_of(root), files_of(work / "hub")
    told = curate_json("recall", root, id_of(root, 1), "--reason", "PIXELS", "--drill")
    after = files_of(root)
    for name in ("ledger.db", "ledger.db-wal", "ledger.db-shm", "lock"):
        before.pop(name, None)
        after.pop(name, None)
    assert after == before
    assert files_of(work / "hub") == hub
    assert (told["drill"], told["corrected"], told["remaining"]) == (True, "1.1.1", [])
    assert [step["step"] for step in told["steps"]] == [
        *("closed", "recorded", "withdrawn", "cut", "published and purged", "opened"),
    ]
    assert "recall_opened" not in events(root)
    real = recall(root, id_of(root, 1), "PIXELS")
    assert (real.studies, real.corrected) == (told["studies"], told["corrected"])


def test_a_drill_does_not_touch_the_real_hub(hf_root: Path, hub: HubServer) -> None:
    """An archive on the Hub is rehearsed without a single request."""
    hub.forget()
    done = recall(hf_root, id_of(hf_root, 1), "PIXELS", drill=True)
    assert not hub.requests
    assert done.targets == (HF,)
    assert done.corrected == "1.1.1"


def test_a_busy_archive_does_not_delay_the_closing(hf_root: Path, hub: HubServer) -> None:
    """While another process holds the lock the repository is closed already; the next run does the rest."""
    open_target(HF).open_to_readers(Settings(private=False, gated="auto"))
    with opened(hf_root, write=True), pytest.raises(LockedError, match="closed to readers; the rest"):
        recall(hf_root, id_of(hf_root, 1), "FACE")
    assert hub.repo("org/held").private
    assert recall(hf_root, id_of(hf_root, 1), "FACE").corrected == "1.1.1"
    assert (hub.repo("org/held").private, hub.repo("org/held").gated) == (False, "auto")


def test_it_is_closed_before_anything_else(hf_root: Path, hub: HubServer) -> None:
    """No file is sent, and no tag moved, while readers can still come in; it opens last."""
    seen: list[bool] = []
    for endpoint in ("commit", "tag", "lfs-put", "delete-tag", "lfs-delete"):
        hub.fail(endpoint, nth=None, before=lambda: seen.append(hub.repo("org/held").private))
    recall(hf_root, id_of(hf_root, 1), "PIXELS")
    assert len(seen) > 4
    assert all(seen)
    assert not hub.repo("org/held").private


def test_what_is_still_served_keeps_it_closed(hf_root: Path, hub: HubServer) -> None:
    """Bytes that the hub does not let go of are named, and the repository stays closed until they are gone."""
    repo = hub.repo("org/held")
    kept = dict(repo.lfs)
    hub.fail("lfs-files", nth={1, 2, 3, 4}, before=lambda: repo.lfs.update(kept))
    with pytest.raises(HubError, match="stays closed"):
        recall(hf_root, id_of(hf_root, 1), "PIXELS")
    assert repo.private
    hub.heal()
    assert recall(hf_root, id_of(hf_root, 1), "PIXELS").remaining == ()
    assert not repo.private


@pytest.mark.parametrize("share", [1, 2, 3])
def test_a_hub_that_fails_anywhere_is_taken_up_again(hf_root: Path, hub: HubServer, share: int, tmp_path: Path) -> None:
    """Whatever request the hub stops answering at, the next run ends as an undisturbed one."""
    shutil.copytree(hf_root, tmp_path / "copy", copy_function=shutil.copy2)
    before = copy.deepcopy(hub.repos)
    hub.forget()
    recall(tmp_path / "copy", id_of(hf_root, 1), "PIXELS")
    expected, calls = hub.repo("org/held"), len(hub.requests)
    hub.repos = before
    stop = calls * share // 4
    hub.fail(r".", nth=range(stop, stop + 10_000), status=403)
    with pytest.raises(HubError) as told:
        recall(hf_root, id_of(hf_root, 1), "PIXELS")
    assert told.value.hint
    hub.heal()
    done = recall(hf_root, id_of(hf_root, 1), "PIXELS")
    found = hub.repo("org/held")
    assert done.corrected == "1.1.1"
    assert {tag: _sealed(found, tag) for tag in found.tags} == {tag: _sealed(expected, tag) for tag in expected.tags}
    assert _held(found) == _held(expected)
    assert not found.private


def _sealed(repo: Repo, tag: str) -> dict[str, str]:
    """What `release.json` seals: attestations are salted anew by each archive that signs them."""
    return {path: digest for path, digest in repo.tree(tag).items() if not path.startswith("attestations/")}


def _held(repo: Repo) -> set[str]:
    """The large objects that the hub holds, without the attestations that a tag has."""
    trees = [repo.tree(tag) for tag in repo.tags]
    return set(repo.lfs) - {digest for tree in trees for path, digest in tree.items() if "attestations/" in path}


class Bench:
    """A process that is killed at any durable step of a recall, and what an undisturbed one leaves."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root = folder, folder / "work" / "archive"
        environment = {**os.environ, "SOURCE_DATE_EPOCH": EPOCH}
        command = [sys.executable, "-m", "tests.steps.fault_driver"]
        self.driver = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.restore()
        self.study = id_of(self.root, 1)
        whole = self.run()
        assert whole["code"] == 0, whole["output"]
        self.steps, self.expected = int(whole["steps"]), self.state()

    def run(self, at: int = 0) -> dict[str, Any]:
        """The command, killed before its `at`-th durable step."""
        arguments = ["recall", str(self.root), self.study, "--reason", "PIXELS", "--quiet"]
        assert self.driver.stdin
        assert self.driver.stdout
        self.driver.stdin.write(json.dumps({"arguments": arguments, "at": at, "fault": "SIGKILL"}) + "\n")
        self.driver.stdin.flush()
        answer: dict[str, Any] = json.loads(self.driver.stdout.readline())
        assert "Traceback" not in answer["output"], answer["output"]
        return answer

    def restore(self) -> None:
        """Before the recall."""
        remove(self.folder / "work")
        shutil.copytree(self.folder / "before", self.folder / "work")

    def state(self) -> dict[str, object]:
        """What must not depend on where it was killed."""
        with opened(self.root, write=False) as archive:
            said = [(e.kind, e.subject, str(e.payload)) for e in archive.ledger.events()]
        return {
            "hub": files_of(self.folder / "work" / "hub"),
            "releases": files_of(self.root / "releases"),
            "packs": sorted(files_of(self.root / "packs")),
            "recalls": sorted(files_of(self.root / "recalls")),
            "ledger": sorted(said),
        }

    def kill_at(self, step: int) -> None:
        """A kill, then another run."""
        self.restore()
        assert self.run(step)["signal"] == signal.SIGKILL
        again = self.run()
        assert again["code"] == 0, f"after step {step}: {again['output']}"
        found = self.state()
        assert {name for name in found if found[name] != self.expected[name]} == set(), f"after step {step}"


def remove(folder: Path) -> None:
    """A folder of sealed folders."""
    for path in [folder, *folder.rglob("*")] if folder.exists() else ():
        if path.is_dir():
            path.chmod(0o755)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def bench(folder: Path) -> Iterator[Bench]:
    """One for all kills."""
    made = Bench(folder)
    yield made
    made.driver.communicate()


@pytest.mark.parametrize("share", [0.01, 0.5, 0.951, 0.99])  # 0.951: a re-cut stands beside what was closed
def test_a_killed_recall_goes_on(bench: Bench, share: float) -> None:
    """At steps spread over the way: a second run ends as if nothing had happened."""
    bench.kill_at(max(1, int(bench.steps * share)))


@pytest.mark.sampled(1)
@pytest.mark.long
@pytest.mark.parametrize("part", range(PARTS))
def test_a_recall_killed_at_every_step(bench: Bench, part: int) -> None:
    """The same at every single durable step."""
    for step in range(1 + part, bench.steps + 1, PARTS):
        bench.kill_at(step)


def test_the_command_says_what_it_did(root: Path) -> None:
    """Text for people; an unknown reason is exit 2 with the list of reasons."""
    wrong = curate("recall", root, "1.1.0", "--reason", "BAD", code=2)
    assert all(code in wrong.stderr for code in REASONS)
    done = curate("recall", root, "1.1.0", "--reason", "pixels", "--quiet")
    assert "Recalled 2 studies from 1.1.0; 1.1.1 is without" in done.stdout


def test_one_hub_that_fails_does_not_keep_another_open(hf_root: Path, hub: HubServer, tmp_path: Path) -> None:
    """Every target is closed, whichever fails; the next run corrects them all."""
    folder = tmp_path / "second"
    for version in ("1.0.0", "1.1.0"):
        FolderHub(folder).publish(hf_root / "releases" / version)
    toml = hf_root / "archive.toml"
    toml.write_text(toml.read_text().replace("required = 2", "required = 0"))
    publish(hf_root, "1.0.0", folder.as_uri())
    publish(hf_root, "1.1.0", folder.as_uri())
    toml.write_text(toml.read_text().replace("required = 0", "required = 2"))
    hub.fail("settings", nth=None, status=403)
    with pytest.raises(HubError, match="may not do this"):
        recall(hf_root, id_of(hf_root, 1), "RIGHTS")
    assert not list(folder.glob("v*"))
    hub.heal()
    done = recall(hf_root, id_of(hf_root, 1), "RIGHTS")
    assert done.targets == tuple(sorted((HF, folder.as_uri())))
    assert not places(folder, id_of(hf_root, 1))
    assert sorted(path.name for path in folder.glob("v*")) == ["v1.0.0", "v1.1.0", "v1.1.1"]
    assert set(hub.repo("org/held").tags) == {"v1.0.0", "v1.1.0", "v1.1.1"}


def test_what_was_withdrawn_but_not_purged_can_be_recalled(root: Path, work: Path) -> None:
    """A withdrawal that waits for its release is overtaken: the public gets the notice."""
    withdraw(root, id_of(root, 1))
    assert places(work / "hub", id_of(root, 1))
    done = recall(root, synth.uid(1, 0), "FACE")
    assert (done.versions, done.corrected) == (("1.0.0", "1.1.0"), "1.1.1")
    assert not places(work / "hub", id_of(root, 1))
    assert "Reason FACE" in (work / "hub" / "v1.1.1" / "README.md").read_text()


def test_persons_stay_safe(tmp_path: Path) -> None:
    """Of persons, the corrected version passes the count of donors who look alike; what waits is not added."""
    root = donors.make_archive(tmp_path / "archive")
    donors.take_in(root, tmp_path / "given", range(60))
    publish(root, release(root).version, (tmp_path / "hub").as_uri())
    donors.take_in(root, tmp_path / "later", range(60, 90))
    study = pq.read_table(root / "releases/1.0.0/manifest/studies.parquet")["study_id"].to_pylist()[7]
    done = recall(root, study, "REIDENTIFIED")
    assert (done.corrected, done.studies) == ("1.0.1", 1)
    assert not has_errors([f for result in check_release(tmp_path / "hub/v1.0.1") for f in result.findings])
    assert not places(tmp_path / "hub", study)
