"""The README says what the program does."""

from __future__ import annotations

import re

import pytest

from curate.core.findings import rules
from tests.regenerate_readme import README, TABLES, generated
from tests.steps.archives import curate

TEXT = README.read_text(encoding="utf-8")


def test_generated_tables_are_those_of_the_code() -> None:
    """Commands, columns and profile stand in the README as the code has them; the script writes them anew."""
    assert {name for name in TABLES if f"<!-- generated: {name} -->" in TEXT} == set(TABLES)
    assert generated(TEXT) == TEXT


def test_every_command_that_the_readme_shows_exists() -> None:
    """Each `curate VERB` in the README answers `--help` with an example."""
    verbs = sorted(set(re.findall(r"^curate ([a-z-]+)", TEXT, re.M)))
    assert {"init", "intake", "release", "check", "publish"} <= set(verbs)
    for verb in verbs:
        assert "Example: curate " in curate(verb, "--help").stdout.replace("\n", " ")


def test_help_reads_as_it_was_written() -> None:
    """Arguments bear one name in capitals, dots stand once, and no table's name is taken for markup."""
    for verb in ("deidentify", "receipts", "unseal", "intake", "vocabulary", "inspect", "profile", "audit", "diff"):
        shown = curate(verb, "--help", COLUMNS="200").stdout
        usage = next(line for line in shown.splitlines() if "Usage" in line)
        assert not re.search(r"\{[a-z]|\.\.\.\}", usage)
        assert "whose applies" not in re.sub(" +", " ", shown)


def test_every_code_that_the_readme_names_is_a_rule() -> None:
    """Rule codes in the README are those of rules.json."""
    codes = set(re.findall(r"`([A-Z]+_[A-Z_]+)`", TEXT)) - {"SOURCE_DATE_EPOCH"}
    known = {code for code in codes if code in rules()}
    assert codes - known <= {
        "HF_ENDPOINT",
        "ZENODO_ENDPOINT",
        "ZENODO_TOKEN",
        "CURATE_PASSPHRASE",
        "CURATE_DEBUG",
        "CURATE_DECODER_SECONDS",
        "CHESTABDPELVIS",
    }


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`(tests/[\w/.]+|manifests/[\w/.]+)`", TEXT))))
def test_every_path_that_the_readme_names_exists(path: str) -> None:
    """A file or folder named in the README is there."""
    assert (README.parent / path).exists()
