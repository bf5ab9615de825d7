from __future__ import annotations

import io
import re
import runpy
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import huggingface_hub
import pydicom
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from curate import contract, licenses
from curate.core.errors import InputError
from curate.core.findings import rules
from curate.core.records import FileEntry, ReleaseSummary
from curate.describe import body, card, card_check, croissant, croissant_check, layout
from tests.describe import release

Built = tuple[Path, ReleaseSummary]


def front(text: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(text.split("\n---\n")[0])
    return found


def rules_of(root: Path, summary: ReleaseSummary, text: str) -> set[tuple[str, str]]:
    found = card_check.check_card(
        text,
        version=summary.version,
        population=summary.archive.population,
        counts=card.counts(summary),
        license_counts=summary.license_counts,
        files=summary.files,
    )
    return {(f.rule, f.tag) for f in found}


def code_blocks(text: str, root: Path) -> list[str]:
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    return [b.replace(body.FOLDER, root.as_posix()) for b in blocks if body.FOLDER in b]


@pytest.mark.parametrize("streaming", [False, True])
def test_every_config_of_the_card_loads(built: Built, streaming: bool, tmp_path: Path) -> None:
    """`load_dataset` reads each config with its rows and its version, from the cache and as a stream."""
    root, summary = built
    names = datasets.get_dataset_config_names(str(root))
    assert names == list(contract.CONFIGS)
    assert datasets.get_dataset_default_config_name(str(root)) == "studies"
    for name in names:
        loaded = datasets.load_dataset(str(root), name, streaming=streaming, cache_dir=str(tmp_path))
        rows = list(loaded["train"])
        assert len(rows) == summary.table_rows[name], name
        assert str(loaded["train"].info.version) == summary.version, name


def test_previews_decode_as_images(built: Built, tmp_path: Path) -> None:
    """The previews' config says that its bytes are pictures, whatever the Parquet file says."""
    loaded = datasets.load_dataset(str(built[0]), "previews", cache_dir=str(tmp_path))["train"]
    assert loaded[0]["image"].size == (8, 6)


def test_config_without_rows_or_files_is_left_out_since_it_would_not_load(tmp_path: Path) -> None:
    """A table without rows or files has no config, and the card says which one is empty."""
    summary = release.build(tmp_path, references=0)
    assert "references" not in datasets.get_dataset_config_names(str(tmp_path))
    assert "no rows for `references`" in card.card(summary)
    bare = replace(summary, files=layout.files_of("studies", summary.files))
    assert [c["config_name"] for c in front(card.card(bare))["configs"]] == ["studies"]
    assert "This version holds no images." in card.card(bare)


def test_a_config_without_files_or_rows_would_fail(built: Built, tmp_path: Path) -> None:
    """The reason for leaving it out: `datasets` fails on a config without a file, or without a row."""
    text = (built[0] / "README.md").read_text(encoding="utf-8")
    (tmp_path / "manifest").mkdir()
    shutil.copy(built[0] / "manifest/studies.parquet", tmp_path / "manifest")
    contract.write_table("references", tmp_path / "manifest" / "references.parquet", [])
    (tmp_path / "README.md").write_text(text, encoding="utf-8")
    for name in ("previews", "references"):  # no file, and no row
        with pytest.raises((ValueError, datasets.exceptions.DatasetGenerationError)):
            datasets.load_dataset(str(tmp_path), name, cache_dir=str(tmp_path / "cache"))


def test_the_cards_own_snippets_run(built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The card's code, run as it stands but for the folder, gives studies, pixels and the revoked copy."""
    root, _ = built
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    found: dict[str, Any] = {}
    for number, block in enumerate(code_blocks((root / "README.md").read_text(encoding="utf-8"), root)):
        script = tmp_path / f"snippet{number}.py"
        script.write_text(block, encoding="utf-8")
        found |= runpy.run_path(str(script))
    original = pydicom.dcmread(io.BytesIO(found["row"]["dicom"]["bytes"]))
    assert len(found["studies"]) == 2
    assert found["pixels"].shape == (original.Rows, original.Columns) == (128, 128)
    assert len(found["gone"]) == 1


def test_card_reads_back_what_the_release_holds(built: Built) -> None:
    """The YAML and the tables that people see both state the counts, and check agrees."""
    root, summary = built
    text = (root / "README.md").read_text(encoding="utf-8")
    facts = card_check.read_card(text)
    assert facts is not None
    assert facts.version == facts.shown_version == "1.2.0"
    assert facts.counts == facts.shown_counts == {"donors": 2} | dict(summary.table_rows)
    assert facts.licenses == facts.shown_licenses == {"CC-BY-4.0": 1, "CC0-1.0": 1}
    assert rules_of(root, summary, text) == set()


BROKEN = {
    "no yaml": ("---\n", "", {("CARD_UNREADABLE", "")}),
    "yaml broken": ("pretty_name:", "pretty_name: [", {("CARD_UNREADABLE", "")}),
    "version in yaml": ("curate:\n  version: 1.2.0", "curate:\n  version: 1.1.0", {("CARD_VERSION", "")}),
    "version shown": ("Version **1.2.0**", "Version **1.1.0**", {("CARD_VERSION", "")}),
    "version of a config": ("series\n  version: 1.2.0", "series\n  version: 1.1.0", {("CARD_VERSION", "")}),
    "count in yaml": ("    studies: 2", "    studies: 3", {("CARD_COUNT", "studies")}),
    "count shown": ("| instances | 2 |", "| instances | 2,000 |", {("CARD_COUNT", "instances")}),
    "count hidden": (
        "| donors | 2 | a test object, counted; not a table of its own |\n",
        "",
        {("CARD_COUNT", "donors")},
    ),
    "licence in yaml": ("    CC0-1.0: 1", "    CC0-1.0: 2", {("CARD_LICENSE", "CC0-1.0")}),
    "licence shown": ("CC-BY-4.0.txt) | 1 |", "CC-BY-4.0.txt) | 9 |", {("CARD_LICENSE", "CC-BY-4.0")}),
    "licence of the hub": ("license: other", "license: mit", {("CARD_LICENSE", "license")}),
    "population in yaml": ("population: test", "population: persons", {("CARD_POPULATION", "")}),
    "population shown": (body.TEST_MATERIAL, "**This is fine**", {("CARD_POPULATION", "")}),
    "config's files": ("path: packs/*/*.parquet", "path: manifest/*.parquet", {("CARD_CONFIG", "images")}),
    "config's name": ("config_name: series", "config_name: other", {("CARD_CONFIG", "series"), ("CARD_CONFIG", "")}),
    "config's default": ("  default: true\n", "", {("CARD_CONFIG", "studies")}),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "expected"), BROKEN.values(), ids=BROKEN)
def test_a_card_that_says_something_else_is_refused(
    built: Built, old: str, new: str, expected: set[tuple[str, str]]
) -> None:
    """Each false statement on the card, in its YAML or in what people read, has its code."""
    root, summary = built
    text = (root / "README.md").read_text(encoding="utf-8")
    assert old in text
    assert rules_of(root, summary, text.replace(old, new, 1)) == expected


@given(st.text(max_size=200), st.text(max_size=60))
def test_any_card_is_read_or_refused(yaml_text: str, text: str) -> None:
    """No text crashes the reader, and what comes out are findings with rules."""
    for candidate in (yaml_text, f"---\n{yaml_text}\n---\n{text}", f"---\ncurate: {yaml_text}\n---\n{text}"):
        found = card_check.check_card(
            candidate, version="1.0.0", population="test", counts={}, license_counts={}, files=()
        )
        assert found and all(f.rule in rules() for f in found)


def test_a_yaml_bomb_is_read_without_harm() -> None:
    """Aliases of aliases, and nesting beyond reason, neither fill the memory nor crash."""
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{c}: &{c} [{','.join([f'*{p}'] * 9)}]\n" for p, c in zip("abcdefghij", "bcdefghijk", strict=True)
    )
    text = f"---\n{bomb}configs: *k\ncurate:\n  counts: *k\n---\n\n"
    assert card_check.read_card(text) is None  # no card of ours has an alias
    assert card_check.read_card(f"---\ncurate: {'[' * 5000}\n---\n") is None


_MARKS = st.text("<>[]()|*_`~&$#!-+=1. \n\\x{}%:/\u202e", min_size=1, max_size=30).map("x".__add__)
_TITLES = _MARKS | st.text(st.characters(codec="utf-8"), max_size=30).map("x".__add__)


@settings(max_examples=60)
@given(_TITLES, _TITLES)
def test_no_title_breaks_the_card(title: str, publisher: str) -> None:
    """Any title and publisher give a card whose YAML is ours and whose body has our headings only."""
    files = (FileEntry("manifest/studies.parquet", 1, "0" * 64),)
    summary = release.summarise(files, {"studies": 2})
    plain = card.card(summary)
    archive = replace(summary.archive, title=title, publisher=publisher, description=title, contact=publisher)
    text = card.card(replace(summary, archive=archive))
    assert front(text).keys() == front(plain).keys()
    assert front(text)["configs"] == front(plain)["configs"]
    assert shape(text) == shape(plain)


def shape(text: str) -> list[tuple[str, list[str]]]:
    """What a Markdown reader makes of a card, but for the words."""
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    tokens = parser.parse(text.split("\n---\n", 1)[1])
    return [(t.type, [c.type for c in t.children or () if c.type != "text_special"]) for t in tokens]


def test_hub_client_accepts_the_cards_yaml(built: Built) -> None:
    """huggingface_hub reads the card and keeps every key."""
    loaded = huggingface_hub.DatasetCard.load(built[0] / "README.md")
    assert loaded.data.license == "other"
    assert loaded.data.to_dict()["license_link"] == licenses.OVERVIEW_PATH
    assert loaded.data.to_dict()["curate"]["counts"]["studies"] == 2


def test_gated_card_prompts_with_the_terms(built: Built) -> None:
    """Where access is gated the Hub shows the terms; where not, the card has no such key."""
    _, summary = built
    gated = front(card.card(replace(summary, gated="auto")))
    assert gated["extra_gated_prompt"] == licenses.terms()
    assert "extra_gated_prompt" not in front(card.card(summary))


def test_persons_and_test_material_are_told_apart(built: Built) -> None:
    """A card of persons says how they gave their images, a card of test material that they are none."""
    _, summary = built
    persons = replace(summary, archive=replace(summary.archive, population="persons"))
    assert body.TEST_MATERIAL in card.card(summary)
    assert body.TEST_MATERIAL not in card.card(persons)
    assert "2 persons, donated for research" in card.card(persons)


def test_card_lists_every_published_quasi_identifier(built: Built) -> None:
    """Each column that the contract marks as known to others stands on the card with its reason."""
    text = card.card(built[1])
    for name in ("studies", "series"):
        for column in contract.table(name).columns:
            shown = f"| `{column.name}` |" in text
            assert shown or column.role != "quasi-identifier", column.name


def test_hidden_counts_and_notices_are_shown_as_such(built: Built) -> None:
    """A suppressed cell reads `hidden`; a recall's notice stands above everything else."""
    text = card.card(replace(built[1], notices=("Version 1.1.0 was recalled.",)))
    assert "| F | 1,234 |\n| M | hidden |" in text
    assert text.index("> **Notice.** Version 1.1.0 was recalled.") < text.index("Version **1.2.0**")


def test_card_is_the_same_bytes_whatever_the_order_of_its_input(built: Built) -> None:
    """Neither the order of mappings nor of files shows in the card."""
    _, summary = built
    turned = replace(
        summary,
        files=summary.files[::-1],
        license_counts=dict(reversed(summary.license_counts.items())),
        modality_counts=dict(reversed(summary.modality_counts.items())),
        table_rows=dict(reversed(summary.table_rows.items())),
    )
    assert card.card(turned) == card.card(summary)
    assert card.card(summary).isascii() is False and "\r" not in card.card(summary)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (0, "n<1K"),
        (999, "n<1K"),
        (1000, "1K<n<10K"),
        (99_999, "10K<n<100K"),
        (10**9, "1B<n<10B"),
        (10**13, "n>1T"),
    ],
)
def test_size_category(rows: int, expected: str) -> None:
    """The Hub's classes of size by the number of rows."""
    assert card.size_category(rows) == expected


def test_a_release_without_studies_is_described_and_passes(built: Built) -> None:
    """When the last study is withdrawn the card and Croissant still say so, and check accepts them."""
    manifest = tuple(f for f in built[1].files if f.path.startswith("manifest/"))
    empty = replace(
        built[1],
        files=manifest,
        table_rows=dict.fromkeys(contract.MANIFEST_TABLES, 0) | {"revocations": 4},
        donor_count=0,
        license_counts={},
        modality_counts={},
        tables={},
    )
    assert rules_of(built[0], empty, card.card(empty)) == set()
    assert [c["config_name"] for c in front(card.card(empty))["configs"]] == ["studies"]
    found = croissant_check.check_croissant(
        croissant.croissant_json(empty),
        version=empty.version,
        files=manifest,
        table_rows=empty.table_rows,
        license_ids=(),
    )
    assert found == []


def test_unknown_licence_stops_the_card(built: Built) -> None:
    """A licence that is not of the catalogue is not published."""
    with pytest.raises(InputError, match="foo"):
        card.card(replace(built[1], license_counts={"foo": 1}))
