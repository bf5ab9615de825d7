"""Python values as Arrow arrays, straight into buffers.

`pyarrow.array` asks whether its argument is one of pandas' and so imports pandas: half a second of every command.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa


def array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Strings, bytes, booleans, numbers, lists of these; None is null.

    Raises:
        pa.ArrowInvalid: a value does not fit the type.
    """
    try:
        return _array(values, kind)
    except (AttributeError, TypeError, ValueError, OverflowError) as error:
        raise pa.ArrowInvalid(f"a value does not fit {kind}") from error


def repeated(text: str, count: int) -> pa.Array:
    """One string so many times."""
    data = text.encode()
    return pa.Array.from_buffers(pa.string(), count, [None, _ends([len(data)] * count), pa.py_buffer(data * count)])


def _array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    valid = _bits([value is not None for value in values]) if None in values else None
    count = len(values)
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        text = pa.types.is_string(kind)
        parts = [b"" if v is None else v.encode() if text else bytes(v) for v in values]
        data = [valid, _offsets(parts), pa.py_buffer(b"".join(parts))]
        return pa.Array.from_buffers(kind, count, data)
    if pa.types.is_fixed_size_binary(kind):
        blank = bytes(kind.byte_width)
        parts = [blank if value is None else value for value in values]
        if any(len(part) != kind.byte_width for part in parts):
            raise ValueError("a value of another length")
        return pa.Array.from_buffers(kind, count, [valid, pa.py_buffer(b"".join(parts))])
    if pa.types.is_list(kind):
        lists = [value or () for value in values]
        inner = array([entry for part in lists for entry in part], kind.value_type)
        return pa.Array.from_buffers(kind, count, [valid, _offsets(lists)], children=[inner])
    if pa.types.is_struct(kind):
        fields = [array([v and v[field.name] for v in values], field.type) for field in kind]
        return pa.Array.from_buffers(kind, count, [valid], children=fields)
    if pa.types.is_boolean(kind):
        return pa.Array.from_buffers(kind, count, [valid, _bits([bool(value) for value in values])])
    return pa.Array.from_buffers(kind, count, [valid, pa.py_buffer(_numbers(values, kind))])


def _numbers(values: Sequence[Any], kind: pa.DataType) -> npt.NDArray[Any]:
    numbers = [0 if value is None else value for value in values]
    if pa.types.is_integer(kind) and any(int(number) != number for number in numbers):
        raise ValueError("not a whole number")
    return np.array(numbers, dtype=str(kind).replace("double", "float64"))


def _bits(flags: Sequence[bool]) -> pa.Buffer:
    return pa.py_buffer(np.packbits(np.array(flags, dtype=bool), bitorder="little"))


def _offsets(parts: Sequence[Any]) -> pa.Buffer:
    return _ends(list(map(len, parts)))


def _ends(lengths: Sequence[int]) -> pa.Buffer:
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(np.array(lengths, dtype=np.int64), out=offsets[1:])
    if offsets[-1] > np.iinfo(np.int32).max:
        raise OverflowError("more than 2 GB in one column")
    return pa.py_buffer(offsets.astype(np.int32))
