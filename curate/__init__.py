"""curate: cut and publish open releases of donated, anonymised medical images.

The public functions and records are those that `__init__.pyi` lists, which editors and type checkers read. Each is
imported when it is first used, so that `import curate` stays quick.
"""

from __future__ import annotations

import ast
import sys
from importlib import import_module
from pathlib import Path
from types import FunctionType
from typing import Any

from curate.core import telemetry

_HOME = {
    alias.name: str(line.module)
    for line in ast.parse(Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8")).body
    if isinstance(line, ast.ImportFrom)
    for alias in line.names
}
__all__ = sorted(_HOME)
telemetry.off()  # here, since nothing of curate is imported before it


def __getattr__(name: str) -> Any:
    """Import a public name from its home."""
    if name not in _HOME:
        raise AttributeError(f"module 'curate' has no attribute {name!r}")
    if sys.platform == "win32":
        from curate.core.errors import UNSUPPORTED

        raise ImportError(UNSUPPORTED)
    found = getattr(import_module(_HOME[name]), name)
    if isinstance(found, FunctionType):
        from curate.core.path_arguments import forgiving

        found = forgiving(found)
    return found


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
