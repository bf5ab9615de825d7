"""What a notebook may write: a path as text, and one path where several are asked for."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

_SEVERAL = re.compile(r"(?:Sequence|list|Iterable)\[(Path|Path \| str|str \| Path)\]")
_ONE = re.compile(r"Path(?: \| None)?")


def forgiving(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, with text made a `Path` wherever its signature asks for one, and one path a list of one."""
    wanted = {
        name: (one, several)
        for name, parameter in inspect.signature(function).parameters.items()
        for one, several in [(_ONE.fullmatch(str(parameter.annotation)), _SEVERAL.fullmatch(str(parameter.annotation)))]
        if one or several
    }
    if not wanted:
        return function
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        bound = signature.bind(*args, **options)
        for name, (one, several) in wanted.items():
            value = bound.arguments.get(name)
            if one and isinstance(value, str):
                bound.arguments[name] = Path(value)
            elif several and value is not None:
                held = [value] if isinstance(value, str | Path) else list(value)
                only = several[1] == "Path"
                bound.arguments[name] = [Path(v) if only and isinstance(v, str) else v for v in held]
        return function(*bound.args, **bound.kwargs)

    return call
