"""A recoded release shows no donor below k, alone or beside all releases before it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from curate.core.errors import InputError
from curate.policies import PrivacyPolicy
from curate.privacy import generalization_ladder
from curate.privacy.anonymization import Recoding, recode
from curate.privacy.cross_release_risk import audit
from curate.privacy.forecast import forecast
from tests.privacy import donors, oracle
from tests.privacy.archives import COLUMNS, HIERARCHIES, REGION, Archive


def _policy(seed: int) -> PrivacyPolicy:
    return PrivacyPolicy(
        k=(2, 2, 3, 4)[seed % 4],
        largest_suppressed_share=(0.0, 0.1, 0.5, 1.0)[seed // 4 % 4],
        later_studies=("hold", "split")[seed // 16 % 2],  # type: ignore[arg-type]
        give_up_first=(("sex", "region"), ("days_from_first", "age"))[seed // 32 % 2],
    )


def _shuffled(table: pa.Table, seed: int) -> pa.Table:
    return table.take(pa.array(np.random.default_rng(seed).permutation(table.num_rows)))


def _check_cells(table: pa.Table, archive: Archive) -> None:
    """Every cell published is true of the study."""
    for row in table.to_pylist():
        true = archive.studies[row["study_id"]]
        assert row["modality"] == true["modality"]
        assert row["sex"] in (None, true["sex"])
        assert row["region"] is None or row["region"] in REGION[true["region"]]
        days = row["days_from_first"]
        if row["part"]:
            assert days in ("0", None)
            continue
        assert days is None or true["days_from_first"] in oracle.meaning(days, None)


@pytest.mark.parametrize("seed", range(36))
def test_no_release_of_a_random_archive_shows_anybody_below_k(seed: int) -> None:
    """Over five releases with comings, withdrawals and corrections a slow count finds nobody below k."""
    archive, policy, history = Archive(seed), _policy(seed), list[pa.Table]()
    for version in range(1 + seed % 5):
        table = archive.live({study for old in history for study in old["study_id"].to_pylist()})
        made = recode(table, HIERARCHIES, policy, history)
        ids = [*made.table["study_id"].to_pylist(), *made.held["study_id"].to_pylist()]
        assert sorted(ids) == sorted(table["study_id"].to_pylist())
        alone = oracle.alone(made.table, [*COLUMNS, "first_release"])
        together = oracle.together([*history, made.table], COLUMNS, {"region": REGION})
        assert min(alone.values(), default=policy.k) >= policy.k
        assert min(together.values(), default=policy.k) >= policy.k
        counted = audit(history, made.table, HIERARCHIES, policy.k)
        assert counted.alone.by_donor.k == min(alone.values(), default=0)
        assert counted.together.by_donor.k == min(together.values(), default=0)
        _check_cells(made.table, archive)
        again = recode(_shuffled(table, seed), HIERARCHIES, policy, [_shuffled(old, version) for old in history])
        assert again.table.equals(made.table)
        assert again.held.equals(made.held)
        history.append(made.table)
    bands: dict[str, set[str]] = {}
    for row in (row for old in history for row in old.to_pylist() if row["age"] is not None):
        bands.setdefault(row["donor_id"], set()).add(row["age"])
    assert all(len(found) == 1 for found in bands.values())


def _alike(count: int, start: int = 0, **values: object) -> list[dict[str, object]]:
    row = {"age": 45, "sex": "F", "region": "r0", "modality": "CT", "days_from_first": 0} | values
    return [{"study_id": f"s{i}", "donor_id": f"d{i}", **row} for i in range(start, start + count)]


def _recode(rows: list[dict[str, object]], history: list[pa.Table] | None = None, **policy: object) -> Recoding:
    made = PrivacyPolicy(**({"k": 11} | policy))  # type: ignore[arg-type]
    return recode(pa.Table.from_pylist(rows), HIERARCHIES, made, history or [])


def test_all_detail_is_kept_where_all_are_alike() -> None:
    """Eleven equal donors are published as they are."""
    made = _recode(_alike(11))
    assert made.held.num_rows == 0
    assert [level for _, level in made.levels] == ["years", "value", "code", "value", "days"]
    assert set(made.table["age"].to_pylist()) == {"45"}


def test_the_column_given_up_first_loses_detail_first() -> None:
    """Two columns could be coarsened; the policy decides which."""
    rows = [
        *_alike(6),
        *_alike(6, 6, age=46, region="r2"),
        *_alike(6, 12, region="r2"),
        *_alike(6, 18, age=46),
    ]
    order = ("region", "sex", "days_from_first", "modality", "age")
    kept = dict(_recode(rows, give_up_first=order, largest_suppressed_share=0.0).levels)
    assert (kept["age"], kept["region"]) == ("years", "group")
    kept = dict(_recode(rows, give_up_first=order[::-1], largest_suppressed_share=0.0).levels)
    assert (kept["age"], kept["region"]) == ("5-year bands", "code")


def test_what_the_images_state_is_never_suppressed() -> None:
    """Ten donors with MR among many with CT wait, since null in the manifest would hide nothing."""
    made = _recode([*_alike(40), *_alike(10, 40, modality="MR")], largest_suppressed_share=1.0)
    assert made.table.num_rows == 40
    assert set(made.held["reason"].to_pylist()) == {"TOO_FEW_ALIKE"}
    assert set(made.held["more_donors"].to_pylist()) == {1}


def test_the_share_suppressed_is_kept() -> None:
    """A release with more to suppress than the policy allows holds the rest."""
    rows = [
        *_alike(200),
        *_alike(11, 200, age=3, region="r3"),
        *_alike(9, 211, age=4),
        *_alike(9, 220, age=95),
    ]
    made = _recode(rows, largest_suppressed_share=0.05)
    assert made.studies_suppressed <= 0.05 * len(rows)
    assert not _recode(rows, largest_suppressed_share=0.0).studies_suppressed


def test_over_89_is_one_class() -> None:
    """Ages from 90 up are told as 90+ at every level."""
    made = _recode([*_alike(6, age=91), *_alike(6, 6, age=103)])
    assert set(made.table["age"].to_pylist()) == {"90+"}


def test_a_later_study_bears_the_first_age_band() -> None:
    """Eleven donors come again a year and a day later: their age is that of the first study."""
    rows = _alike(11)
    later = [row | {"study_id": f"t{i}", "age": 46, "days_from_first": 366} for i, row in enumerate(rows)]
    first = _recode(rows)
    both = _recode(rows + later, [first.table])
    assert both.held.num_rows == 0
    assert set(both.table["age"].to_pylist()) == {"45"}
    assert set(both.table["days_from_first"].to_pylist()) == {"0", "366"}


@pytest.mark.parametrize(("before", "again", "held"), [(20, 12, 12), (30, 25, 6), (30, 12, 0), (30, 30, 0)])
def test_donors_left_behind_keep_their_company(before: int, again: int, held: int) -> None:
    """Of those who come again as many wait as it takes to leave eleven behind, or all, or none."""
    rows = _alike(before)
    later = [row | {"study_id": f"t{i}", "days_from_first": 30} for i, row in enumerate(rows[:again])]
    made = _recode(rows + later, [_recode(rows).table])
    assert made.held.num_rows == held
    assert set(made.held["reason"].to_pylist()) <= {"LEAVES_OTHERS_ALONE"}


def test_with_split_a_later_study_gets_a_further_id() -> None:
    """A later study that sets its donor apart gets an id of its own, and counts as the same person."""
    rows = [*_alike(20), *_alike(1)]
    rows[-1] = rows[-1] | {"study_id": "t", "days_from_first": 345}
    held = _recode(rows, later_studies="hold")
    assert held.held["study_id"].to_pylist() == ["t"]
    split = _recode(rows, later_studies="split", largest_suppressed_share=0.0)
    assert split.held.num_rows == 0
    assert sorted(split.table["part"].to_pylist())[-2:] == [0, 1]
    assert set(split.table["days_from_first"].to_pylist()) == {"0"}
    assert split.audit is not None
    assert split.audit.alone.by_donor.k == 20
    again = _recode(rows, [split.table], later_studies="split")
    assert again.table.equals(split.table)


def test_a_study_that_names_its_donors_other_one_gets_no_further_id() -> None:
    """Where an image of one study refers to another, two ids would be joined by it: the study waits."""
    rows = [row | {"bound": False} for row in [*_alike(20), *_alike(1)]]
    rows[-1] |= {"study_id": "t", "days_from_first": 345, "bound": True}
    made = _recode(rows, later_studies="split", largest_suppressed_share=0.0)
    assert made.held["study_id"].to_pylist() == ["t"]
    assert made.held["reason"].to_pylist() == ["LATER_STUDY"]


def test_a_withdrawal_is_not_held_and_its_class_is_suppressed() -> None:
    """Of eleven alike one withdraws: the ten stay, their cells null, made up by others who can be spared."""
    rows = [*_alike(11), *_alike(40, 11, region="r3", age=70)]
    first = _recode(rows)
    second = _recode(rows[1:], [first.table])
    assert second.held.num_rows == 0
    assert "s0" not in second.table["study_id"].to_pylist()
    ten = second.table.filter(pc.is_in(second.table["study_id"], pa.array([f"s{i}" for i in range(1, 11)])))
    assert set(ten["region"].to_pylist()) == {None}
    assert second.studies_suppressed == 11
    assert dict(second.suppressed)["region"] == 11


def test_a_class_that_cannot_spare_one_donor_goes_along() -> None:
    """Eleven and eleven, of whom one withdraws: all others stay, with their cells null."""
    rows = [*_alike(11), *_alike(11, 11, region="r3", age=70)]
    second = _recode(rows[1:], [_recode(rows).table])
    assert second.held.num_rows == 0
    assert second.studies_suppressed == 21


def test_an_old_study_keeps_its_cell_for_ever() -> None:
    """A release with many more donors does not refine what was published coarse."""
    first = _recode([*_alike(6), *_alike(6, 6, age=46)], largest_suppressed_share=0.0)
    assert set(first.table["age"].to_pylist()) == {"45-49"}
    rows = [*_alike(6), *_alike(6, 6, age=46), *_alike(200, 12)]
    second = _recode(rows, [first.table])
    old = second.table.filter(pc.equal(second.table["first_release"], 0))
    assert set(old["age"].to_pylist()) == {"45-49"}
    assert set(second.table["age"].to_pylist()) == {"45-49", "45"}


def test_a_corrected_value_becomes_null_and_not_another_value() -> None:
    """Who holds both releases would see which study changed, so the wrong value only goes."""
    rows = _alike(40)
    first = _recode(rows)
    rows[3] = rows[3] | {"region": "r2"}
    second = _recode(rows, [first.table])
    row = second.table.to_pylist()[second.table["study_id"].to_pylist().index("s3")]
    assert row["region"] is None


def test_test_material_is_exempt_and_says_so() -> None:
    """Phantoms keep all detail, and a finding tells that nothing was measured."""
    made = _recode(_alike(1), population="test")
    assert made.table["age"].to_pylist() == ["45"]
    assert made.audit is None
    assert [finding.rule for finding in made.findings()] == ["PRIVACY_EXEMPT"]


def test_findings_count_what_was_given_up() -> None:
    """The report tells how many cells are null and how many studies wait."""
    made = _recode([*_alike(40), *_alike(10, 40, modality="MR")])
    assert {finding.rule: finding.count for finding in made.findings()} == {"PRIVACY_HELD": 10}


def test_the_forecast_counts_who_waits_for_how_many() -> None:
    """Ten wait for one more donor, eight for three more."""
    rows = [*_alike(40), *_alike(10, 40, modality="MR"), *_alike(8, 50, modality="DX")]
    ahead = forecast(_recode(rows))
    assert [(step.more_donors, step.studies, step.released) for step in ahead.steps] == [
        (1, 10, 50),
        (3, 8, 58),
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"age": -1}, "age: not whole numbers"),
        ({"region": "elbow"}, "region: a value is not in the hierarchy"),
        ({"study_id": "s1"}, "a study twice"),
        ({"donor_id": None}, "no donor_id"),
    ],
)
def test_bad_rows_are_refused_without_their_value(change: dict[str, object], message: str) -> None:
    """An error names the column, not what stood in it."""
    rows = _alike(12)
    rows[0] = rows[0] | change
    with pytest.raises(InputError, match=message) as caught:
        _recode(rows)
    assert "elbow" not in str(caught.value)


def test_a_study_of_another_donor_than_before_is_refused() -> None:
    """A study keeps its donor for ever."""
    first = _recode(_alike(12))
    rows = _alike(12)
    rows[0] = rows[0] | {"donor_id": "d5"}
    with pytest.raises(InputError, match="another donor"):
        _recode(rows, [first.table])


def test_the_largest_k_is_met_by_holding_all() -> None:
    """An archive of fewer donors than k publishes nothing."""
    made = _recode(_alike(10))
    assert made.table.num_rows == 0
    assert set(made.held["more_donors"].to_pylist()) == {1}


def test_three_versions_of_100_000_studies_show_nobody_below_k() -> None:
    """With additions, further studies and withdrawals, pandas and the exact audit find k for each."""
    levels, policy = donors.hierarchies(), PrivacyPolicy()
    table, history = donors.studies(80_000, seed=1), list[pa.Table]()
    for version in range(3):
        made = recode(table, levels, policy, history)
        assert made.table.num_rows > 0.9 * table.num_rows
        _check_with_pandas(made.table, policy.k, [each.column for each in levels])
        history.append(made.table)
        kept = np.random.default_rng(version).random(table.num_rows) > 0.01
        more = donors.studies(10_000, seed=2 + version, start=80_000 + 10_000 * version, known=60_000)
        table = pa.concat_tables([table.filter(pa.array(kept)), more])
    counted = audit(history[:-1], history[-1], levels, policy.k)
    assert counted.reached
    assert counted.inherited == 0
    assert counted.together.by_donor.k >= policy.k
    assert counted.together.studies > 95_000


def _check_with_pandas(table: pa.Table, k: int, columns: list[str]) -> None:
    texts = [[str(value) for value in table[name].to_pylist()] for name in (*columns, "first_release")]
    cells = pd.Series(["|".join(row) for row in zip(*texts, strict=True)])
    ids = pd.MultiIndex.from_arrays([table["donor_id"].to_pylist(), table["part"].to_pylist()])
    said = cells.groupby(ids).agg(lambda rows: "+".join(sorted(rows)))
    persons = pd.Series(said.index.get_level_values(0)).groupby(said.to_list()).nunique()
    assert persons.min() >= k


def test_bands_that_cut_across_each_other_are_refused() -> None:
    """Seven-day bands inside ten-day bands could be intersected."""
    with pytest.raises(InputError, match="whole smaller ones"):
        generalization_ladder.bands("series_count", (1, 7, 10))
