"""What the README and the tutorials show is run, from their own text."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs import transcript
from tests.regenerate_docs import DOCS, NOTEBOOK, README

_END = "\x1e"
PAGES = {"README": README, **{page.stem: page for page in sorted((DOCS / "tutorials").glob("*.md"))}}
del PAGES["index"]


@pytest.mark.parametrize("name", [name for name in PAGES if transcript.commands(PAGES[name].read_text("utf-8"))])
def test_what_a_page_shows_is_what_its_commands_print(name: str, folder: Path, tmp_path: Path) -> None:
    """Command by command, line by line; the demo itself is run once for all pages."""
    wanted = transcript.commands(PAGES[name].read_text(encoding="utf-8"))
    wanted = [one for one in wanted if one.words != "curate demo demo"]
    outputs = transcript.run(wanted, folder, tmp_path / "home")
    assert [
        found for one, output in zip(wanted, outputs, strict=True) if (found := transcript.differs(one, output))
    ] == []


def test_the_python_of_the_readme_runs(folder: Path, tmp_path: Path) -> None:
    """As one script, in the folder of the demo."""
    blocks = re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.S | re.M)
    assert "(1, 128, 128) HU" in _python(blocks, folder, tmp_path / "home")[-1]


def test_the_cells_of_the_notebook_print_what_it_shows(folder: Path, tmp_path: Path) -> None:
    """In their order, in one process, as a reader runs them."""
    cells = [cell for cell in json.loads(NOTEBOOK.read_text("utf-8"))["cells"] if cell["cell_type"] == "code"]
    sources = ["".join(cell["source"]) for cell in cells]
    outputs = _python(sources, folder, tmp_path / "home")
    for cell, source, output in zip(cells, sources, outputs, strict=True):
        shown = tuple("".join(line for one in cell["outputs"] for line in one["text"]).splitlines())
        assert transcript.differs(transcript.Command(source, shown), output) == ""


def _python(sources: list[str], folder: Path, home: Path) -> list[str]:
    """What each piece of a program prints."""
    script = folder / "script.py"
    script.write_text(f"\nprint({_END!r}, end='')\n".join(sources), encoding="utf-8")
    run = {
        "cwd": folder,
        "env": transcript.environment(home),
        "capture_output": True,
        "text": True,
        "timeout": 300,
    }
    done = subprocess.run([sys.executable, script.name], check=False, **run)
    assert done.returncode == 0, done.stderr
    return done.stdout.split(_END)
