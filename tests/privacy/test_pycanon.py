"""The figures equal those of pycanon 1.3.5, in an environment of its own, since it pins pandas."""

from __future__ import annotations

import json
import subprocess
import venv
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from curate.privacy.risk import risk

_ASK = """
import json, sys
import pandas as pd
from pycanon import anonymity as a
answers = []
for case in json.load(open(sys.argv[1])):
    frame = pd.DataFrame(case["rows"], columns=[*case["qi"], "diagnosis"])
    qi, sa = case["qi"], ["diagnosis"]
    answers.append([int(a.k_anonymity(frame, qi)), int(a.l_diversity(frame, qi, sa)),
                    int(a.entropy_l_diversity(frame, qi, sa))])
json.dump(answers, open(sys.argv[2], "w"))
"""


@pytest.fixture(scope="module")
def pycanon(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has pycanon."""
    home = tmp_path_factory.mktemp("pycanon")
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    command = [python, "-m", "pip", "install", "--quiet", "pycanon==1.3.5"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=400)
    if done.returncode:
        pytest.skip("pip could not install pycanon 1.3.5 here")
    return python


@pytest.mark.long
def test_k_and_l_equal_those_of_pycanon(pycanon: Path, tmp_path: Path) -> None:
    """On 60 random tables of donors with one study each, k, l and entropy l agree."""
    draw = np.random.default_rng(20)
    cases = []
    for _ in range(60):
        size, width = int(draw.integers(1, 80)), int(draw.integers(1, 4))
        rows = [[str(value) for value in draw.integers(0, draw.integers(2, 5), width + 1)] for _ in range(size)]
        cases.append({"qi": [f"q{i}" for i in range(width)], "rows": rows})
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    subprocess.run([pycanon, "-c", _ASK, tmp_path / "cases.json", tmp_path / "answers.json"], check=True, timeout=400)
    for case, answer in zip(cases, json.loads((tmp_path / "answers.json").read_text()), strict=True):
        names = [*case["qi"], "diagnosis"]
        table = pa.table({name: [row[i] for row in case["rows"]] for i, name in enumerate(names)})
        ids = pa.array([f"d{i}" for i in range(len(case["rows"]))])
        found = risk(
            table.append_column("donor_id", ids).append_column("study_id", ids),
            names[:-1],
            5,
            sensitive="diagnosis",
        )
        for classes in (found.by_study, found.by_donor):
            assert classes.l_entropy is not None
            assert [classes.k, classes.l_distinct] == answer[:2]
            assert int(classes.l_entropy - 1e-9) <= answer[2] <= int(classes.l_entropy + 1e-9)  # it cuts 1.99... off
