"""The commands for anybody: vocabulary."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

import curate
from curate.cli import shared
from curate.cli.shared import JsonOption


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (vocabulary,):
        app.command(rich_help_panel="Anybody")(command)


def vocabulary(
    file: Annotated[
        Path, typer.Argument(help="CSV, XLSX or Parquet with age, sex, region, diagnosis.", metavar="FILE")
    ],
    as_json: JsonOption = False,
) -> None:
    """Show how raw values of age, sex, region and diagnosis would be coded, and what is refused and why.

    Example: curate vocabulary values.csv
    """
    rows = curate.vocabulary(file)
    if as_json:
        shared.print_json(rows)
        return
    names = ("field", "raw", "code", "meaning", "reason")
    table = shared.columns(*names)
    for row in rows:
        table.add_row(*(Text(row[name] or "") for name in names))
    shared.console().print(table)
