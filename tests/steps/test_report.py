"""The public site: rates, hidden counts, representation, donors' pages, and how a browser shows them."""

from __future__ import annotations

import csv
import html
import json
import re
import string
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import curate
from curate.archive.repository import opened
from curate.core.errors import InputError
from curate.pages import site
from curate.privacy.counts import recoverable
from curate.steps.report import rates, representation
from curate.steps.report.offers import read_offers
from tests.hub.server import HubServer
from tests.pages.browser import VIEWS, needs_browser, pages_of, visit
from tests.regenerate_population import populations
from tests.steps.archives import donation, make_archive

GOLDEN = Path(__file__).resolve().parents[2] / "manifests" / "golden"
HOSTILE = "<script>x</script>"


def offers_table(path: Path, rows: list[str]) -> Path:
    path.write_text("date,outcome,hospital,sex,age_band,arm,studies,count\n" + "\n".join(rows) + "\n")
    return path


def many(path: Path) -> Path:
    """1,000 offers of two hospitals, and 7 of a small one."""
    rows = [
        f"2026-{month:02d}-15,{outcome},{hospital},{sex},40-49,{arm},2,{count}"
        for month in (1, 2)
        for hospital in ("Girona", "Vic")
        for sex in "FM"
        for arm, outcome, count in (
            ("short", "donated", 30), ("long", "donated", 20), ("short", "withdrawn", 5), ("long", "declined", 40),
            ("short", "seen", 20), ("long", "offered", 10),
        )
    ]  # fmt: skip
    return offers_table(path, [*rows, "2026-01,donated,Petit,F,90+,short,1,3", "2026-01,declined,Petit,M,90+,long,1,4"])


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of persons that has published nothing."""
    root = tmp_path_factory.mktemp("report") / "archive"
    info = curate.ArchiveInfo(f"Archive {HOSTILE}", "Hospital X", "CC-BY-4.0", contact="donors@example.org")
    curate.init(root, info)
    return root


@pytest.mark.parametrize(
    ("yes", "of", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_intervals_are_those_of_the_literature(yes: int, of: int, low: float, high: float) -> None:
    """Wilson's intervals equal those that Newcombe (1998, method 3) prints."""
    assert rates.wilson(yes, of) == pytest.approx((low, high), abs=5e-5)


def test_offers_add_up_by_person_and_by_study(tmp_path: Path) -> None:
    """Each step of the funnel counts all who came at least so far."""
    offers = read_offers(many(tmp_path / "offers.csv"))
    funnel, studies = offers.funnel(), offers.funnel(studies=True)
    assert (funnel.offered, funnel.seen, funnel.decided, funnel.donated, funnel.withdrawn) == (
        1007,
        927,
        767,
        443,
        40,
    )
    assert studies.offered == 2007
    assert offers.answers("hospital") == {"Girona": (220, 280), "Petit": (3, 4), "Vic": (220, 280)}


BAD_OFFERS = [
    "12/01/26,donated,A,F,40-49,x,1,1", "2026-01,maybe,A,F,40-49,x,1,1", "2026-01,donated,A,Juana,40-49,x,1,1",
    "2026-01,donated,A,F,41,x,1,1", "2026-01,donated,=cmd(),F,40-49,x,1,1", "2026-01,donated,A,F,40-49,x,one,1",
]  # fmt: skip


def test_unreadable_rows_are_named_never_shown(tmp_path: Path) -> None:
    """A row that cannot be read is a finding by row and column, and is not counted."""
    offers = read_offers(offers_table(tmp_path / "o.csv", [*["2026-01,donated,A,F,40-49,x,1,1"] * 200, *BAD_OFFERS]))
    assert (offers.funnel().offered, offers.rows) == (200, 206)
    assert [(f.place, f.tag) for f in offers.findings] == [
        ("row 202", "date"), ("row 203", "outcome"), ("row 204", "sex"), ("row 205", "age_band"),
        ("row 206", "hospital"), ("row 207", "studies"),
    ]  # fmt: skip
    with pytest.raises(InputError, match="lacks the column outcome"):
        read_offers(_write(tmp_path / "bad.csv", "date,name\n2026-01,x\n"))


def test_a_rate_without_many_rows_is_refused(tmp_path: Path) -> None:
    """Where more than a twentieth of the rows cannot be read, no rate is made of the others."""
    table = offers_table(tmp_path / "o.csv", [*["2026-01,donated,A,F,40-49,x,1,1"] * 100, *BAD_OFFERS])
    with pytest.raises(InputError, match=r"6 of 106 rows of the table o\.csv cannot be read, the first in row 102"):
        read_offers(table)


def test_outcomes_and_headings_in_the_portals_language(tmp_path: Path) -> None:
    """A portal writes its own language: `donado` is a yes, and a rate of 0.0% was public for want of it."""
    said = read_offers(_write(tmp_path / "es.csv", "fecha;resultado\n2026-01-02;donado\n2026-01-02;Rechazado\n"))
    assert (said.funnel().offered, said.funnel().donated) == (2, 1)
    told = read_offers(_write(tmp_path / "ca.csv", "Data,Resultat,Franja d’edat\n2026-01,Donat,40-49\n2026-01,vist,\n"))
    assert (told.funnel().offered, told.funnel().donated, told.columns) == (2, 1, ("age_band",))


def test_the_pages_say_how_many_rows_are_not_counted(tmp_path: Path, archive: Path) -> None:
    """The first page and that of the rates say it, with the columns."""
    rows = [*["2026-01,donated,A,F,40-49,x,1,1"] * 200, *BAD_OFFERS]
    curate.report(archive, tmp_path / "site", offers=offers_table(tmp_path / "o.csv", rows), offline=True)
    for page in ("index.html", "donations.html"):
        text = (tmp_path / "site" / page).read_text()
        assert "6 of 206 rows of the portal's table could not be read" in text
        assert "age_band 1, date 1, hospital 1, outcome 1, sex 1, studies 1" in text


def _write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_small_groups_cannot_be_worked_out(tmp_path: Path, archive: Path) -> None:
    """No count below k stands on any page or in the CSV, nor can one be had by subtraction, earlier sites included."""
    offers = read_offers(many(tmp_path / "offers.csv"))
    made = rates.answers("hospital", offers.answers("hospital"), 11, [])
    assert recoverable(made, 11) == ()
    assert {r.label for r in rates.rates(made)} == {"Girona", "Vic", rates.OTHERS}
    assert all(r.yes is None or r.yes >= 11 for r in rates.rates(made))
    later = dict(offers.answers("hospital"))
    later["Girona"] = (223, 280)  # three more yes since: the difference is small
    again = rates.answers("hospital", later, 11, [made])
    assert recoverable(again, 11, [made]) == ()
    curate.report(archive, tmp_path / "site", offers=many(tmp_path / "offers.csv"))
    with (tmp_path / "site" / "data" / "donation_rates.csv").open() as file:
        shown = [int(row[name]) for row in csv.DictReader(file) for name in ("said_yes", "asked") if row[name]]
    assert shown
    assert min(shown) >= 11
    assert "Petit" not in "".join(path.read_text() for path in (tmp_path / "site").rglob("*.html"))


def test_report_judges_itself_beside_earlier_ones(tmp_path: Path) -> None:
    """A second site whose counts grew by three does not show by how much."""
    root = tmp_path / "archive"
    curate.init(root, curate.ArchiveInfo("A", "B", "CC-BY-4.0"))
    table = many(tmp_path / "offers.csv")
    curate.report(root, tmp_path / "site", offers=table)
    before = _said(tmp_path / "site")
    with table.open("a") as file:
        file.write("2026-02,donated,Girona,F,40-49,short,2,3\n")
    curate.report(root, tmp_path / "site", offers=table)
    after = _said(tmp_path / "site")
    for key, count in after.items():
        assert before.get(key) in (count, None) or count is None or abs(count - before[key]) >= 11, key


def _said(folder: Path) -> dict[tuple[str, str], int | None]:
    with (folder / "data" / "donation_rates.csv").open() as file:
        return {(r["by"], r["group"]): int(r["said_yes"]) if r["said_yes"] else None for r in csv.DictReader(file)}


def test_representation_beside_a_population(tmp_path: Path) -> None:
    """Shares, ratios and verdicts beside a known population; donors without age or sex are named as unknown."""
    table = tmp_path / "town.csv"
    table.write_text("age_low,sex,population\n" + "\n".join(f"{low},{s},100" for low in range(0, 95, 5) for s in "FM"))
    population = representation.read_population(table)
    donors = {
        (40, 44, "F"): 300,
        (45, 49, "M"): 20,
        (90, None, "F"): 50,
        (None, None, "F"): 7,
        (60, 64, None): 3,
    }
    found = representation.represent(donors, population)
    assert (found.donors, found.unknown) == (380, 10)
    by = {(g.label, g.sex): g for g in found.groups}
    assert by["40-49", "F"].donors == 300
    assert by["40-49", "F"].expected == pytest.approx(2 / 38)
    assert by["40-49", "F"].ratio == pytest.approx(300 / 370 / (2 / 38))
    assert by["40-49", "F"].verdict == "over"
    assert by["0-9", "M"].verdict == "under"
    assert by["90+", "F"].expected == pytest.approx(1 / 38)
    assert sum(g.share for g in found.groups) == pytest.approx(1)
    assert sum(g.expected for g in found.groups) == pytest.approx(1)
    with pytest.raises(InputError, match="row 2"):
        representation.read_population(_write(tmp_path / "bad.csv", "age_low,sex,population\nten,F,1\n"))


def test_donors_of_a_release_are_counted_once() -> None:
    """Each donor of the golden release counts once, by what its manifest says."""
    counts = json.loads((GOLDEN / "release.json").read_text())["counts"]
    assert sum(representation.donors_of(GOLDEN).values()) == counts["donors"]


def test_publications_need_the_form_of_a_doi(tmp_path: Path, archive: Path) -> None:
    """A DOI is shown as a link where it has the form of one; else the row is a finding."""
    table = _write(
        tmp_path / "pubs.csv",
        "doi,title,version\nhttps://doi.org/10.1234/abc,A study,1.0.0\njavascript:alert(1),Bad,1.0.0\n",
    )
    made = curate.report(archive, tmp_path / "site", publications=table)
    assert [(f.rule, f.place) for f in made.findings] == [("PUBLICATION_DOI_UNREADABLE", "row 3")]
    text = (tmp_path / "site" / "releases.html").read_text()
    assert 'href="https://doi.org/10.1234/abc"' in text
    assert "javascript" not in text


def test_donors_pages_state_the_same_facts() -> None:
    """Catalan, Spanish and English have the same sections, items and figures, with the same facts filled in."""
    texts = site.data("donors.json")
    assert list(texts) == ["en", "es", "ca"]

    def shape(text: object) -> object:
        if isinstance(text, dict):
            return {k: text[k] if k == "key" else shape(v) for k, v in text.items()}
        if isinstance(text, list):
            return [shape(item) for item in text]
        return sorted(name for _, name, _, _ in string.Formatter().parse(str(text)) if name)

    assert shape(texts["es"]) == shape(texts["en"])
    assert shape(texts["ca"]) == shape(texts["en"])
    numbers = {lang: sorted(re.findall(r"\d+", json.dumps(text, ensure_ascii=False))) for lang, text in texts.items()}
    assert numbers["es"] == numbers["en"] == numbers["ca"]


@pytest.mark.parametrize("lang", ["ca", "es", "en"])
def test_donors_pages_are_easy_to_read(lang: str) -> None:
    """Sentences have at most 12 words on average and 24 at most; LIX (any language) is below 40, easy to read."""
    text = site.data("donors.json")[lang]
    said = [text["lead"], *(item["text"] for section in text["sections"] for item in section["items"])]
    sentences = [s for part in said for s in re.split(r"(?<=[.!?])\s+", part) if s]
    words = [re.findall(r"[^\W\d_]+(?:['’·][^\W\d_]+)*", s) for s in sentences]
    flat = [word for sentence in words for word in sentence]
    mean = len(flat) / len(sentences)
    lix = mean + 100 * sum(len(word) > 6 for word in flat) / len(flat)
    assert mean <= 12
    assert max(map(len, words)) <= 24
    assert lix < 40


@needs_browser
def test_every_page_passes_in_a_browser(tmp_path: Path, archive: Path, browser: object) -> None:
    """All pages at phone and desktop width, light and dark: accessible, no console error, no request elsewhere."""
    population = tmp_path / "town.csv"
    population.write_text("age_low,sex,population\n" + "\n".join(f"{a},{s},9" for a in range(0, 95, 5) for s in "FM"))
    curate.report(archive, tmp_path / "site", offers=many(tmp_path / "offers.csv"), population=population)
    names = pages_of(tmp_path / "site")
    assert names == ["donations.html", "donors/ca.html", "donors/en.html", "donors/es.html", "index.html",
                     "releases.html", "representation.html"]  # fmt: skip
    for number, name in enumerate(names):
        for view in VIEWS if name == "donations.html" else [VIEWS[number % 4], VIEWS[(number + 2) % 4]]:
            with visit(browser, tmp_path / "site", name, view) as seen:
                assert HOSTILE in seen.page.inner_text("header")
                seen.check()


def test_same_archive_gives_the_same_site(tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the same day the same site comes out, byte for byte."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1767225600")
    sites = []
    for name in ("one", "two"):
        curate.report(archive, tmp_path / name, offers=many(tmp_path / "offers.csv"))
        sites.append({p.relative_to(tmp_path / name): p.read_bytes() for p in sorted((tmp_path / name).rglob("*.*"))})
    assert sites[0] == sites[1]


def test_use_is_what_the_hub_says_and_said_last(tmp_path: Path, hub: HubServer) -> None:
    """Downloads and likes come from the hub, stand in the ledger, and are shown with their day when it is silent."""
    root = make_archive(tmp_path / "archive", hub="hf://org/used")
    source, table = donation(tmp_path / "donated", studies=1, instances=1)
    curate.intake(root, [source], table, deidentify=True, workers=1)
    curate.release(root)
    curate.publish(root, "1.0.0")
    curate.report(root, tmp_path / "site", offline=True)
    assert "Not known" in (tmp_path / "site" / "releases.html").read_text()
    hub.repo("org/used").downloads, hub.repo("org/used").likes = 4321, 17
    curate.report(root, tmp_path / "site")
    hub.fail("info", nth=None, status=403)
    curate.report(root, tmp_path / "site")
    text = (tmp_path / "site" / "releases.html").read_text()
    assert "hf://org/used: 4\u202f321 downloads in 30 days, 17 likes" in text
    with opened(root, write=False) as archive:
        assert [event.payload for event in archive.ledger.events("counted")] == [{"downloads": 4321, "likes": 17}]


def test_the_united_nations_file_becomes_reference_populations(tmp_path: Path) -> None:
    """From the layout of WPP 2024's file: two places, 2024, medium variant, five-year bands up to 90 and over."""
    path = tmp_path / "wpp.csv"
    lines = ["LocID,Location,Variant,Time,AgeGrp,AgeGrpStart,AgeGrpSpan,PopMale,PopFemale,PopTotal"]
    for place, name in (("724", "Spain"), ("900", "World"), ("250", "France")):
        for low in range(0, 105, 5):
            for variant, year in (("Medium", "2024"), ("High", "2024"), ("Medium", "2023")):
                lines.append(f"{place},{name},{variant},{year},{low}-{low + 4},{low},5,1.5,2.25,3.75")
    path.write_text("\n".join(lines) + "\n")
    made = populations(path)
    assert [entry["name"] for entry in made] == ["Spain, 2024", "the World, 2024"]
    counts = {(low, sex): n for low, sex, n in made[0]["counts"]}
    assert len(counts) == 38
    assert (counts[0, "F"], counts[85, "M"], counts[90, "M"]) == (2250, 1500, 4500)


def test_a_donors_page_names_a_place_and_what_is_published(tmp_path: Path) -> None:
    """Without a contact the page said "send it here" and named no place; it named bands that no release had."""
    root = tmp_path / "archive"
    make_archive(root)
    config = root / "archive.toml"
    config.write_text(re.sub(r"contact = .*", 'contact = ""', config.read_text()))
    source, table = donation(tmp_path / "donated", studies=2, instances=1)
    curate.intake(root, [source], table, deidentify=True, workers=1)
    cut = curate.release(root)
    published = representation.published_of(cut.path)
    curate.report(root, tmp_path / "site", offline=True)
    for lang, place in (("ca", "Porta el codi a l'hospital"), ("es", "Lleva el código al hospital")):
        text = (tmp_path / "site/donors" / f"{lang}.html").read_text()
        assert html.unescape(text).count(place) == 1
    rows = pq.read_table(cut.path / "manifest/studies.parquet").to_pylist()
    bands = {(row["age_low_years"], row["age_high_years"]) for row in rows}
    assert published.band in bands or published.band is None
    assert ("sex" in published.absent) == all(row["sex"] is None for row in rows)


def test_what_no_row_says_is_not_on_the_donors_page(tmp_path: Path) -> None:
    """A fact that a version suppressed for all is not called public, and a band is one that the version has."""
    from curate.pages import donors

    info = curate.ArchiveInfo("A", "B", "CC-BY-4.0", contact="x@example.org")
    said = donors.Published((60, 69), frozenset({"sex", "diagnosis"}))
    donors.write(
        tmp_path, info=info, license_name="L", latest=None, versions=0, donated=None, made="2026-01-01", published=said
    )
    text = (tmp_path / "donors/en.html").read_text()
    assert "such as 60 to 69" in text
    assert "Send the code here: x@example.org." in text
    assert "Your sex" not in text
    assert "group of the diagnosis" not in text
