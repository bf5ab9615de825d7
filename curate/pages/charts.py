"""Charts as inline SVG, each with a title and description for those who hear it and a table of the same numbers.

Sizes are in user units of a view box 360 wide, so that text stays legible on a phone.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from curate.pages.site import environment

WIDTH = 360.0
_ROW = 34.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 42.0, 10.0, 10.0, 24.0
_HEIGHT = 200.0


@dataclass(frozen=True, slots=True)
class Mark:
    """A bar or a point: its value, None where hidden, with the interval where there is one."""

    label: str
    value: float | None
    low: float | None = None
    high: float | None = None
    shown: str = ""  # the value as people read it


@dataclass(frozen=True, slots=True)
class Words:
    """The words around a chart, in the page's language; without `table` the page itself has the numbers beside it."""

    label: str = "Group"
    value: str = "Value"
    table: str = "The same as a table"
    hidden: str = "hidden"


def bars(
    title: str, description: str, rows: Sequence[Mark], *, top: float | None = None, words: Words | None = None
) -> Markup:
    """Horizontal bars, one a row, from 0 to `top` (the largest value by default), with whiskers for intervals."""
    said = words or Words()
    known = [v for row in rows for v in (row.value, row.high) if v is not None]
    scale = WIDTH / (top or max([*known, 1e-9]))
    drawn = [
        {
            "y": index * _ROW,
            "label": row.label,
            "shown": _shown(row, said),
            "width": None if row.value is None else _round(min(row.value * scale, WIDTH)),
            "low": None if row.low is None else _round(row.low * scale),
            "high": None if row.high is None else _round(min(row.high * scale, WIDTH)),
        }
        for index, row in enumerate(rows)
    ]
    return _figure("bars.svg.jinja", title, description, rows, said, width=WIDTH, height=len(rows) * _ROW, bars=drawn)


def line(title: str, description: str, points: Sequence[Mark], *, top: float, words: Words | None = None) -> Markup:
    """A line from 0 to `top` over equally spaced points, with a band for intervals; hidden points break it."""
    said = words or Words()
    width, height = WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    step = width / max(len(points) - 1, 1)
    places = [_round(_LEFT + index * step) for index in range(len(points))]

    def y(value: float) -> float:
        return _round(_TOP + height * (1 - min(value / top, 1.0)))

    runs = [
        list(run)
        for seen, run in itertools.groupby(zip(places, points, strict=True), lambda p: p[1].value is not None)
        if seen
    ]
    curves = [" ".join(f"{x},{y(p.value or 0.0)}" for x, p in run) for run in runs]
    bands = [
        " ".join(
            [
                *(f"{x},{y(p.low or 0.0)}" for x, p in run),
                *(f"{x},{y(p.high or 0.0)}" for x, p in reversed(run)),
            ]
        )
        for run in runs
        if all(p.low is not None and p.high is not None for _, p in run)
    ]
    dots = [(x, y(p.value)) for x, p in zip(places, points, strict=True) if p.value is not None]
    ticks = [(y(top * share), f"{top * share:.0%}" if top <= 1 else f"{top * share:,.0f}") for share in (0.0, 0.5, 1.0)]
    ends = [(places[0], "start", points[0].label), (places[-1], "end", points[-1].label)] if len(points) > 1 else []
    if len(points) == 1:
        ends = [(places[0], "start", points[0].label)]
    return _figure(
        "line.svg.jinja", title, description, points, said,
        width=WIDTH, height=_HEIGHT, left=_LEFT, right=WIDTH - _RIGHT, bottom=_HEIGHT - _BOTTOM,
        curves=curves, bands=bands, dots=dots, ticks=ticks, ends=ends,
    )  # fmt: skip


def _figure(
    template: str, title: str, description: str, rows: Sequence[Mark], words: Words, **values: object
) -> Markup:
    table = [(row.label, _shown(row, words)) for row in rows]
    name = "".join(c if c.isalnum() else "-" for c in title.lower())
    text = (
        environment()
        .get_template(template)
        .render(id=f"chart-{name}", title=title, description=description, table=table, words=words, **values)
    )
    return Markup(text)  # noqa: S704 - the template escapes every value


def _shown(row: Mark, words: Words) -> str:
    return words.hidden if row.value is None else row.shown or f"{row.value:,.6g}"


def _round(value: float) -> float:
    return round(value, 1)
