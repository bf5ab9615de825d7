"""The golden release: checked in, and never to break."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from curate.core.findings import Severity
from curate.verify.release import check_release
from tests.regenerate_golden import GOLDEN, regenerate
from tests.steps.archives import files_of


def test_the_golden_release_passes_with_the_current_code() -> None:
    """A release that an earlier version cut is read, and nothing in it is an error."""
    results = check_release(GOLDEN)
    errors = [f for r in results for f in r.findings if f.severity is Severity.ERROR]
    assert errors == []
    assert {r.name: r.looked_at for r in results}["instances"] == 31


def test_the_golden_release_is_what_the_current_code_cuts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the contract is a draft, the same donation gives the golden bytes; `make golden` cuts it anew."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1767225600")
    regenerate(tmp_path / "golden")
    fresh, golden = files_of(tmp_path / "golden"), files_of(GOLDEN)
    assert json.loads(fresh["release.json"]) == json.loads(golden["release.json"])
    assert fresh == golden
