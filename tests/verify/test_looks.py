"""The look that a release's profile states, where the statement is none."""

import json
import shutil
from pathlib import Path

import pytest

from curate.verify.checks.pixel_review import check_pixel_review
from curate.verify.checks.seal import Seal
from curate.verify.release import check_release

GOLDEN = Path(__file__).parents[2] / "manifests" / "golden"


@pytest.mark.parametrize("stated", [None, [], "text"])
def test_a_profile_that_is_none_is_told_not_raised(tmp_path: Path, stated: object) -> None:
    """Of a release whose profile cannot be read nobody knows what was to be looked at: its studies are named."""
    folder = shutil.copytree(GOLDEN, tmp_path / "release")
    path = folder / "release.json"
    sealed = json.loads(path.read_text())
    path.chmod(0o644)
    path.write_text(json.dumps(sealed | {"profile": stated}))
    assert "looks" in [result.name for result in check_release(folder)]
    found = check_pixel_review(Seal(folder, sealed["version"], sealed | {"profile": stated}))
    assert {(finding.rule, finding.tag) for finding in found.findings} >= {("PIXELS_NOT_AS_PROFILE", "burned_in")}
