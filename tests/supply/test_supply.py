"""The lock file is read whole, listed and audited; the wheel is the same wherever and whenever it is built."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.supply import audit, lock, sbom

PARTS = ("curate", "manifests", "licenses", "README.md", "LICENSE", "pyproject.toml")


def _built(folder: Path) -> Path:
    """The wheel of a copy of the source, as `make dist` builds it."""
    for name in PARTS:
        source = lock.ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    for path in folder.rglob("*"):
        os.utime(path, (len(folder.name) * 10_000_000,) * 2)
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "dist"]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000", "TZ": folder.name.upper()}
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, timeout=300)
    (wheel,) = (folder / "dist").glob("*.whl")
    return wheel


def test_two_builds_give_one_digest(tmp_path: Path) -> None:
    """From two folders, with other times of their files: the same bytes, and in them all that the package needs."""
    wheels = []
    for name in ("a", "another"):
        (tmp_path / name).mkdir()
        wheels.append(_built(tmp_path / name))
    assert len({hashlib.sha256(wheel.read_bytes()).hexdigest() for wheel in wheels}) == 1
    names = zipfile.ZipFile(wheels[0]).namelist()
    assert {"curate/__init__.py", "curate/_data/manifests/v1/rules.json"} <= set(names)
    assert not [name for name in names if "golden" in name or name.endswith(".pyc")]
    stated = sbom.bill(wheels[0])["metadata"]["component"]
    assert stated["hashes"][0]["content"] == hashlib.sha256(wheels[0].read_bytes()).hexdigest()


def test_the_bill_lists_each_package_with_its_digests() -> None:
    """All of the lock file, the same each time; what only tests need is marked as not installed."""
    bill = sbom.bill()
    assert bill == sbom.bill()
    text = lock.LOCK.read_text("utf-8")
    assert len(bill["components"]) == len(re.findall(r"^[A-Za-z0-9].*==", text, re.MULTILINE)) > 100
    assert sum(len(one["hashes"]) for one in bill["components"]) == text.count("--hash=sha256:")
    scope = {one["name"]: one["scope"] for one in bill["components"]}
    assert scope["pydicom"] == scope["numpy"] == "required"
    assert scope["onnxruntime"] == scope["dask"] == "optional"
    assert scope["pytest"] == scope["mlcroissant"] == "excluded"
    references = {one["bom-ref"] for one in bill["components"]} | {bill["metadata"]["component"]["bom-ref"]}
    assert {name for one in bill["dependencies"] for name in (one["ref"], *one["dependsOn"])} <= references


def test_each_dependency_is_used() -> None:
    """What every installation gets is imported by the package, or named here with what it is there for."""
    through_pydicom = {"pyjpegls", "pylibjpeg", "pylibjpeg-openjpeg"}  # its decoders
    imported = {"pillow": "PIL", "pyyaml": "yaml", "python-gdcm": "gdcm"}
    source = "".join(path.read_text("utf-8") for path in (lock.ROOT / "curate").rglob("*.py"))
    project = tomllib.loads((lock.ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    for requirement in project["dependencies"]:
        name = re.match(r"[A-Za-z0-9-]+", requirement)[0]  # type: ignore[index]
        module = imported.get(name, name.replace("-", "_"))
        used = re.search(rf"^\s*(?:import|from) {module}\b|import_module\(\"{module}", source, re.MULTILINE)
        assert used or name in through_pydicom, f"{name} is not needed"


def test_what_is_known_is_told() -> None:
    """A vulnerability, with what mends it; withdrawn ones are none; where the index says nothing, that is told."""
    packages = lock.packages()

    def asked(name: str, version: str) -> dict[str, Any] | None:
        known = [{"id": "PYSEC-1", "fixed_in": ["9"]}, {"id": "PYSEC-2", "withdrawn": "2024-01-01"}]
        return {"vulnerabilities": known if name == "pydicom" else []} if name != "numpy" else None

    found, silent = audit.audit(packages, asked)
    assert [(one.package, one.id, one.fixed_in) for one in found] == [("pydicom", "PYSEC-1", ("9",))]
    assert set(silent) == {"numpy"}
    asked_for: list[str] = []
    found, silent = audit.audit(packages, lambda name, version: asked_for.append(name))
    assert len(silent) == len(packages)
    assert len(asked_for) == 3


def test_the_index_is_the_one_that_pip_uses(monkeypatch: pytest.MonkeyPatch) -> None:
    """An index that cannot be reached is no finding."""
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    assert audit.ask("pydicom", "3.0.2") is None
