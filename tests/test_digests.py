"""Canonical JSON is the same bytes for the same data, and holds no floats."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from curate.core.digests import canonical_json


@pytest.mark.parametrize(
    "value",
    [1.5, [1.0], {"a": {"b": [1, (2, 3.0)]}}, {1.5: 1}, {"a": {0.5: 1}}, float("nan"), [np.float64(1)], Counter(a=1.0)],
    ids=repr,
)
def test_a_float_is_refused_wherever_it_stands(value: Any) -> None:
    """At the top, in lists, tuples and objects at any depth, as a key, and as NumPy's."""
    with pytest.raises(ValueError, match="no floats"):
        canonical_json(value)


def test_keys_are_sorted_and_nothing_is_escaped_or_padded() -> None:
    """RFC 8785 for what is stored."""
    assert canonical_json({"b": [1, "é", None, True, (1, 2)], "a": {}}) == '{"a":{},"b":[1,"é",null,true,[1,2]]}'
