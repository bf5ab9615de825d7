"""What `publish` sets, remembers, sends and never shows; killed at any request, ended from another machine."""

from __future__ import annotations

import io
import json
import logging
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
import yaml

from curate import licenses
from curate.core.errors import HubError, InputError, RefusedError
from curate.hub.retry import Patience
from curate.steps.intake import intake
from curate.steps.publish import publish
from curate.steps.release import release
from tests.hub.server import TOKEN, HubServer
from tests.hub.store import Repo
from tests.hub.test_fault_matrix import state
from tests.steps import donors
from tests.steps.archives import curate, donation, files_of, make_archive

HF = "hf://org/held"


def build(folder: Path, *toml: str, hub: str = HF) -> Path:
    """An archive of two studies; `toml` are lines of `[hub]`."""
    root = make_archive(folder / "archive", hub=hub)
    path = root / "archive.toml"
    path.write_text(path.read_text().replace("[hub]\n", "\n".join(["[hub]", *toml, ""])))
    more(root, folder / "donated", first=0)
    return root


def more(root: Path, folder: Path, first: int) -> None:
    """Two studies more."""
    source, table = donation(folder, studies=2, instances=2, first=first)
    intake(root, [source], table, deidentify=True, workers=1)


def front(root: Path, version: str = "1.0.0") -> dict[str, Any]:
    """The YAML of a card."""
    text = (root / "releases" / version / "README.md").read_text()
    found: dict[str, Any] = yaml.safe_load(text.split("---\n")[1])
    return found


@pytest.mark.parametrize("gated", ["auto", "manual"])
def test_a_gated_archive_says_so_on_its_card_and_its_hub(tmp_path: Path, hub: HubServer, gated: str) -> None:
    """`[hub] gated` puts the terms before the reader, and sets the repository, private where that is said."""
    root = build(tmp_path, f'gated = "{gated}"', "private = true")
    release(root)
    assert front(root)["extra_gated_prompt"] == licenses.terms()
    assert "accept the terms on its page" in (root / "releases/1.0.0/README.md").read_text()
    publish(root, "1.0.0")
    assert (hub.repo("org/held").gated, hub.repo("org/held").private) == (gated, True)
    publish(root, "1.0.0", private=False, gated="off")
    assert (hub.repo("org/held").gated, hub.repo("org/held").private) == (False, False)


def test_an_open_archive_is_open(tmp_path: Path, hub: HubServer) -> None:
    """Without `gated` the card asks nothing, the organisation's repository is public, and --gated is refused."""
    root = build(tmp_path)
    release(root)
    assert not [key for key in front(root) if key.startswith("extra_gated")]
    with pytest.raises(RefusedError, match="does not ask readers") as told:
        publish(root, "1.0.0", gated="manual")
    assert "archive.toml" in told.value.hint
    publish(root, "1.0.0")
    assert (hub.repo("org/held").gated, hub.repo("org/held").private) == (False, False)
    with pytest.raises(InputError, match="auto, manual or off"):
        publish(root, "1.0.0", gated="maybe")


def test_a_foreign_organisation_is_one_clear_line(tmp_path: Path, hub: HubServer) -> None:
    """A repository below an organisation that the login has no right in is refused, and nothing is sent."""
    root = build(tmp_path)
    release(root)
    with pytest.raises(HubError, match="may not do this"):
        publish(root, "1.0.0", "hf://strangers/held")
    assert "strangers/held" not in hub.repos


def test_what_is_safe_for_gated_access_is_never_open(tmp_path: Path, hub: HubServer) -> None:
    """With `[privacy] access = "gated"` the card asks by itself, the hub is gated, and --gated off is refused."""
    root = donors.make_archive(tmp_path / "archive")
    donors.take_in(root, tmp_path / "given", range(30))
    cut = donors.release(root)
    assert "extra_gated_prompt" in front(root, cut.version)
    with pytest.raises(RefusedError, match="gated access only"):
        publish(root, cut.version, HF, gated="off")
    publish(root, cut.version, HF)
    assert hub.repo("org/held").gated == "auto"


def test_governance_is_stated(tmp_path: Path) -> None:
    """DUO codes and RAI properties that the archive states are in Croissant; a wrong code or file is refused."""
    root = build(tmp_path)
    path = root / "archive.toml"
    plain = path.read_text()
    assert "[governance]" in plain
    stated = '[governance]\ndata_use = ["DUO:0000042"]\nresponsible = "responsible.toml"\n'
    path.write_text(plain.replace("[governance]", stated))
    with pytest.raises(InputError, match=r"which \[governance\] names, cannot be read"):
        release(root)
    (root / "responsible.toml").write_text('dataBiases = "One hospital."\n')
    cut = release(root)
    read = json.loads((cut.path / "croissant.json").read_text())
    assert [term["termCode"] for term in read["usageInfo"]] == ["DUO_0000042"]
    assert read["rai:dataBiases"] == "One hospital."
    path.write_text(path.read_text().replace("DUO:0000042", "DUO:9"))
    with pytest.raises(InputError, match="takes DUO codes"):
        release(root)


def test_every_release_has_a_datacite_record(tmp_path: Path) -> None:
    """datacite.json is sealed with the release, states its version, and `check` notices another one."""
    root = build(tmp_path)
    cut = release(root)
    record = json.loads((cut.path / "datacite.json").read_text())
    assert (record["version"], record["types"]["resourceTypeGeneral"]) == ("1.0.0", "Dataset")
    assert "datacite.json" in json.loads((cut.path / "release.json").read_text())["files"]
    (cut.path / "datacite.json").chmod(0o644)
    (cut.path / "datacite.json").write_text(json.dumps({**record, "version": "9.9.9"}))
    assert "DATACITE_VERSION" in curate("check", cut.path, code=1).stdout


def packs_of(folder: Path) -> list[Path]:
    """The packs of a release."""
    return sorted((folder / "packs").rglob("*.parquet"))


def test_packs_that_passed_before_are_not_read_again(tmp_path: Path) -> None:
    """A second publication leaves proven packs unread; `--full`, and any change of file or rows, reads them."""
    root = build(tmp_path, hub=(tmp_path / "hub").as_uri())
    cut = release(root)
    publish(root, cut.version)
    (pack,) = packs_of(cut.path)
    state, data = pack.stat(), pack.read_bytes()
    pack.chmod(0o644)
    damaged = data[:2000] + bytes(500) + data[2500:]
    assert damaged != data
    pack.write_bytes(damaged)  # if it is read, it is found out
    os.utime(pack, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert publish(root, cut.version).already
    with pytest.raises(RefusedError, match="does not pass"):
        publish(root, cut.version, full=True)
    pack.write_bytes(data)
    os.utime(pack, ns=(state.st_atime_ns, state.st_mtime_ns))
    publish(root, cut.version, full=True)
    pack.write_bytes(damaged)  # at another time
    with pytest.raises(RefusedError, match="does not pass"):
        publish(root, cut.version)


def test_progress_is_told_while_files_are_sent(tmp_path: Path, hub: HubServer) -> None:
    """Every file and byte that is sent is counted where progress is shown."""
    root = build(tmp_path)
    release(root)
    shown = Counted()
    done = publish(root, "1.0.0", progress=shown)
    assert shown.units["files"] == done.sent_files
    assert shown.bytes >= done.sent_bytes


class Counted:
    """A progress that counts."""

    def __init__(self) -> None:
        self.units: dict[str, int] = {}
        self.bytes = 0

    def over(self, items: Any, unit: str, total: int | None = None) -> Iterator[Any]:
        """The items."""
        for item in items:
            self.units[unit] = self.units.get(unit, 0) + 1
            yield item

    def add(self, **amounts: int) -> None:
        """Bytes."""
        self.bytes += amounts.get("size_bytes", 0)


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and all that it hangs on."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("endpoint", ["info", "refs", "preupload", "lfs-batch", "lfs-put", "commit", "tag"])
@pytest.mark.parametrize("status", [401, 503])
def test_no_error_hangs_on_one_that_holds_the_login(
    tmp_path_factory: pytest.TempPathFactory,
    archives: Path,
    hub: HubServer,
    endpoint: str,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    no_waiting: list[float],
) -> None:
    """Neither messages nor causes nor their requests' headers nor debug logs of ours show the token."""
    monkeypatch.setattr("curate.hub.Patience", lambda: Patience(attempts=2, sleep=lambda _: None))
    caplog.set_level(logging.DEBUG, "curate")
    root = tmp_path_factory.mktemp("copy") / "archive"
    shutil.copytree(archives, root)
    hub.fail(endpoint, nth=None, status=status)
    with pytest.raises(HubError) as told:
        publish(root, "1.0.0")
    for error in chain(told.value):
        assert TOKEN not in f"{error!r} {getattr(error, 'hint', '')} {vars(error)}"
        assert not hasattr(error, "request"), "its headers hold the login"
    assert TOKEN not in caplog.text
    assert not [name for name, data in files_of(root).items() if TOKEN.encode() in data]


def test_the_login_is_in_no_process_list_and_no_file(archives: Path, hub: HubServer, tmp_path: Path) -> None:
    """While the command runs, its arguments, its archive and what it prints are free of the token."""
    root = tmp_path / "archive"
    shutil.copytree(archives, root)
    seen: list[bytes] = []

    def look() -> None:
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                seen.append(path.read_bytes())
            except OSError:
                continue

    hub.fail("commit", before=look)
    done = curate("publish", root, "1.0.0", **hub.environment(tmp_path / "home"))
    assert any(b"publish" in line for line in seen)
    assert not any(TOKEN.encode() in line for line in seen)
    assert TOKEN not in done.stdout + done.stderr
    assert not [name for name, data in files_of(root).items() if TOKEN.encode() in data]


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive whose 1.0.0 is cut, and not published."""
    root = build(tmp_path_factory.mktemp("archives"))
    release(root)
    return root


class Machine:
    """A process that publishes a copy of the archive, and is killed when the hub gets its n-th request."""

    def __init__(self, archive: Path, hub: HubServer, home: Path) -> None:
        self.archive, self.hub, self.home = archive, hub, home
        command = [sys.executable, "-m", "tests.steps.fault_driver"]
        environment = {**os.environ, **hub.environment(home)}
        self.driver = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def publish(self, stop: int = 0) -> dict[str, Any]:
        """The command on a fresh copy of the archive."""
        root, note = self.home / "archive", self.home / "pid"
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(self.archive, root)
        note.unlink(missing_ok=True)
        if stop:
            self.hub.fail(".", nth=stop, before=lambda: os.kill(int(note.read_text()), signal.SIGKILL))
        request = {
            "arguments": ["publish", str(root), "1.0.0", "--quiet"],
            "at": 0,
            "fault": "",
            "pid": str(note),
        }
        assert self.driver.stdin
        assert self.driver.stdout
        self.driver.stdin.write(json.dumps(request) + "\n")
        self.driver.stdin.flush()
        answer: dict[str, Any] = json.loads(self.driver.stdout.readline())
        self.hub.heal()
        return answer


@pytest.fixture(scope="module")
def machine(archives: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """One for all kills."""
    with HubServer() as hub:
        hub.multipart_above, hub.part_size = 8000, 5000
        found = Machine(archives, hub, tmp_path_factory.mktemp("machine"))
        yield found
        found.driver.communicate()


def ends_as_undisturbed(machine: Machine, shares: list[float] | None) -> None:
    """Killed at requests spread over the way, or all; then published from a clone that knows nothing of it."""
    machine.hub.repos.clear()
    machine.hub.forget()
    answer = machine.publish()
    assert answer["code"] == 0, answer["output"]
    calls, expected = len(machine.hub.requests), _state(machine.hub)
    stops = range(1, calls + 1) if shares is None else [max(1, int(calls * share)) for share in shares]
    for stop in stops:
        machine.hub.repos.clear()
        killed = machine.publish(stop)
        assert killed["signal"] == signal.SIGKILL, f"request {stop}: {killed['output']}"
        again = machine.publish()
        assert again["code"] == 0, f"after request {stop}: {again['output']}"
        assert _state(machine.hub) == expected, f"after request {stop}"


def _state(hub: HubServer) -> dict[str, object]:
    repo: Repo = hub.repo("org/held")
    hub.repos["org/scans"] = repo  # by which name the matrix knows it
    try:
        return state(hub)
    finally:
        del hub.repos["org/scans"]


def test_a_killed_publication_is_ended_from_another_machine(machine: Machine) -> None:
    """A fresh clone of the archive ends with the same tree, one commit and one tag."""
    ends_as_undisturbed(machine, [0.1, 0.5, 0.75, 1.0])


@pytest.mark.long
def test_a_publication_killed_at_every_request(machine: Machine) -> None:
    """The same at every single request."""
    ends_as_undisturbed(machine, None)


def test_the_next_version_sends_what_is_new(tmp_path: Path, hub: HubServer) -> None:
    """Of a second version only new packs and changed tables and texts are sent; a dry run says so beforehand."""
    root = build(tmp_path)
    release(root)
    publish(root, "1.0.0")
    more(root, tmp_path / "later", first=5)
    cut = release(root)
    told = publish(root, cut.version, dry_run=True)
    hub.forget()
    done = publish(root, cut.version)
    assert (told.sent_files, told.sent_bytes) == (done.sent_files, done.sent_bytes)
    old = {path.name for path in packs_of(root / "releases" / "1.0.0")}
    assert {path.name for path in packs_of(cut.path)} > old
    sent = sum(len(path.read_bytes()) for path in packs_of(cut.path) if path.name not in old)
    uploaded = sum(r.received for r in hub.requests if "/upload/" in r.target)
    assert uploaded < sent * 1.2 + 60_000
    head = hub.repo("org/held").tree("v1.1.0")
    assert len(head) == len(files_of(cut.path))
    table = pq.read_table(io.BytesIO((cut.path / "manifest/studies.parquet").read_bytes()))
    assert table.num_rows == 4
