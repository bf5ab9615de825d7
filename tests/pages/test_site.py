"""The parts of which all sites are made: pages, charts, tables for spreadsheets."""

from __future__ import annotations

import io
from pathlib import Path

import jinja2
import pytest

from curate.core.errors import InputError
from curate.pages import charts, site
from tests.pages.browser import VIEWS, needs_browser, visit

HOSTILE = '<script>document.title="run"</script>'
PAGE = """{% extends "base.html.jinja" %}{% block main %}
<p>{{ text }}</p>{{ bars }}{{ line }}
<div class="wide" tabindex="0" role="region" aria-label="Numbers">
<table data-sort data-filter="Find"><caption>Numbers</caption>
<thead><tr><th scope="col">Name</th><th scope="col" class="n">Count</th></tr></thead>
<tbody>{% for name, count in rows %}
<tr><th scope="row">{{ name }}</th><td class="n">{{ count }}</td></tr>
{% endfor %}</tbody>
</table></div>{% endblock %}"""


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A site of one page with hostile text, charts with hidden values and a table."""
    out = tmp_path / "site"
    rows = [charts.Mark(HOSTILE, 0.5, 0.4, 0.6, "50%"), charts.Mark("none", None)]
    points = [
        charts.Mark("2026-01", 0.5, 0.4, 0.6),
        charts.Mark("2026-02", None),
        charts.Mark("2026-03", 0.2, 0.1, 0.3),
    ]
    values = {
        "title": HOSTILE,
        "site": "A site",
        "pages": [{"href": "sub/page.html", "text": "Home", "here": True}],
        "text": HOSTILE,
        "bars": charts.bars(HOSTILE, "How much.", rows, top=1),
        "line": charts.line("Over time", "How it went.", points, top=1),
        "rows": [("ten", 10), ("nine", 9), (HOSTILE, 100)],
    }
    with site.building(out) as folder:
        loader = jinja2.ChoiceLoader([jinja2.DictLoader({"test.jinja": PAGE}), site.environment().loader])
        template = site.environment().overlay(loader=loader).get_template("test.jinja")
        (folder / "sub").mkdir()
        (folder / "sub" / "page.html").write_text(template.render(root="../", **values), encoding="utf-8")
    return out


@needs_browser
@pytest.mark.parametrize("view", VIEWS, ids=lambda view: f"{view[0][0]}-{view[1]}")
def test_page_is_accessible_and_stays_in_its_folder(made: Path, browser: object, view: tuple) -> None:
    """Markup in a value shows as text, at every size and colour scheme, and nothing is asked from elsewhere."""
    with visit(browser, made, "sub/page.html", view) as seen:
        assert seen.page.title() == HOSTILE
        assert HOSTILE in seen.page.inner_text("main p")
        seen.check()


@needs_browser
def test_table_sorts_and_filters(made: Path, browser: object) -> None:
    """Numbers sort as numbers; a filter hides the rows that lack a word."""
    with visit(browser, made, "sub/page.html") as seen:
        page = seen.page
        page.click("table[data-sort] th:nth-child(2) button")
        assert page.eval_on_selector_all("table[data-sort] tbody td", "cells => cells.map(c => c.textContent)") == [
            "9",
            "10",
            "100",
        ]
        page.fill("input[type=search]", "nine")
        assert page.eval_on_selector_all(
            "table[data-sort] tbody tr:not([hidden]) th", "cells => cells.map(c => c.textContent)"
        ) == ["nine"]
        seen.check()


@needs_browser
def test_page_is_whole_without_script(made: Path, browser: object) -> None:
    """Without its script a page has all its rows and no dead control."""
    with visit(browser, made, "sub/page.html", script=False) as seen:
        assert seen.page.locator("table[data-sort] tbody tr").count() == 3
        assert seen.page.locator("input, button").count() == 0


def test_site_takes_the_place_of_an_older_one_only(tmp_path: Path) -> None:
    """A site is replaced whole; a folder of something else is refused; a failure leaves the older site."""
    out = tmp_path / "site"
    for text in ("one", "two"):
        with site.building(out) as folder:
            (folder / f"{text}.txt").write_text(text)
    assert sorted(p.name for p in out.iterdir()) == ["assets", "two.txt"]
    with pytest.raises(KeyError), site.building(out):
        raise KeyError
    assert sorted(p.name for p in tmp_path.iterdir()) == ["site"]
    assert (out / "two.txt").exists()
    other = tmp_path / "thesis"
    other.mkdir()
    (other / "chapter.txt").write_text("years of work")
    with pytest.raises(InputError, match="not a site"), site.building(other):
        pass
    assert (other / "chapter.txt").read_text() == "years of work"


def test_no_text_acts_as_a_formula() -> None:
    """In a table for spreadsheets, text that begins like a formula is quoted; numbers stay numbers."""
    file = io.StringIO()
    site.write_csv(file, ["a", "b"], [["=HYPERLINK()", -1], ["+1", "plain"], [" @x", None]])
    assert file.getvalue().splitlines() == ["a,b", "'=HYPERLINK(),-1", "'+1,plain", "' @x,"]


def test_hidden_values_are_drawn_as_hidden() -> None:
    """A suppressed value has no bar and no point, and its table says that it is hidden."""
    bars = charts.bars("T", "D", [charts.Mark("small", None), charts.Mark("large", 4.0)])
    assert bars.count('class="bar"') == 1
    assert bars.count('class="hidden"') == 1
    assert ">hidden<" in bars
    line = charts.line("T", "D", [charts.Mark("a", 1), charts.Mark("b", None), charts.Mark("c", 2)], top=2)
    assert line.count('class="curve"') == 2
    assert line.count('class="dot"') == 2
