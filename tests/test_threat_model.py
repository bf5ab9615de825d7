"""The threat model names what holds each of its claims, and that exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docs" / "explanation" / "threat-model.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/.]+)`", TEXT)))


def test_the_claims_name_their_tests() -> None:
    """Each row of the claims names one at least."""
    rows = TEXT.split("## Claims")[1].split("## Not defended")[0].splitlines()
    claims = [row for row in rows if row.startswith("| ") and not row.startswith(("| claim", "| ---"))]
    assert len(claims) >= 20
    assert all("`tests/" in row for row in claims)


@pytest.mark.parametrize("name", NAMED)
def test_what_holds_a_claim_exists(name: str) -> None:
    """A test that was moved or deleted takes its claim with it."""
    path = ROOT / name
    assert path.exists()
    found = [path] if path.is_file() else list(path.rglob("test_*.py"))
    assert path.name == "planter" or path.name == "fuzz" or any("def test_" in one.read_text() for one in found)
