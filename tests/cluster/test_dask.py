"""An intake on a Dask cluster: the bytes of a local run, through a killed worker, and nothing told to Dask."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from curate import parallel
from curate.core.errors import InputError
from curate.keys.derivation import Keys
from curate.parallel import encrypted_worker
from curate.parallel.cluster import Cluster, connected
from curate.parallel.encrypted_worker import Session
from tests import synth
from tests.cluster.certificates import write_certificates
from tests.cluster.machines import FIXED, cluster, s3, until
from tests.cluster.machines import Cluster as Machines
from tests.steps.archives import curate, donation, files_of, make_archive, with_fixed_keys

pytest.importorskip("distributed")
SECRET = "60" * 32
NAMES = ("Puigdomenech", "Montserrat")
STUDIES = 5


def make(root: Path, stores: str = "") -> Path:
    """An archive with fixed keys (its card names the public one), and packs and quarantine elsewhere if wanted."""
    archive = with_fixed_keys(make_archive(root))
    if stores:
        config = archive / "archive.toml"
        told = f'packs = "{stores}"\nquarantine = "{stores}"\n[hub]'
        config.write_text(config.read_text().replace("[hub]", told, 1))
    return archive


def give(folder: Path) -> tuple[Path, Path]:
    """A donation in a folder that is named after a person, with an instance that no row names."""
    given, table = donation(folder / "_".join(NAMES), studies=STUDIES, instances=8)
    (given / NAMES[0]).mkdir()
    (given / NAMES[0] / "1.dcm").write_bytes(synth.instance_bytes(90, 0, 0, 0))
    return given, table


def release_of(archive: Path, **environment: str) -> dict[str, bytes]:
    """Every file of the release that an archive cuts now, what rests on salts apart."""
    curate("release", archive, **FIXED, **environment)
    found = files_of(archive / "releases")
    return {path: data for path, data in found.items() if "/attestations/" not in path}


def start_intake(archive: Path, source: object, table: Path, address: str, **environment: str) -> Any:
    """The command, running."""
    arguments = ["intake", archive, source, "--studies", table, "--deidentify", "--scheduler", address]
    return subprocess.Popen(
        [sys.executable, "-m", "curate", *map(str, arguments)],
        env={**os.environ, **FIXED, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, bytes], set[str]]:
    """A donation, its table, and what a local run makes of it: the release, and the quarantined names."""
    folder = tmp_path_factory.mktemp("quiet")
    given, table = give(folder)
    archive = make(folder / "archive")
    curate("intake", archive, given, "--studies", table, "--deidentify", "--workers", 1, **FIXED)
    return given, table, release_of(archive), set(files_of(archive / "quarantine"))


def everything(dask_scheduler: Any) -> bytes:
    """All that the scheduler holds of tasks: what its logs, state dumps and pages can show."""
    held = [(key, state.run_spec, repr(state)) for key, state in dask_scheduler.tasks.items()]
    return pickle.dumps([*held, list(dask_scheduler.get_events().items())])


def names_in(text: bytes) -> list[str]:
    """Which secrets and names stand in a text."""
    keys = Keys.from_secret(bytes.fromhex(SECRET))
    secrets = {name: getattr(keys, name) for name in Keys.__slots__} | {"secret": bytes.fromhex(SECRET)}
    words = {name: name.encode() for name in (*NAMES, synth.uid(0, 0))}
    return [name for name, value in (secrets | words).items() if value in text]


def look_into(machines: Machines) -> bytes:
    """What the scheduler holds now."""
    from distributed import Client

    with Client(machines.address, set_as_default=False) as client:
        return bytes(client.run_on_scheduler(everything))


def end_of(run: Any) -> None:
    """The command ends well."""
    said, _ = run.communicate(timeout=240)
    assert run.returncode == 0, said


@pytest.mark.sampled(1)
@pytest.mark.parametrize("store", ["folder", "s3"])
def test_a_worker_is_killed_and_the_bytes_are_those_of_a_local_run(
    tmp_path: Path, quiet: tuple[Path, Path, dict[str, bytes], set[str]], store: str
) -> None:
    """Scheduler, two workers, SIGKILL on one in mid-run: the same release; Dask saw neither key, name nor path."""
    given, table, expected, waiting = quiet
    with ExitStack() as stack:
        environment, source, stores = {}, str(given), str(tmp_path / "shared")
        if store == "s3":
            environment = stack.enter_context(s3(tmp_path / "server"))
            source, stores = "s3://given", "s3://shared/archive"
            bucket = upload(environment, given)
        archive = make(tmp_path / "archive", stores)
        machines = stack.enter_context(cluster(tmp_path / "cluster", environment=environment))
        machines.wait_for("worker0", "worker1")
        machines.pause("worker1")
        run = start_intake(archive, source, table, machines.address, **environment)

        def stored(kind: str) -> set[str]:
            if store == "s3":
                return {path.removeprefix("shared/archive/") for path in bucket.find(f"shared/archive/{kind}")}
            return {f"{kind}/{path}" for path in files_of(tmp_path / "shared" / kind)}

        until(lambda: len(stored("packs")) >= 1)
        held = look_into(machines)
        machines.kill("worker0")
        assert len(stored("packs")) < STUDIES
        machines.go_on("worker1")
        end_of(run)
        assert len(stored("packs")) == STUDIES
        assert stored("quarantine") == {f"quarantine/{name}" for name in waiting}
        assert release_of(archive, **environment) == expected
        assert b"curate-" in held
        assert names_in(held) == []
        assert names_in(machines.told().encode()) == []


def upload(environment: dict[str, str], given: Path) -> Any:
    """Two empty buckets, and the donation in one of them."""
    import s3fs

    bucket = s3fs.S3FileSystem(
        key="test", secret="test", endpoint_url=environment["AWS_ENDPOINT_URL"], use_listings_cache=False
    )
    for name in ("shared", "given"):
        bucket.mkdir(name)
    for path in sorted(given.rglob("*.dcm")):
        bucket.pipe_file(f"given/{path.relative_to(given).as_posix()}", path.read_bytes())
    return bucket


def test_over_tls_the_coordinator_needs_a_certificate(
    tmp_path: Path, quiet: tuple[Path, Path, dict[str, bytes], set[str]]
) -> None:
    """With certificates the intake runs over tls://; without, it is told which variables to set."""
    given, table, expected, _ = quiet
    archive, certificates = make(tmp_path / "archive"), write_certificates(tmp_path / "tls")
    with cluster(tmp_path / "cluster", 1, certificates, "tls") as machines:
        assert machines.address.startswith("tls://")
        how = ("--studies", table, "--deidentify", "--scheduler", machines.address)
        told = curate("intake", archive, given, *how, code=2).stderr
        assert "TLS needs certificates" in told
        assert "DASK_DISTRIBUTED__COMM__TLS__CA_FILE" in told
        curate("intake", archive, given, *how, **FIXED, **certificates)
    assert release_of(archive) == expected


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("tcp://10.0.0.7:8786", "tcp:// does not encrypt"),
        ("tcp://cluster.example.org:8786", "tcp:// does not encrypt"),
        ("ws://127.0.0.1:8786", "no address such as"),
        ("127.0.0.1:8786", "no address such as"),
        ("tcp://127.0.0.1:9", "No Dask scheduler answers"),
    ],
)
def test_an_address_that_will_not_do_is_refused(address: str, told: str) -> None:
    """Other machines without TLS, other protocols, and nobody there: one sentence, and what to do."""
    with pytest.raises(InputError, match=told) as refused, connected(address, None):
        pass
    assert refused.value.hint


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"address": "tcp://10.0.0.9:1234"}, "not on this machine"),
        ({"versions": {**encrypted_worker.versions(), "pyarrow": "1.0"}}, "it has pyarrow 1.0, not "),
    ],
)
def test_a_worker_that_may_not_have_the_keys_is_refused(change: dict[str, Any], told: str) -> None:
    """A worker elsewhere without TLS, or with other versions, gets no key and ends the run."""
    asking: Any = {
        "address": "tcp://127.0.0.1:1",
        "public": b"k" * 32,
        "versions": encrypted_worker.versions(),
        **change,
    }
    nobody = Cluster(None, "tcp://127.0.0.1:2", Session("s", b"k" * 32, None))
    with pytest.raises(InputError, match=told):
        nobody._tell(asking)


def test_a_session_is_readable_to_the_worker_that_asked_alone_and_only_if_it_sees_what_is_shared(
    tmp_path: Path,
) -> None:
    """The same bytes open with one key only; a worker that does not see a shared path learns nothing."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    (tmp_path / "shared").touch()
    ours = encrypted_worker._own_key().public_key().public_bytes_raw()
    other = X25519PrivateKey.generate().public_key().public_bytes_raw()
    session = Session("seen", os.urandom(32), b"private", encrypted_worker.proofs([tmp_path, tmp_path / "shared"]))
    with pytest.raises(InvalidTag):
        encrypted_worker.accept(*encrypted_worker.tell(session, other))
    assert session.private not in pickle.dumps(encrypted_worker.tell(session, ours))
    (tmp_path / "shared").unlink()
    assert not encrypted_worker.accept(*encrypted_worker.tell(session, ours))
    assert "seen" not in encrypted_worker._sessions


@pytest.mark.long
def test_a_lost_scheduler_and_a_killed_coordinator_end_in_the_bytes_of_a_local_run(
    tmp_path: Path, quiet: tuple[Path, Path, dict[str, bytes], set[str]]
) -> None:
    """SIGKILL on the scheduler: one clear message. SIGKILL on the coordinator, then the same command: it ends."""
    given, table, expected, _ = quiet
    archive = make(tmp_path / "archive", str(tmp_path / "shared"))

    def begun() -> bool:
        return any((tmp_path / "shared" / "packs").rglob("*.parquet"))

    with cluster(tmp_path / "first") as machines:
        machines.wait_for("worker0", "worker1")
        machines.pause("worker1")
        run = start_intake(archive, given, table, machines.address)
        until(begun)
        machines.kill("scheduler")
        said, _ = run.communicate(timeout=240)
        assert run.returncode == 2, said
        assert "The scheduler at" in said
        assert "Traceback" not in said
    with cluster(tmp_path / "second") as machines:
        run = start_intake(archive, given, table, machines.address)
        machines.wait_for("worker0")
        run.send_signal(signal.SIGKILL)
        run.communicate()
        end_of(start_intake(archive, given, table, machines.address))
    assert release_of(archive) == expected


def die_at_two(task: tuple[int, Path], private: None) -> int:
    """End this process by SIGKILL whenever it sees task 2, and leave a mark."""
    del private
    number, marks = task
    if number == 2:
        (marks / f"{os.getpid()}").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_a_task_that_kills_two_workers_is_not_sent_again_on_dask(tmp_path: Path) -> None:
    """Dask would let it kill four: two workers die, the third does all other tasks, and what is lost is told."""
    (tmp_path / "marks").mkdir()
    with cluster(tmp_path / "cluster", workers=3) as machines:
        machines.wait_for("worker0", "worker1", "worker2")
        with parallel.opened(machines.address, None) as pool:
            tasks = [(number, tmp_path / "marks") for number in range(6)]
            done = dict(pool.map(die_at_two, tasks, lambda task: -task[0]))
    assert {task[0]: result for task, result in done.items()} == {n: -n if n == 2 else n for n in range(6)}
    assert len(list((tmp_path / "marks").iterdir())) == 2
