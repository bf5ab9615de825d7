"""Put the public site together: donations, releases, representation, and the donors' pages in three languages.

Nothing of a person enters it: offers are counts with small ones hidden, releases are what is public already.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from curate import hub, licenses
from curate.archive import repository
from curate.archive.repository import Archive
from curate.core import clock, durable, versions
from curate.core.actor import TOOL, who
from curate.core.errors import HubError
from curate.core.findings import Finding, merge
from curate.donation import quasi_identifiers
from curate.hub.protocol import parse_release
from curate.hub.retry import Patience
from curate.metadata import cells, headings
from curate.pages import charts, donors, site
from curate.privacy.counts import CountTable
from curate.steps.report import representation
from curate.steps.report.offers import Funnel, Offers, read_offers, shown_funnel
from curate.steps.report.rates import Rate, answers, from_json, rate, rates, to_json
from curate.steps.report.representation import Population, Representation

_DOI = re.compile(r"(?:https?://(?:dx\.)?doi\.org/|doi:)?(10\.\d{4,9}/[!-~]+)", re.IGNORECASE)
_TITLES = {
    "month": "By month",
    "hospital": "By hospital",
    "modality": "By kind of examination",
    "age_band": "By age",
    "sex": "By sex",
    "arm": "By wording of the question",
}
_SEX = {"F": "women", "M": "men", "O": "other"}


@dataclass(frozen=True, slots=True)
class Report:
    """What the site says: pages written, offers counted, and what could not be read of the tables given."""

    out: Path
    pages: int
    offers: int
    releases: int
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Publication:
    """A publication that cites a version."""

    doi: str
    title: str
    version: str


@dataclass(frozen=True, slots=True)
class Version:
    """A published version, as it is now: what it holds and where it is."""

    version: str
    released: str
    counts: Mapping[str, int]
    size_bytes: int
    places: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Use:
    """How a hub says that the repository at a place is used, and on which day it said so."""

    place: str
    downloads: int | None
    likes: int | None
    as_of: str


@dataclass(slots=True)
class _Figures:
    archive: Archive
    k: int
    released: list[Version]
    use: tuple[Use, ...] = ()
    offers: Offers | None = None
    tables: dict[str, CountTable] = field(default_factory=dict)
    publications: tuple[Publication, ...] = ()
    representations: tuple[Representation, ...] = ()
    findings: tuple[Finding, ...] = ()


def report(
    root: Path,
    out: Path,
    *,
    offers: Path | None = None,
    publications: Path | None = None,
    population: Path | None = None,
    offline: bool = False,
) -> Report:
    """Write the transparency site of an archive into `out`, in place of an older one.

    `offers` is the portal's table (`offers.py` describes it), `publications` one of doi, title and version,
    `population` a reference of age_low, sex and population beside those that come with the tool. Hubs are asked how
    often the releases are downloaded; `offline`, or where one does not answer, what it said last is shown.

    Raises:
        InputError: no archive, a table that cannot be used, or a folder that holds something else.
    """
    with repository.opened(root, write=True) as archive:
        figures = _Figures(archive, _k(archive), _released(archive))
        if offers is not None:
            figures.offers = read_offers(offers)
            figures.tables = _tables(figures.offers, figures.k, _kept(archive))
        figures.publications, found = _publications(publications)
        figures.findings = merge((*found, *(figures.offers.findings if figures.offers else ())))
        figures.use = tuple(_use(archive, offline=offline))
        figures.representations = tuple(_represent(archive, figures.released, population))
        _keep(archive, figures.tables)  # before it is public: a later site is judged beside it
        with site.building(out) as folder:
            _write(folder, figures)
        pages = sum(1 for _ in out.rglob("*.html"))
    asked = figures.offers.funnel().offered if figures.offers else 0
    return Report(out, pages, asked, len(figures.released), figures.findings)


def _k(archive: Archive) -> int:
    policy = quasi_identifiers.policy_of(archive.config)
    return 1 if policy.exempt else policy.k


def _released(archive: Archive) -> list[Version]:
    places: dict[str, dict[str, None]] = {}
    for event in archive.ledger.events("published"):
        places.setdefault(event.subject, {})[_place(event.payload["target"])] = None
    found = []
    for version in sorted(places, key=versions.parse):
        path = archive.releases / version / "release.json"
        if path.is_file():
            raw = path.read_bytes()
            said = json.loads(raw)
            size = sum(entry.size_bytes for entry in parse_release(raw)[1])
            counts = {name: int(count) for name, count in said["counts"].items()}
            found.append(Version(version, said["date"], counts, size, tuple(places[version])))
    return found


def _use(archive: Archive, *, offline: bool) -> Iterator[Use]:
    """How often the hubs' repositories are downloaded and liked; what they say is kept in the ledger."""
    for target in dict.fromkeys(event.payload["target"] for event in archive.ledger.events("published")):
        told = None
        with suppress(HubError):  # a hub that does not answer: what it said last is shown
            told = None if offline else hub.popularity(target, patience=Patience(attempts=2))
        if told is not None:
            payload = {"downloads": told.downloads, "likes": told.likes}
            with archive.ledger.transaction():
                archive.ledger.append(clock.stamp(), "counted", target, payload, who=who(), tool=TOOL)
        for event in list(archive.ledger.events("counted", target))[-1:]:
            yield Use(_place(target), event.payload["downloads"], event.payload["likes"], event.at[:10])


def _place(target: str) -> str:
    """Where a release is, as the public may know it: a folder of the archive's own has no address."""
    return target if target.startswith(("hf://", "s3://", "zenodo://", "https://")) else "a folder of the archive"


def _tables(offers: Offers, k: int, kept: Sequence[Mapping[str, Any]]) -> dict[str, CountTable]:
    """The rates' tables, judged beside all that the public has seen of them."""
    found = {}
    for name in ("month", *offers.columns):
        earlier = [from_json(tables[name]) for tables in kept if name in tables]
        made = answers(name, offers.answers(name), k, earlier)
        same = [table for table in earlier if table.counts == made.counts]
        found[name] = same[-1] if same else made  # what is public already tells nothing new
    return found


def _kept(archive: Archive) -> list[dict[str, Any]]:
    path = archive.root / "disclosure" / "report.json"
    return list(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else []


def _keep(archive: Archive, tables: Mapping[str, CountTable]) -> None:
    kept = _kept(archive)
    said = {name: to_json(table) for name, table in tables.items()}
    if said and said not in kept:
        (archive.root / "disclosure").mkdir(mode=0o700, exist_ok=True)
        text = json.dumps([*kept, said], sort_keys=True)
        durable.write_bytes(archive.root / "disclosure" / "report.json", text.encode(), 0o600)


def _publications(path: Path | None) -> tuple[tuple[Publication, ...], tuple[Finding, ...]]:
    """The maintainer's table of publications; a row whose DOI has not the form of one is a finding."""
    if path is None:
        return (), ()
    names = frozenset(("doi", "title", "version"))
    rows = cells.read(path, headings.spellings(names))
    first = next(rows, (0, None))[1] or []
    hint = "Name doi, title and version."
    columns = headings.read(first, names, ("doi",), f"The table {path.name}", hint).columns
    found, findings = [], []
    for number, row in rows:
        raw = {n: row[at].strip() for n, at in columns.items() if len(row) > at} if row else {}
        doi = _DOI.fullmatch(raw.get("doi", ""))
        if doi:
            found.append(Publication(doi[1], raw.get("title", ""), raw.get("version", "")))
        elif any(raw.values()) or row is None:
            findings.append(Finding("PUBLICATION_DOI_UNREADABLE", f"row {number}", "doi"))
    return tuple(found), tuple(findings)


def _represent(archive: Archive, released: Sequence[Version], given: Path | None) -> Iterator[Representation]:
    populations = [representation.read_population(given)] if given else []
    populations += _shipped()
    if released:
        found = representation.donors_of(archive.releases / released[-1].version)
        for population in populations:
            yield representation.represent(found, population)


def _shipped() -> Iterable[Population]:
    """The reference populations that come with the tool."""
    kept = site.data("population.json")
    return [
        Population(entry["name"], entry["source"], {(low, sexed): float(n) for low, sexed, n in entry["counts"]})
        for entry in kept["populations"]
    ]


def _write(folder: Path, figures: _Figures) -> None:
    config = figures.archive.config
    common: dict[str, Any] = {
        "site": config.info.title,
        "archive": config.info,
        "made": clock.now().date().isoformat(),
        "k": figures.k,
    }
    whole = figures.offers.funnel() if figures.offers else None
    by_study = figures.offers.funnel(studies=True) if figures.offers else None
    main = shown_funnel(whole, figures.k)
    values = {
        **common,
        "funnel": main,
        "by_study": shown_funnel(by_study, figures.k),
        "rates": _main_rates(whole, figures.k),
        "tables": [(name, _TITLES[name], rates(table)) for name, table in figures.tables.items()],
        "month_chart": _over_time(figures.tables.get("month")),
        "group_charts": {name: _bars(name, rates(table)) for name, table in figures.tables.items()},
        "released": figures.released,
        "use": figures.use,
        "publications": figures.publications,
        "representations": figures.representations,
        "sexes": _SEX,
        "unread": figures.offers.unread if figures.offers else {},
        "rows": figures.offers.rows if figures.offers else 0,
    }
    for name, title in (
        ("index", "Donations and releases"),
        ("donations", "How many said yes"),
        ("releases", "Releases and their use"),
        ("representation", "Whom the data represents"),
    ):
        site.write_page(folder, f"{name}.html", f"report/{name}.html.jinja", title=title, pages=_nav(name), **values)
    _export(folder, figures)
    latest = figures.released[-1] if figures.released else None
    donors.write(
        folder,
        info=config.info,
        license_name=licenses.get(config.info.license).name,
        latest=None if latest is None else (latest.version, latest.released, latest.counts),
        versions=len(figures.released),
        donated=None if main is None else main.donated,
        made=common["made"],
        published=_published(figures),
    )


def _published(figures: _Figures) -> donors.Published | None:
    if not figures.released:
        return None
    return representation.published_of(figures.archive.releases / figures.released[-1].version)


def _nav(here: str) -> list[dict[str, Any]]:
    texts = {
        "index": "Overview",
        "donations": "Donations",
        "releases": "Releases",
        "representation": "Representation",
    }
    found: list[dict[str, Any]] = [{"href": f"{n}.html", "text": t, "here": n == here} for n, t in texts.items()]
    found += [
        {"href": f"donors/{lang}.html", "text": text, "here": False, "lang": lang}
        for lang, text in donors.names().items()
    ]
    return found


def _main_rates(funnel: Funnel | None, k: int) -> list[Rate]:
    shown = shown_funnel(funnel, k)
    if shown is None:
        return []
    return [
        rate("of those who were asked", shown.donated, shown.offered),
        rate("of those who saw the question", shown.donated, shown.seen),
        rate("of those who decided", shown.donated, shown.decided),
    ]


def _over_time(table: CountTable | None) -> Any:
    if table is None:
        return ""
    points = [charts.Mark(r.label, r.share, r.low, r.high, _interval(r)) for r in rates(table)]
    points = [point for point in points if re.match(r"\d", point.label)]
    if not points:
        return ""
    said = "Share of those asked in a month who said yes, with its 95% interval."
    return charts.line("Donation rate over time", said, points, top=1.0, words=charts.Words("Month", "Said yes"))


def _bars(name: str, found: Sequence[Rate]) -> Any:
    rows = [charts.Mark(_SEX.get(r.label, r.label), r.share, r.low, r.high, _interval(r)) for r in found]
    said = "Share of those asked who said yes, with its 95% interval."
    return charts.bars(_TITLES[name], said, rows, top=1.0, words=charts.Words(table="")) if rows else ""


def _interval(found: Rate) -> str:
    if found.share is None or found.low is None or found.high is None:
        return "hidden"
    return f"{found.share:.1%} ({found.low:.1%} to {found.high:.1%})"


def _export(folder: Path, figures: _Figures) -> None:
    """The same numbers for spreadsheets."""
    (folder / "data").mkdir()
    with (folder / "data" / "donation_rates.csv").open("w", encoding="utf-8", newline="") as file:
        rows = [
            (name, r.label, r.yes, r.of, r.share, r.low, r.high)
            for name, table in figures.tables.items()
            for r in rates(table)
        ]
        site.write_csv(file, ("by", "group", "said_yes", "asked", "rate", "low_95", "high_95"), rows)
    with (folder / "data" / "representation.csv").open("w", encoding="utf-8", newline="") as file:
        site.write_csv(
            file,
            (
                "population",
                "age",
                "sex",
                "donors",
                "share",
                "expected",
                "ratio",
                "low_95",
                "high_95",
                "verdict",
            ),
            [
                (
                    found.population.name,
                    g.label,
                    g.sex,
                    g.donors,
                    g.share,
                    g.expected,
                    g.ratio,
                    g.low,
                    g.high,
                    g.verdict,
                )
                for found in figures.representations
                for g in found.groups
            ],
        )
