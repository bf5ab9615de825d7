"""The [privacy] table says what it may, and anything else is an error that helps."""

from __future__ import annotations

import pytest

from curate.core.errors import InputError
from curate.policies import DEFAULT_GIVE_UP_FIRST, PrivacyPolicy


def test_an_empty_table_has_the_defaults() -> None:
    """Open access means 11, and a later study that stands out waits."""
    policy = PrivacyPolicy.from_mapping({})
    assert (policy.k, policy.later_studies, policy.exempt) == (11, "split", False)
    assert policy.give_up_first == DEFAULT_GIVE_UP_FIRST
    assert policy == PrivacyPolicy()


def test_gated_access_means_five() -> None:
    """Where terms are accepted k is 5, unless the table says otherwise."""
    assert PrivacyPolicy.from_mapping({"access": "gated"}).k == 5
    assert PrivacyPolicy.from_mapping({"access": "gated", "k": 20}).k == 20


def test_a_low_k_is_noticed() -> None:
    """Five is low for open access and not for gated access."""
    assert PrivacyPolicy.from_mapping({"k": 5}).below_recommended
    assert not PrivacyPolicy.from_mapping({"k": 5, "access": "gated"}).below_recommended


def test_test_material_is_exempt() -> None:
    """The archive's population counts, and the table's own goes before it."""
    assert PrivacyPolicy.from_mapping({}, population="test").exempt
    assert not PrivacyPolicy.from_mapping({"population": "persons"}, population="test").exempt


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"kk": 3}, "unknown keys: kk"),
        ({"k": 1}, "k must be a whole number from 2"),
        ({"k": True}, "k must be a whole number"),
        ({"k": "11"}, "k must be a whole number"),
        ({"access": "public"}, "access must be one of open, gated"),
        ({"population": "phantoms"}, "population must be one of persons, test"),
        ({"largest_suppressed_share": 5}, "from 0 to 1"),
        ({"largest_suppressed_share": "5%"}, "from 0 to 1"),
        ({"give_up_first": "model"}, "list of column names"),
        ({"give_up_first": ["model", "model"]}, "twice"),
        ({"later_studies": "drop"}, "later_studies must be one of split, hold"),
    ],
)
def test_what_the_table_may_not_say_is_refused(table: dict[str, object], message: str) -> None:
    """The message names the key, the hint what to do."""
    with pytest.raises(InputError, match=message) as caught:
        PrivacyPolicy.from_mapping(table)
    assert caught.value.hint


def test_columns_that_the_policy_does_not_name_go_first() -> None:
    """What nobody chose to keep weighs least; each column weighs twice the one before."""
    policy = PrivacyPolicy(give_up_first=("model", "age"))
    assert policy.order(("age", "site", "model")) == ("site", "model", "age")
    weights = policy.weights(("age", "site", "model"))
    assert weights == pytest.approx({"site": 1 / 7, "model": 2 / 7, "age": 4 / 7})
