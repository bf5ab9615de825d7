"""The pages for donors, in Catalan, Spanish and English, from one set of facts (`data/donors.json`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from curate.pages import site
from curate.records import ArchiveInfo

_LANGUAGES = {"ca": "Català", "es": "Español", "en": "English"}


def names() -> dict[str, str]:
    """What each language's page is called, from elsewhere on the site."""
    texts = site.data("donors.json")
    return {lang: texts[lang]["name"] for lang in _LANGUAGES}


def write(
    folder: Path,
    *,
    info: ArchiveInfo,
    license_name: str,
    latest: tuple[str, str, Mapping[str, int]] | None,
    versions: int,
    donated: int | None,
    made: str,
) -> None:
    """Write `donors/<language>.html`; `latest` is the newest version, its date and its counts."""
    facts = {"license": license_name, "versions": f"{versions}", "made": made}
    if latest is not None:
        version, released, counts = latest
        facts |= {"version": version, "date": released}
        facts |= {name: site.number(counts[name]) for name in ("studies", "donors")}
    if donated is not None:
        facts["donated"] = site.number(donated)
    for lang, text in site.data("donors.json").items():
        said = {**facts, "contact": info.contact or text["no_contact"]}
        site.write_page(
            folder,
            f"donors/{lang}.html",
            "donors/page.html.jinja",
            lang=lang,
            site=info.title,
            title=text["title"],
            skip=text["skip"],
            nav_label=text["nav"],
            pages=[
                {"href": f"donors/{code}.html", "text": name, "lang": code, "here": code == lang}
                for code, name in _LANGUAGES.items()
            ],
            lead=text["lead"],
            test=text["test"] if info.population == "test" else "",
            sections=[_section(section, said) for section in text["sections"]],
            figures_title=text["figures"]["title"],
            figures=list(_figures(text["figures"], facts)),
            made=text["made"].format(date=made),
        )


def _section(section: Mapping[str, Any], facts: Mapping[str, str]) -> dict[str, Any]:
    points = [item["text"].format_map(facts) for item in section["items"]]
    return {"key": section["key"], "title": section["title"], "points": points}


def _figures(text: Mapping[str, str], facts: Mapping[str, str]) -> list[str]:
    if "version" not in facts:
        return [text["none"]]
    names = ("version", "studies", "donors", "versions", *(["donated"] if "donated" in facts else []))
    return [text[name].format_map(facts) for name in names]
