"""The body of the dataset card, from `data/card.md.jinja`, which escapes every value that is not `raw`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache

import jinja2

from curate import contract, licenses
from curate.core import resources
from curate.core.records import ReleaseSummary
from curate.describe import changelog, citation, layout, markup
from curate.licenses import License

COUNTS_HEADING = "## What is in it"
LICENSES_HEADING = "## Licences"
TEST_MATERIAL = "**This is test material** (phantoms, samples)"
FOLDER = "path/to/this/folder"
TRUST = "curate trust add "
KEY_HINT = (
    "Who made it is proved by the archive's signature in `attestations/`. This is the public key that signs, as a hint "
    "only: whoever could change this card could name another key here. Compare it with the one that the archive "
    "publishes elsewhere, then pin it; from then on `curate` refuses what another key has signed."
)
_ROW = {
    "studies": "a study",
    "series": "a series",
    "instances": "an instance: its digest, and where its bytes lie",
    "references": "a series and one that it refers to",
    "evidence": "how a study was anonymised",
    "revocations": "a withdrawn instance",
    "images": "an instance's DICOM bytes",
    "previews": "a small picture of a series",
}


class _Raw(str):
    """Text that goes into the card as it stands."""

    __slots__ = ()


def body(summary: ReleaseSummary) -> str:
    """The card below its YAML."""
    configs = layout.configs(summary.files, summary.table_rows)
    return _template().render(
        summary=summary,
        archive=summary.archive,
        released=summary.released.isoformat(),
        counts=list(_counts(summary)),
        modalities=", ".join(f"{m} {n:,}" for m, n in sorted(summary.modality_counts.items())),
        changed=changelog.few(summary.changes.changed if summary.changes else summary.changed),
        tables=list(_tables(summary)),
        repository=summary.repository if markup.is_repository(summary.repository) else None,
        configs=_codes(configs),
        empty=_codes(name for name in contract.CONFIGS if name not in configs),
        has_images="images" in configs,
        person=list(_person()),
        licenses=list(_licenses(summary)),
        sentence=citation.sentence(summary),
        address=citation.url(summary),
        bibtex=citation.bibtex(summary),
    )


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=False,  # noqa: S701 - the output is Markdown; `finalize` escapes it
        finalize=lambda value: value if isinstance(value, _Raw) else markup.escape(str(value)),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.globals.update(
        raw=_Raw,
        plain=markup.plain,
        number=_number,
        yes=lambda fact: "yes" if fact else "no",
        TEST_MATERIAL=TEST_MATERIAL,
        COUNTS_HEADING=COUNTS_HEADING,
        LICENSES_HEADING=LICENSES_HEADING,
        FOLDER=FOLDER,
        TRUST=TRUST,
        KEY_HINT=KEY_HINT,
        TERMS_PATH=licenses.TERMS_PATH,
    )
    path = resources.vocabulary_path("describe/data/card.md.jinja")
    return environment.from_string(path.read_text(encoding="utf-8"))


def _counts(summary: ReleaseSummary) -> Iterator[tuple[str, str, str]]:
    who = "a test object" if summary.archive.population == "test" else "a person"
    yield "donors", f"{summary.donor_count:,}", f"{who}, counted; not a table of its own"
    for name in layout.TABLES:
        if name in summary.table_rows:
            yield name, f"{summary.table_rows[name]:,}", _ROW[name]


def _tables(summary: ReleaseSummary) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """The audited counts; one that was hidden, so that nobody is singled out, says so."""
    for name, cells in sorted(summary.tables.items()):
        shown = [(v, "hidden" if count is None else f"{count:,}") for v, count in cells.items()]
        yield name.replace("_", " "), shown


def _person() -> Iterator[contract.Column]:
    for name in ("studies", "series"):
        yield from (c for c in contract.table(name).columns if c.role == "quasi-identifier")


def _licenses(summary: ReleaseSummary) -> Iterator[tuple[License, str]]:
    for spdx_id, count in sorted(summary.license_counts.items()):
        yield licenses.get(spdx_id), f"{count:,}"


def _codes(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _number(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"
