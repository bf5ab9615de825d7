"""Random trees of elements: the same claims as for planted files, for whatever Hypothesis thinks of."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.planter import system, trees
from tests.planter.raw import Draft, write

EXAMPLES = int(os.environ.get("CURATE_EXAMPLES", "100"))
common = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize="CURATE_EXAMPLES" not in os.environ,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)


@common
@given(trees.files())
def test_what_the_rewriter_writes_the_checker_passes(draft: Draft) -> None:
    """A file is released clean, and rewriting it again changes nothing; or it is refused by a code."""
    outcome = system.attack(write(draft))
    assert system.refused_by_code(outcome), outcome.refusal
    if outcome.released is not None:
        assert not system.noticed(outcome.released), system.objections(outcome.released)


@common
@given(trees.files())
def test_the_checker_objects_to_what_the_rewriter_would_change(draft: Draft) -> None:
    """A file that is not exactly as it would be released is never passed."""
    data = write(draft)
    outcome = system.attack(data)
    if outcome.released != data:
        assert system.noticed(data)


@common
@given(st.binary(max_size=600), st.booleans())
def test_any_bytes_are_refused_or_released(data: bytes, framed: bool) -> None:
    """No bytes make the program fail otherwise than by a rule's code."""
    outcome = system.attack(bytes(128) + b"DICM" + data if framed else data)
    assert system.refused_by_code(outcome), outcome.refusal
