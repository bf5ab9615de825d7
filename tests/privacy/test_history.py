"""Releases that are safe one by one can be unsafe together, and that is seen."""

from __future__ import annotations

import pyarrow as pa
import pytest

from curate.core.errors import InputError
from curate.policies import PrivacyPolicy
from curate.privacy import generalization_ladder
from curate.privacy.anonymization import recode
from curate.privacy.cross_release_risk import audit, combined, donors_below, ever
from curate.privacy.risk import risk

AGE = [generalization_ladder.age()]


def _release(bands: list[str | None], first: int = 0) -> pa.Table:
    ids = range(first, first + len(bands))
    return pa.table(
        {
            "study_id": [f"s{i}" for i in ids],
            "donor_id": [f"d{i}" for i in ids],
            "age": pa.array(bands, pa.string()),
        }
    )


def _decades(ages: list[int], shift: int) -> pa.Table:
    """The ages in ten-year bands that start at `shift`."""
    low = [(age - shift) // 10 * 10 + shift for age in ages]
    return _release([f"{start}-{start + 9}" for start in low])


def test_shifted_bands_are_found_out() -> None:
    """Two releases of k 5 whose ten-year bands are shifted by five years combine to k 1."""
    ages = [*[41] * 5, 46, *[51] * 4, *[56] * 5]
    first, second = _decades(ages, 0), _decades(ages, 5)
    assert risk(first, ["age"], 5).by_donor.k == 6
    assert risk(second, ["age"], 5).by_donor.k == 5
    found = audit([first], second, AGE, 5)
    assert found.alone.reached
    assert found.together.by_donor.k == 1
    assert not found.reached
    assert [finding.rule for finding in found.findings()] == ["PRIVACY_TOGETHER_BELOW_K"]
    assert "d5" in donors_below([first, second], AGE, 5)


def test_recoding_never_makes_such_a_pair() -> None:
    """The second release repeats the bands of the first, whatever the new donors would allow."""
    ages = [*[41] * 5, 46, *[51] * 4, *[56] * 5]
    first = _decades(ages, 0)
    table = pa.table({"study_id": first["study_id"], "donor_id": first["donor_id"], "age": ages})
    made = recode(table, AGE, PrivacyPolicy(k=5), [first])
    assert made.table["age"].to_pylist() == first.sort_by("study_id")["age"].to_pylist()


def test_a_small_increment_is_found_out() -> None:
    """Two donors new in the second release stand apart from the many who were there before."""
    first, second = _release(["40-49"] * 20), _release(["40-49"] * 22)
    found = audit([first], second, AGE, 11)
    assert found.alone.by_donor.k == 22
    assert found.together.by_donor.k == 2


def test_withdrawn_studies_still_count_for_who_holds_the_old_release() -> None:
    """Eleven were published and one withdrew: together they are eleven, alone ten."""
    first, second = _release(["40-49"] * 11), _release(["40-49"] * 10)
    found = audit([first], second, AGE, 11)
    assert (found.alone.by_donor.k, found.together.by_donor.k) == (10, 11)
    assert [finding.rule for finding in found.findings()] == ["PRIVACY_BELOW_K"]


def test_null_says_nothing_of_what_was_published_before() -> None:
    """A cell suppressed later keeps the interval of the first release in the intersection."""
    known = ever([_release(["40-49"]), _release([None]), _release(["45-49"])], AGE)
    assert known.columns[0].spans[known.columns[0].span].tolist() == [[45, 50]]


def test_cells_that_contradict_each_other_set_a_study_apart() -> None:
    """Bands without a common year are no class that others share."""
    releases = [_release(["40-49"] * 12), _release(["50-59", "50-59", *["40-49"] * 10])]
    assert risk(combined(releases, AGE), ["age"], 11).by_donor.k == 1


def test_what_was_unsafe_before_is_inherited_and_does_not_block() -> None:
    """An earlier release below k is a warning; a release that only repeats it is not refused."""
    first = _release([*["40-49"] * 11, "70-79"])
    table = pa.table({"study_id": first["study_id"], "donor_id": first["donor_id"], "age": [*[45] * 11, 71]})
    made = recode(table.slice(0, 11), AGE, PrivacyPolicy(k=11), [first])
    assert made.table.num_rows == 11
    assert {finding.rule for finding in made.findings()} == {"PRIVACY_INHERITED_BELOW_K"}


def test_a_study_twice_in_a_release_is_refused() -> None:
    """One row a study."""
    twice = pa.concat_tables([_release(["40-49"]), _release(["40-49"])])
    with pytest.raises(InputError, match="a study twice"):
        ever([twice], AGE)


def test_a_study_that_changes_its_donor_is_refused() -> None:
    """A study belongs to one donor in all releases."""
    second = _release(["40-49"]).set_column(1, "donor_id", pa.array(["d9"]))
    with pytest.raises(InputError, match="another donor"):
        ever([_release(["40-49"]), second], AGE)
