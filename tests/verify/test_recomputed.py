"""What anybody can compute again from a release's bytes is computed again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from curate.core.actor import TOOL
from curate.verify.release import check_release
from tests.verify.hostile import GOLDEN, reseal, rewrite


@pytest.mark.parametrize(
    ("column", "wrong"),
    [
        ("pixel_spacing_row_mm", 0.25),
        ("slice_spacing_mm", 9.5),
        ("regular_volume", True),
        ("KVP", 80.0),
        ("SeriesDescription", "another"),
        ("EchoTime", [1.0, 2.0]),
        ("Rows", 7),
    ],
)
def test_a_series_row_that_says_other_than_its_bytes_is_told(tmp_path: Path, column: str, wrong: Any) -> None:
    """Sealed anew so that all digests agree, a changed column is found by the bytes; by another tool, as a warning."""
    folder = Path(shutil.copytree(GOLDEN, tmp_path / "release", copy_function=shutil.copyfile))
    table = pq.read_table(folder / "manifest" / "series.parquet")
    uid, *_ = table["SeriesInstanceUID"].to_pylist()
    tool = "curate 0.0.1" if column == "Rows" else ""
    if tool:
        rewrite(folder, "evidence", payload=lambda text: json.dumps(json.loads(text) | {"tool": tool}))
    first = iter([wrong])
    rewrite(folder, "series", **{column: lambda old: next(first, old)})
    found = {r.name: r.findings for r in check_release(folder)}["instances"]
    expected = "SERIES_OTHER_TOOL" if tool else "SERIES_NOT_FROM_BYTES"
    assert (expected, f"series {uid}", column) in [(f.rule, f.place, f.tag) for f in found]
    assert {f.tag for f in found} == {column}


def test_the_terms_of_use_are_those_that_the_program_writes(tmp_path: Path) -> None:
    """Terms that were changed and sealed anew are told; those of another version are a warning that names it."""
    folder = Path(shutil.copytree(GOLDEN, tmp_path / "release", copy_function=shutil.copyfile))
    path = folder / "LICENSES" / "TERMS.md"
    path.write_text(path.read_text() + "Persons may be looked for.\n")
    for tool, expected in ((TOOL, ("LICENSE_TERMS_CHANGED", "")), ("curate 0.0.1", _OTHER)):
        reseal(folder, tool=tool)
        found = {r.name: r.findings for r in check_release(folder)}["licenses"]
        assert [(f.rule, f.tag) for f in found] == [expected]


def test_evidence_names_the_table_of_its_tool(tmp_path: Path) -> None:
    """A digest of the rules that this version does not have is no evidence of this version."""
    folder = Path(shutil.copytree(GOLDEN, tmp_path / "release", copy_function=shutil.copyfile))
    assert not {r.name: r.findings for r in check_release(folder)}["looks"]
    other = {"edition": "PS3.15 2026d", "sha256": "0" * 64}
    rewrite(folder, "evidence", payload=lambda text: json.dumps(json.loads(text) | {"table": other}))
    found = {r.name: r.findings for r in check_release(folder)}["looks"]
    assert [(f.rule, f.count) for f in found] == [("EVIDENCE_TABLE", 6)]


_OTHER = ("LICENSE_TERMS_OTHER_TOOL", "curate 0.0.1")
