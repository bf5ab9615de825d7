"""A command that needs no network opens no connection and writes to its own folders only, whatever a library does."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from curate.core import telemetry
from tests.steps.archives import donation

_NETWORK = "socket,connect,sendto,bind"
_FILES = "openat,open,creat,mkdir,mkdirat,rename,renameat,renameat2,link,linkat,symlink,symlinkat"
# what other tests run against a server, and what is only a decision in the ledger beside what runs here
NOT_HERE = {"recall", "mask", "admit", "status", "adopt"}
_TRACER = shutil.which("strace")
_FLOW = """
deidentify in clean --key hospital.key --studies in.csv --mapping mapping --workers 2
receipts hospital.key.receipts --key hospital.key
unseal mapping --key hospital.key
init archive --title T --publisher P --license CC-BY-4.0 --population persons --hub HUB --approvals 1
intake archive in --studies in.csv --deidentify --workers 1
quarantine archive
risk archive
init tests --title T --publisher P --license CC-BY-4.0 --population test --hub HUB --approvals 1
intake tests clean --studies clean/studies.csv --workers 2
release tests
check tests/releases/1.0.0 --pixels --workers 1
review tests/releases/1.0.0 --out review --workers 1
sheet tests 1.0.0 --out sheet.json --decisions decisions.json
key new --as Anna --out anna.key
reject tests 1.0.0 --as Anna --reason COUNTS
approve tests 1.0.0 --as Anna --key anna.key
publish tests 1.0.0 --workers 1
audit hub
info hub
columns hub --table series
cite hub --format apa
versions hub
fetch hub --to chosen
verify-copy chosen --release hub
withdraw tests STUDY
purge tests
trust list
diff tests/releases/1.0.0 tests/releases/1.0.0
ledger tests
doctor tests
report tests --out site
vocabulary in.csv
profile PatientName
inspect in.zip --pixels --workers 1
demo demo
"""
# one process for all: their imports would take most of the time
_DRIVER = """
import json, pathlib, sys, warnings
warnings.simplefilter("ignore")
import curate
from curate.cli import main
for words in json.loads(sys.argv[1]):
    study = curate.load("hub", cache_dir="cache")[0]["study_id"] if "STUDY" in words else ""
    named = {"HUB": pathlib.Path("hub").absolute().as_uri(), "STUDY": study}
    print("curate", *words, flush=True)
    if main.app([named.get(word, word) for word in words], standalone_mode=False) not in (None, 0, 1):
        sys.exit(2)
len(curate.load("hub", "images", cache_dir="cache"))
"""


@dataclass(frozen=True)
class Traced:
    """What the system was asked for while the commands ran: one line a call."""

    folder: Path
    calls: list[str]

    def files(self) -> Iterator[tuple[str, str]]:
        """Each path that was to be written or made, with the call."""
        for call in self.calls:
            made = re.match(r"(?:open(?:at)?|creat)\(.*O_(?:CREAT|WRONLY|RDWR)|(?:mkdir|rename|link|symlink)", call)
            if made and not call.endswith(" = -1 EEXIST (File exists)"):
                path = re.findall(r'"([^"]*)"', call)[-1]
                yield os.path.normpath(self.folder / "work" / path), call


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Traced:
    """All commands in turn, on one machine's own folders, under a tracer."""
    if _TRACER is None:
        pytest.skip("strace is not installed")
    folder = tmp_path_factory.mktemp("traced")
    for name in ("work", "home", "tmp"):
        (folder / name).mkdir()
    donation(folder / "work" / "in", 2, 2)
    with zipfile.ZipFile(folder / "work" / "in.zip", "w") as container:
        for path in sorted((folder / "work" / "in").rglob("*.dcm")):
            container.write(path, path.relative_to(folder / "work" / "in"))
    own = {"HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp"), "ORT_DISABLE_TELEMETRY": "0"}
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
    options = f"-f -qq --seccomp-bpf -y -s 4096 -e trace={_NETWORK},{_FILES}".split()
    words = json.dumps([shlex.split(line) for line in _FLOW.strip().splitlines()])
    done = subprocess.run(
        [_TRACER, *options, "-o", folder / "calls", sys.executable, "-c", _DRIVER, words],
        cwd=folder / "work",
        env={
            **kept,
            **own,
            "PYTHONPATH": str(Path(telemetry.__file__).parents[1]),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    if "Operation not permitted" in done.stderr and "ptrace" in done.stderr:
        pytest.skip("this system lets nobody trace")
    assert done.returncode == 0, done.stdout + done.stderr
    return Traced(folder, _whole((folder / "calls").read_text(errors="surrogateescape").splitlines()))


def _whole(lines: list[str]) -> list[str]:
    """The calls, each in one piece: where another process ran meanwhile the tracer cuts them in two."""
    begun: dict[str, str] = {}
    calls = []
    for line in lines:
        number, _, call = line.partition(" ")
        call = call.strip()
        if call.endswith("<unfinished ...>"):
            begun[number] = call.removesuffix("<unfinished ...>").rstrip()
        elif rest := re.match(r"<\.\.\. \w+ resumed>(.*)", call):
            calls.append(begun.pop(number, "") + rest[1])
        else:
            calls.append(call)
    return [*calls, *begun.values()]


def test_no_command_is_left_out() -> None:
    """Each command runs here, or is named as one that does not."""
    from curate.cli.main import app

    names = {c.name or c.callback.__name__.replace("_", "-") for c in app.registered_commands if c.callback}
    names |= {str(group.name) for group in app.registered_groups}
    ran = set(re.findall(r"^([a-z-]+)", _FLOW, re.MULTILINE))
    assert ran | NOT_HERE == names


def test_no_connection_leaves_the_machine(traced: Traced) -> None:
    """Sockets are between processes of this machine, or were never connected; no name is looked up."""
    reached = [call for call in traced.calls if re.match(r"(?:connect|sendto|bind)\(", call)]
    here = r'AF_UNIX|inet_addr\("127\.|inet_pton\(AF_INET6, "::1"|AF_NETLINK'
    away = [call for call in reached if "sa_family" in call and not re.search(here, call)]
    assert not away
    opened = [call for call in traced.calls if call.startswith("socket(")]
    assert any("AF_UNIX" in call for call in opened)  # the workers': the tracer does see them
    kinds = {re.match(r"socket\((\w+), (\w+)", call)[0] for call in opened}  # type: ignore[index]
    assert not any("SOCK_DGRAM" in kind and "AF_INET" in kind for kind in kinds)  # what asks for a name
    assert not any("resolv.conf" in call for call in traced.calls)


def test_nothing_is_written_elsewhere(traced: Traced) -> None:
    """Written is below the folders that the commands were given, in folders of their own, and nowhere else."""
    work, home, tmp = (f"{traced.folder / name}/" for name in ("work", "home", "tmp"))
    own_cache = f"{home}.cache/curate"
    elsewhere = set()
    for path, call in traced.files():
        if path.startswith((work, own_cache, "/proc/self/")) or path in (
            "/dev/null",
            "/dev/tty",
            home + ".cache",
        ):
            continue
        if path.startswith("/dev/shm/sem."):  # locks between workers, under random names
            continue
        if path.startswith(tmp) and _is_own_folder(path.removeprefix(tmp), call):
            continue
        elsewhere.add(call)
    assert not elsewhere
    assert not [path for path in (traced.folder / "home").rglob("*") if path.is_file()]
    assert not list((traced.folder / "tmp").iterdir())  # what lay there is gone with the command


def _is_own_folder(path: str, call: str) -> bool:
    """Whether a path in the temporary folder cannot be foretold: a random name, newly made, or what lies below it."""
    first, _, below = path.partition("/")
    random = re.fullmatch(r"(curate-([a-z]+-)?|pymp-|)[a-z0-9_]{8}", first) is not None
    return random and (bool(below) or call.startswith("mkdir") or "O_EXCL" in call or "O_TMPFILE" in call)


def test_switches_are_set_whatever_the_environment_says() -> None:
    """Before any library is imported, and for those that were imported first as far as they can be told."""
    program = (
        "import os, huggingface_hub.constants as hub, datasets.config as data\n"
        "import curate\n"
        f"assert all(os.environ[name] == value for name, value in {telemetry.SWITCHES!r}.items())\n"
        "assert hub.HF_HUB_DISABLE_TELEMETRY and not data.HF_UPDATE_DOWNLOAD_COUNTS\n"
    )
    others = {"ORT_DISABLE_TELEMETRY": "0", "HF_HUB_DISABLE_TELEMETRY": "0", "DO_NOT_TRACK": "0"}
    subprocess.run([sys.executable, "-c", program], env={**os.environ, **others}, check=True, timeout=120)
