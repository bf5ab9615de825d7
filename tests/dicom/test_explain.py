"""The rules describe themselves."""

from __future__ import annotations

import pytest

from curate.core.errors import InputError
from curate.deid import explain, profile
from curate.deid.records import Action
from curate.policies import Policy


def test_everything_is_explained() -> None:
    """Each attribute of the dictionary and the table has an action, a reason, and words for what it becomes."""
    found = list(explain.everything(Policy()))
    assert len(found) > 5000
    for one in found:
        assert one.reason
        assert one.becomes or one.action is Action.REMOVE


@pytest.mark.parametrize("what", ["PatientName", "0010,0010", "(0010,0010)", "00100010"])
def test_an_attribute_is_found_by_keyword_or_tag(what: str) -> None:
    """A keyword, and a tag in three ways of writing, name the same attribute."""
    (one,) = explain.find(what, Policy())
    assert (one.keyword, one.action, one.table) == ("PatientName", Action.EMPTY, "Z")


def test_all_of_it() -> None:
    """`all` explains everything."""
    assert len(explain.find("all", Policy())) == len(list(explain.everything(Policy())))


def test_what_is_no_attribute_is_an_error() -> None:
    """A misspelt keyword gets a hint."""
    with pytest.raises(InputError, match="neither a DICOM keyword nor a tag") as raised:
        explain.find("PatientsName", Policy())
    assert "PatientName" in raised.value.hint


def test_the_readme_table_counts_every_row() -> None:
    """The table's rows with a tag of their own are counted once each, and each option changes something."""
    text = explain.markdown()
    rows = [line.split("|") for line in text.splitlines() if line.startswith("| ") and line[2] in "KCZDXU"]
    counted = sum(int(cells[3]) for cells in rows if cells[3].strip().isdigit())
    assert counted >= len([row for row in profile.table() if row.isalnum()]) - 10
    assert all(int(line.split("|")[4]) > 0 for line in text.splitlines() if line.startswith("| `"))
