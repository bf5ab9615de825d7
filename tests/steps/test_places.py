"""Pseudonyms of sites and scanners: off by default, keyed, the same for the same place."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.steps.archives import curate_json, donation, make_archive


@pytest.mark.parametrize("published", [False, True])
def test_site_and_scanner_are_published_only_where_the_policy_says(tmp_path: Path, published: bool) -> None:
    """The columns are null by default; turned on, series of one place bear one keyed pseudonym, and no name."""
    archive = make_archive(tmp_path / "archive")
    config = archive / "archive.toml"
    if published:
        config.write_text(config.read_text().replace("[profile]", "[profile]\nsite_and_scanner = true"))
    folder, table = donation(tmp_path / "in", studies=2)
    curate_json("intake", archive, folder, "--studies", table, "--deidentify", "--workers", 1)
    release = Path(curate_json("release", archive)["path"])
    assert curate_json("check", release)["passed"]
    rows = pq.read_table(release / "manifest" / "series.parquet").to_pylist()
    for name in ("site_id", "scanner_id"):
        found = {row[name] for row in rows}
        assert found == {None} if not published else (None not in found and all(len(v) == 26 for v in found))
