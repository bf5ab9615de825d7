"""A static site: pages of templates, one style sheet, one small script; nothing is asked of any server.

Every page works without its script, escapes every value, and carries a content security policy that lets it
read its own folder only. A site is built beside its place and put there whole.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path, PurePosixPath
from typing import IO, Any

import jinja2

from curate.core import durable, resources
from curate.core.errors import InputError

_ASSETS = ("page.css", "page.js")
MARK = "assets/page.css"  # a folder that holds it is a site of ours and may be replaced
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@cache
def environment() -> jinja2.Environment:
    """The templates; every value is escaped, a missing one is an error."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(resources.vocabulary_path("pages/templates")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["number"] = number
    made.filters["percent"] = percent
    return made


def data(name: str) -> Any:
    """A data file of the pages, such as `donors.json`."""
    return json.loads(resources.vocabulary_path(f"pages/data/{name}").read_text(encoding="utf-8"))


def number(value: float | None, missing: str = "hidden") -> str:
    """A count as people read it, with thin spaces between thousands; a hidden one says so."""
    return missing if value is None else f"{value:,}".replace(",", "\u202f")


def percent(value: float | None, missing: str = "hidden") -> str:
    """A share, 0 to 1, as a percentage with one decimal."""
    return missing if value is None else f"{100 * value:.1f}\u202f%"


@contextmanager
def building(out: Path) -> Iterator[Path]:
    """A folder to write a site into; when all went well it takes the place of `out`.

    Raises:
        InputError: `out` is a file, or a folder that holds something else than a site.
        StorageError: the disk is full or fails; an older site stays as it was.
    """
    if out.exists() and not (out / MARK).is_file() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} exists and is not a site that curate wrote.", hint="Name an empty folder.")
    made, old = (out.with_name(f".{out.name}.{word}") for word in ("new", "old"))
    with durable.storage_errors(f"write the site {out}"):
        out.parent.mkdir(parents=True, exist_ok=True)
        for left in (made, old):
            durable.remove(left)
        made.mkdir()
        _copy_assets(made)
        try:
            yield made
        except BaseException:
            durable.remove(made)
            raise
        if out.exists():
            durable.rename(out, old)
        durable.rename(made, out)
        durable.remove(old)


def write_page(folder: Path, name: str, template: str, **values: Any) -> None:
    """Render a template as a stream into `folder/name`, such as `series/1.html`."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    root = "../" * (len(PurePosixPath(name).parts) - 1)
    with path.open("w", encoding="utf-8", errors="replace", newline="\n") as file:
        for part in environment().get_template(template).generate(root=root, **values):
            file.write(part)


def write_csv(file: IO[str], header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table for spreadsheets, in which no text can act as a formula; without a header it goes on."""
    writer = csv.writer(file, lineterminator="\n")
    if header:
        writer.writerow(header)
    writer.writerows([plain_cell(value) for value in row] for row in rows)


def plain_cell(value: object) -> object:
    """A value that a spreadsheet shows as text where it is text: a leading `=`, `+`, `-` or `@` is quoted."""
    return f"'{value}" if isinstance(value, str) and value.lstrip(" ").startswith(_FORMULA) else value


def _copy_assets(folder: Path) -> None:
    (folder / "assets").mkdir()
    for name in _ASSETS:
        data = resources.vocabulary_path(f"pages/assets/{name}").read_bytes()
        (folder / "assets" / name).write_bytes(data)
