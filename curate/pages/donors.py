"""The pages for donors, in Catalan, Spanish and English, from one set of facts (`data/donors.json`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate.core.records import ArchiveInfo
from curate.pages import site

_LANGUAGES = {"ca": "Català", "es": "Español", "en": "English"}


@dataclass(frozen=True, slots=True)
class Published:
    """What a version says of its donors: an age band as it stands there, and which facts no row of it has.

    `absent` are keys of the section on what is public: age, sex, region, diagnosis.
    """

    band: tuple[int, int] | None
    absent: frozenset[str]


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
    published: Published | None = None,
) -> None:
    """Write `donors/<language>.html`; `latest` is the newest version, its date and its counts.

    `published` is what that version says of its donors; without one, the pages name all that a version may say.
    """
    facts = {"license": license_name, "versions": f"{versions}", "made": made}
    if latest is not None:
        version, released, counts = latest
        facts |= {"version": version, "date": released}
        facts |= {name: site.number(counts[name]) for name in ("studies", "donors")}
    if donated is not None:
        facts["donated"] = site.number(donated)
    for lang, text in site.data("donors.json").items():
        send = text["contact"].format(contact=info.contact) if info.contact else text["no_contact"]
        band = published.band if published else None
        such = text["such"].format(low=band[0], high=band[1]) if band else ""
        said = {**facts, "send": send, "such": such}
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
            sections=[_section(section, said, published) for section in text["sections"]],
            figures_title=text["figures"]["title"],
            figures=list(_figures(text["figures"], facts)),
            made=text["made"].format(date=made),
        )


def _section(section: Mapping[str, Any], facts: Mapping[str, str], published: Published | None) -> dict[str, Any]:
    absent = published.absent if published else frozenset()
    points = [item["text"].format_map(facts) for item in section["items"] if item["key"] not in absent]
    return {"key": section["key"], "title": section["title"], "points": points}


def _figures(text: Mapping[str, str], facts: Mapping[str, str]) -> list[str]:
    if "version" not in facts:
        return [text["none"]]
    names = ("version", "studies", "donors", "versions", *(["donated"] if "donated" in facts else []))
    return [text[name].format_map(facts) for name in names]
