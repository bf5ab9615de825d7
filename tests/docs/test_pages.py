"""README and docs/ say what the program does, and what they point at is there."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from curate import contract
from curate.archive import config
from curate.core.findings import rules
from curate.policies import Policy, PrivacyPolicy
from tests import regenerate_docs
from tests.docs import transcript
from tests.docs.transcript import Command
from tests.regenerate_docs import DOCS, PARTS, README, ROOT, generated, pages
from tests.steps.archives import curate

TEXTS = {page: page.read_text(encoding="utf-8") for page in (*pages(), ROOT / "ARCHITECTURE.md")}
ALL = "\n".join(TEXTS.values())
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def _name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def test_the_readme_is_short() -> None:
    """Who opens it reads it whole."""
    assert len(README.read_bytes()) <= 8000


@pytest.mark.parametrize("page", pages(), ids=_name)
def test_generated_parts_are_those_of_the_code(page: Path) -> None:
    """`python -m tests.regenerate_docs`, which `make docs` runs, writes them anew."""
    assert generated(TEXTS[page]) == TEXTS[page]


def test_every_part_has_its_page() -> None:
    """What can be generated stands on one page at least."""
    assert set(re.findall(r"<!-- generated: (\w+) -->", ALL)) == set(PARTS)


def test_every_command_that_a_page_shows_exists(tmp_path: Path) -> None:
    """Each `curate VERB` in a block of commands answers `--help` with an example."""
    verbs = sorted(set(re.findall(r"^(?:\$ )?curate ([a-z-]+)", ALL, re.M)))
    assert {"init", "intake", "release", "check", "publish"} <= set(verbs)
    helps = transcript.run([Command(f"curate {verb} --help") for verb in verbs], tmp_path, tmp_path / "home")
    assert [
        verb for verb, text in zip(verbs, helps, strict=True) if "Example: curate " not in " ".join(text.split())
    ] == []


def test_help_reads_as_it_was_written() -> None:
    """Arguments bear one name in capitals, dots stand once, and no table's name is taken for markup."""
    for verb in (
        "deidentify",
        "receipts",
        "unseal",
        "intake",
        "vocabulary",
        "inspect",
        "profile",
        "audit",
        "diff",
    ):
        shown = curate(verb, "--help", COLUMNS="200").stdout
        usage = next(line for line in shown.splitlines() if "Usage" in line)
        assert not re.search(r"\{[a-z]|\.\.\.\}", usage)
        assert "whose applies" not in re.sub(" +", " ", shown)


def test_the_pages_of_reference_are_complete() -> None:
    """Every rule with its way out, every column, every key that archive.toml takes, has its place."""
    rule_page = TEXTS[DOCS / "reference" / "rules.md"]
    assert all(f"### {code}\n" in rule_page and one.next in rule_page for code, one in rules().items())
    column_page = TEXTS[DOCS / "reference" / "columns.md"]
    for name in (*contract.MANIFEST_TABLES, "images", "previews", "leaves", "openings"):
        section = column_page.split(f"## {name}\n")[1].split("\n## ")[0]
        assert all(f"| `{column.name}` |" in section for column in contract.table(name).columns)
    accepted = {
        "archive": set(config._ARCHIVE_KEYS),
        "hub": set(config._HUB_KEYS),
        "privacy": {field.name for field in fields(PrivacyPolicy)} - {"population"},  # as [archive] has it
        "profile": {field.name for field in fields(Policy)},
        "approval": set(config._APPROVAL_KEYS),
        "governance": set(config._GOVERNANCE_KEYS),
        "people": {"ACCOUNT"},
        "packs": {"target_size_mb", "pixels"},
    }
    assert regenerate_docs.keys_of_configuration() == accepted


def test_every_code_that_a_page_names_is_a_rule() -> None:
    """Rule codes are those of rules.json."""
    codes = set(re.findall(r"`([A-Z]+_[A-Z_]+)`", ALL)) - {"SOURCE_DATE_EPOCH"}
    known = {code for code in codes if code in rules()}
    assert codes - known <= {
        "HF_ENDPOINT",
        "HF_HOME",
        "HF_TOKEN",
        "XDG_CACHE_HOME",
        "XDG_CONFIG_HOME",
        "ZENODO_ENDPOINT",
        "ZENODO_TOKEN",
        "CURATE_PASSPHRASE",
        "CURATE_KEY_PASSPHRASE",
        "CURATE_DEBUG",
        "CURATE_DECODER_SECONDS",
        "CHESTABDPELVIS",
        "TEXT_IN_PIXELS",  # a reason that a person gave
    }


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`(tests/[\w/.]+|manifests/[\w/.]+)`", ALL))))
def test_every_path_that_a_page_names_exists(path: str) -> None:
    """A file or folder of the repository that is named is there."""
    assert (ROOT / path).exists()


def _anchors(text: str) -> set[str]:
    """The anchors that headings get, on the site and where the repository is read on a forge."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.S | re.M), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", TEXTS, ids=_name)
def test_every_link_leads_somewhere(page: Path) -> None:
    """To a file that is there, and to a heading that it has."""
    for link in _LINK.findall(re.sub(r"`[^`\n]*`", "", TEXTS[page])):
        if re.match(r"\w+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not anchor or anchor in _anchors(target.read_text(encoding="utf-8")), link
