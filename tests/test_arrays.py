"""Arrow arrays made without pandas are those that pyarrow makes."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.core import arrays

_OF = {
    pa.string(): st.text(),
    pa.binary(): st.binary(),
    pa.binary(4): st.binary(min_size=4, max_size=4),
    pa.bool_(): st.booleans(),
    pa.int8(): st.integers(-128, 127),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.float64(): st.floats(allow_nan=False),
    pa.list_(pa.field("item", pa.string(), nullable=False)): st.lists(st.text(), max_size=3),
    pa.struct([pa.field("a", pa.binary()), pa.field("b", pa.string())]): st.fixed_dictionaries(
        {"a": st.binary(), "b": st.text()}
    ),
}


@pytest.mark.parametrize("kind", _OF, ids=str)
@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_values_and_nulls_are_those_of_pyarrow(kind: pa.DataType, data: st.DataObject) -> None:
    """Whatever the values, nulls among them, the array is valid and equal to that of `pyarrow.array`."""
    values = data.draw(st.lists(st.none() | _OF[kind], max_size=20))
    made = arrays.array(values, kind)
    made.validate(full=True)
    assert made.equals(pa.array(values, kind))


@given(text=st.text(), count=st.integers(0, 5))
def test_one_string_many_times(text: str, count: int) -> None:
    """A repeated string is that of `pyarrow.repeat`."""
    made = arrays.repeated(text, count)
    made.validate(full=True)
    assert made.equals(pa.repeat(pa.scalar(text, pa.string()), count))


@pytest.mark.parametrize(
    ("value", "kind"),
    [(1, pa.string()), ("x", pa.int32()), (300, pa.int8()), (1.5, pa.int64()), (b"x", pa.binary(4))],
)
def test_what_does_not_fit_is_refused(value: Any, kind: pa.DataType) -> None:
    """A value of another kind, or out of range, raises what pyarrow raises."""
    with pytest.raises(pa.ArrowInvalid):
        arrays.array([value], kind)


def test_the_steps_of_an_archive_do_not_import_pandas() -> None:
    """The modules of intake and status come without pandas, openpyxl and datasets, which nobody there needs."""
    code = (
        "import sys, curate.steps.intake, curate.steps.status, curate.steps.quarantine as q;"
        "from curate import contract; contract.to_arrow('references', []);"
        "print([m for m in ('pandas', 'openpyxl', 'datasets', 'jinja2', 'duckdb') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("step", ["release", "check"])
def test_a_step_does_not_import_what_few_of_its_runs_need(step: str) -> None:
    """To cut a release, which is checked then, and to check one takes nothing that judges volumes or reads tables."""
    heavy = ("pandas", "scipy", "datasets")
    code = f"import sys, curate.steps.{step}; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
