"""What stands beside the code: the package as others get it, and the files by which people and forges know it."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

from tests.describe.test_citation import CFF_KEYS
from tests.supply import lock
from tests.supply.test_supply import PARTS

PROJECT = tomllib.loads((lock.ROOT / "pyproject.toml").read_text("utf-8"))["project"]
_ALSO = ("CHANGELOG.md", "CITATION.cff")


def _build(folder: Path, kind: str) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", "dist"]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, timeout=300)
    (built,) = (folder / "dist").glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return built


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The wheel, and the source distribution, of a copy of the tree."""
    folder = tmp_path_factory.mktemp("tree")
    for name in (*PARTS, *_ALSO):
        source = lock.ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    return _build(folder, "wheel"), _build(folder, "sdist")


def test_the_source_distribution_gives_the_same_wheel(built: tuple[Path, Path], tmp_path: Path) -> None:
    """Whoever builds from it gets the bytes that are published; and it holds neither tests nor the golden release."""
    wheel, source = built
    with tarfile.open(source) as container:
        container.extractall(tmp_path, filter="data")
    (root,) = tmp_path.iterdir()
    assert _digest(_build(root, "wheel")) == _digest(wheel)
    names = {path.name for path in root.iterdir()}
    assert {"curate", "manifests", "licenses", "LICENSE", "README.md", "CHANGELOG.md"} <= names
    assert not {"tests", "docs", "demo"} & names


def test_the_wheel_states_its_types_and_data(built: tuple[Path, Path]) -> None:
    """`py.typed`, each data file of the package, the licence, the classifiers."""
    with zipfile.ZipFile(built[0]) as container:
        names = set(container.namelist())
        (metadata,) = (container.read(name).decode() for name in names if name.endswith("/METADATA"))
    package = lock.ROOT / "curate"
    files = {p.relative_to(lock.ROOT).as_posix() for p in package.rglob("*") if p.is_file() and p.suffix != ".pyc"}
    assert "curate/py.typed" in files
    assert files <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert "Classifier: Typing :: Typed" in metadata


@pytest.mark.long
def test_the_demo_runs_from_the_wheel_alone(built: tuple[Path, Path], tmp_path: Path) -> None:
    """In an environment of its own, away from the source tree; the dependencies are those of this one."""
    wheel, _ = built
    home = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True, timeout=120)
    python = home / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel]
    subprocess.run(pip, check=True, timeout=120)
    places = [place for place in sys.path if place.endswith("site-packages")]
    (site,) = (home / "lib").glob("python*/site-packages")
    (site / "others.pth").write_text("".join(f"{place}\n" for place in places))  # behind it; their .pth are not read
    own = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
    own["HOME"] = str(tmp_path)
    run = {"cwd": tmp_path, "env": own, "capture_output": True, "text": True, "timeout": 300}
    where = subprocess.run([python, "-c", "import curate; print(curate.__file__)"], check=True, **run).stdout
    assert where.startswith(str(home))
    done = subprocess.run([home / "bin" / "curate", "demo", "demo"], check=True, **run)
    assert "checks passed" in done.stdout and "load_dataset" in done.stdout


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_windows_is_refused_in_a_sentence() -> None:
    """The command and the functions say where they run, before anything is loaded that cannot be."""
    start = "import sys; sys.platform = 'win32'; "
    command = subprocess.run(
        [sys.executable, "-c", start + "from curate.__main__ import run; run()"],
        capture_output=True, text=True, check=False, cwd=lock.ROOT, timeout=60,
    )  # fmt: skip
    assert (command.returncode, command.stdout) == (2, "")
    assert command.stderr.startswith("curate runs on Linux and macOS.") and command.stderr.count("\n") == 1
    function = subprocess.run(
        [sys.executable, "-c", start + "import curate; curate.check('x')"],
        capture_output=True, text=True, check=False, cwd=lock.ROOT, timeout=60,
    )  # fmt: skip
    assert "ImportError: curate runs on Linux and macOS." in function.stderr


def test_the_versions_of_python_agree() -> None:
    """What the package states is what forges try."""
    stated = {text.rpartition(" ")[2] for text in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", text)}
    workflow = yaml.safe_load((lock.ROOT / ".github/workflows/check.yml").read_text("utf-8"))
    assert set(workflow["jobs"]["check"]["strategy"]["matrix"]["python"]) == stated
    assert min(stated, key=lambda text: int(text[2:])) == PROJECT["requires-python"].removeprefix(">=")


def test_every_make_target_that_a_file_names_exists() -> None:
    """In the workflow, in .ci/run, and in CONTRIBUTING.md."""
    targets = set(re.findall(r"^([a-z-]+):", (lock.ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for name in (".github/workflows/check.yml", ".ci/run", "CONTRIBUTING.md"):
        text = (lock.ROOT / name).read_text("utf-8")
        named = set(re.findall(r"(?:^|run: |`)make ([a-z-]+)", text, re.MULTILINE))
        assert named and named <= targets, name


def test_the_tool_is_cited_by_its_version() -> None:
    """CITATION.cff has the keys that the schema asks for, no others, and the version of the package."""
    cited = yaml.safe_load((lock.ROOT / "CITATION.cff").read_text("utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(cited) <= CFF_KEYS
    assert (cited["version"], cited["license"], cited["type"]) == (PROJECT["version"], PROJECT["license"], "software")
    changelog = (lock.ROOT / "CHANGELOG.md").read_text("utf-8")
    assert f"## [{PROJECT['version']}]" in changelog and "## [Unreleased]" in changelog


@pytest.mark.parametrize("path", [*lock.ROOT.glob("*.md"), *lock.ROOT.glob(".github/*.md")], ids=lambda path: path.name)
def test_what_a_text_links_to_is_there(path: Path) -> None:
    """Each relative link of the texts at the top."""
    text = re.sub(r"```.*?```|`[^`\n]*`", "", path.read_text("utf-8"), flags=re.S)
    for link in re.findall(r"\]\(([^)#\s]+)", text):
        assert re.match(r"https?://", link) or (path.parent / link).exists(), link


@pytest.mark.parametrize(
    "path", [*lock.ROOT.glob(".github/**/*.yml"), lock.ROOT / ".pre-commit-config.yaml"], ids=lambda path: path.name
)
def test_forges_can_read_their_files(path: Path) -> None:
    """YAML; a template has what a forge asks for, and asks for no personal data."""
    found = yaml.safe_load(path.read_text("utf-8"))
    assert isinstance(found, dict)
    if path.parent.name == "ISSUE_TEMPLATE" and path.name != "config.yml":
        assert {"name", "description", "body"} <= set(found)
        assert all(part["type"] == "markdown" or part["id"] for part in found["body"])


def test_the_dockerfile_is_accepted() -> None:
    """By hadolint, where it is installed."""
    hadolint = shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("hadolint is not installed")
    done = subprocess.run([hadolint, lock.ROOT / "Dockerfile"], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout
