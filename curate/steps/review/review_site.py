"""Put the reviewer's site together from a release's own bytes, as a stream: 10,000 studies in parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pyarrow.parquet as pq

from curate import contract, parallel
from curate.attestation import review_sheets
from curate.attestation.evidence import bound, sampled
from curate.attestation.review_sheets import Decisions, Sheet
from curate.core.errors import InputError, quoted
from curate.core.findings import Finding, has_errors, merge, rule
from curate.core.progress import Progress, silent
from curate.core.records import CheckResult
from curate.pages import charts, site
from curate.steps.review import review_tables
from curate.steps.review.series_rendering import RenderedSeries, render_series, undrawn
from curate.verify.checks import seal
from curate.verify.checks.disclosure import ReleaseRisk, release_risk
from curate.verify.checks.previews import is_small_png
from curate.verify.checks.seal import Seal
from curate.verify.checks.tables import connect, shard_paths
from curate.verify.release import check_release

STUDIES_A_PAGE = 250
SAMPLE_SERIES = 60
_NAV = (
    ("index.html", "Summary"),
    ("studies/1.html", "Studies"),
    ("sample.html", "Series to open"),
    ("risk.html", "Disclosure risk"),
    ("licenses.html", "Licences"),
    ("changes.html", "Changes"),
    ("sheet.html", "Sheet and decisions"),
)
_Record = TypeVar("_Record", Sheet, Decisions)


@dataclass(frozen=True, slots=True)
class Review:
    """The site that was written: whether the release passed its checks, and how much of it can be looked at.

    `findings` say which series could not be drawn whole. `bound` is the share of series below which faults lie, at 95%,
    if none is found in those that were drawn.
    """

    out: Path
    passed: bool
    studies: int
    series: int
    drawn: int
    frames: int
    bound: str
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class _Shown:
    folder: Path
    seal: Seal
    digest: str
    results: Sequence[CheckResult]
    numbers: Mapping[str, int]  # of the series that are drawn, by SeriesInstanceUID

    def page(self, name: str, template: str, title: str, *, here: str = "", **values: Any) -> None:
        """Write a page, with what every page says of the release."""
        content = self.seal.content
        site.write_page(
            self.folder,
            name,
            f"review/{template}.html.jinja",
            site=f"Review of {content['title']} {content['version']}",
            title=title,
            pages=[{"href": href, "text": text, "here": href in (name, here)} for href, text in _NAV],
            release=content,
            digest=self.digest,
            drawn=len(self.numbers),
            total_series=int(content["counts"]["series"]),
            bound=bound(len(self.numbers), int(content["counts"]["series"])),
            **values,
        )


def review(
    release: Path,
    out: Path,
    *,
    against: Path | None = None,
    sample: int | None = None,
    sheet: Path | None = None,
    decisions: Path | None = None,
    workers: int | None = None,
    progress: Progress = silent,
) -> Review:
    """Write the reviewer's site of a release folder into `out`, in place of an older one.

    `sample` series are drawn with all their frames (0: every series; by default as many as `decisions` names, or 60),
    chosen by the release's own digest so that nobody can choose them; `sheet` and `decisions` are files of
    `curate sheet`.

    Raises:
        InputError: no release, a sheet of another one, or a folder that holds something else.
    """
    sealed, found = seal.read(release)
    if sealed is None:
        raise InputError(f"{release} cannot be read: {found[0].rule}.", hint=f"See: curate check {quoted(release)}")
    digest = sealed.digest
    signed = _of(review_sheets.read_sheet, sheet, digest), _of(review_sheets.read_decisions, decisions, digest)
    count = workers or parallel.default_workers()
    results = check_release(release, workers=count, progress=progress)
    if len(results) < 4 or not {"studies", "series"} <= sealed.content["counts"].keys():
        raise InputError(f"{release} does not obey the contract.", hint=f"See: curate check {quoted(release)}")
    total = int(sealed.content["counts"]["series"])
    if sample is None:
        sample = len(signed[1].series) if signed[1] and signed[1].series else SAMPLE_SERIES
    chosen = sampled(release, digest, min(sample, total) if sample else total)
    numbers = {uid: number for number, uid in enumerate(sorted(chosen), 1)}
    with site.building(out) as folder:
        shown = _Shown(folder, sealed, digest, results, numbers)
        frames, odd = _series_pages(shown, count, progress)
        _previews(sealed, folder)
        parts = _study_pages(shown)
        _other_pages(shown, parts, against, *signed)
    passed = not any(has_errors(result.findings) for result in results)
    studies = int(sealed.content["counts"]["studies"])
    return Review(out, passed, studies, total, len(numbers), frames, bound(len(numbers), total), odd)


def _of(read: Callable[[Path], _Record], path: Path | None, digest: str) -> _Record | None:
    """A sheet or decisions of this release.

    Raises:
        InputError: they are of other bytes.
    """
    if path is None:
        return None
    record = read(path)
    if record.release != digest:
        raise InputError(f"{path} is of other bytes than this release.", hint="Make it anew: curate sheet")
    return record


def _series_pages(shown: _Shown, workers: int, progress: Progress) -> tuple[int, tuple[Finding, ...]]:
    """Draw the sample, a page a series; the number of frames drawn, and which series could not be drawn whole."""
    for name in ("images", "series"):
        (shown.folder / name).mkdir()
    tasks = list(review_tables.tasks(shown.seal, shown.folder, shown.numbers))
    frames, findings = 0, list[Finding]()
    done = parallel.map_unordered(render_series, tasks, workers, lost=partial(undrawn, rule="WORKER_DIED"))
    with connect(shown.seal) as db:
        for _, looked in progress.over(done, "series drawn", len(tasks)):
            frames += looked.frames
            findings += looked.findings()
            _series_page(shown, looked, *review_tables.series(db, looked.series))
    return frames, merge(findings)


def _series_page(shown: _Shown, looked: RenderedSeries, row: review_tables.Row, evidence: review_tables.Row) -> None:
    warnings = [(rule(code), count) for code, count in sorted(evidence.get("warnings", {}).items())]
    shown.page(
        f"series/{looked.number}.html",
        "series",
        f"Series {looked.number} of {len(shown.numbers)}: {row['Modality']}",
        here="sample.html",
        series=row,
        looked=looked,
        found=[(rule(one.rule), one.count) for one in looked.findings()],
        applied=review_tables.applied(evidence.get("applied", {})),
        warnings=warnings,
    )


def _previews(sealed: Seal, folder: Path) -> None:
    """One PNG a series, under its UID; what is no UID or no such PNG, a finding says so, is not written."""
    (folder / "previews").mkdir()
    for name in shard_paths(sealed, "previews"):
        with pq.ParquetFile(sealed.folder / name) as file:
            for batch in file.iter_batches(64, columns=["SeriesInstanceUID", "image"]):
                for uid, image in zip(batch.column(0).to_pylist(), batch.column(1).to_pylist(), strict=True):
                    if contract.is_published_uid(uid) and is_small_png(image["bytes"]):
                        (folder / "previews" / f"{uid}.png").write_bytes(image["bytes"])


def _study_pages(shown: _Shown) -> int:
    """Tables of studies in parts, each row with its previews and findings, and all rows as CSV; how many parts."""
    total = int(shown.seal.content["counts"]["studies"])
    parts = max(1, -(-total // STUDIES_A_PAGE))
    previews = {path.stem for path in (shown.folder / "previews").iterdir()}
    with (shown.folder / "studies.csv").open("w", encoding="utf-8", newline="") as file:
        site.write_csv(file, review_tables.STUDY_COLUMNS, ())
        number = 0
        for number, rows in enumerate(review_tables.studies(shown.seal, STUDIES_A_PAGE), 1):
            cells = ([_cell(row[name]) for name in review_tables.STUDY_COLUMNS] for row in rows)
            site.write_csv(file, (), cells)
            shown.page(
                f"studies/{number}.html",
                "studies",
                f"Studies, part {number} of {parts}",
                here="studies/1.html",
                rows=rows,
                part=number,
                parts=parts,
                previews=previews,
                numbers=shown.numbers,
            )
        if not number:
            values: dict[str, Any] = {"rows": [], "part": 1, "parts": 1}
            shown.page("studies/1.html", "studies", "Studies", previews=previews, numbers={}, **values)
    return parts


def _cell(value: object) -> object:
    return "; ".join(map(str, value)) if isinstance(value, list) else value


def _other_pages(
    shown: _Shown, parts: int, against: Path | None, sheet: Sheet | None, decisions: Decisions | None
) -> None:
    results = [(r, has_errors(r.findings), review_tables.grouped(r.findings)) for r in shown.results]
    passed = not any(bad for _, bad, _ in results)
    measured = release_risk(shown.seal.folder)
    rows = review_tables.sample(shown.seal, shown.numbers, decisions)
    shown.page(
        "index.html",
        "index",
        "Summary",
        results=results,
        passed=passed,
        parts=parts,
        risk=measured,
        sheet=sheet,
    )
    shown.page("sample.html", "sample", "Series to open", rows=rows)
    shown.page("risk.html", "risk", "Disclosure risk", risk=measured, sizes=_sizes(measured))
    shown.page("licenses.html", "licenses", "Licences", rows=review_tables.by_license(shown.seal))
    shown.page("changes.html", "changes", "Changes", changes=review_tables.changes(shown.seal, against))
    values: dict[str, Any] = {"sheet": sheet, "decisions": decisions, "questions": review_sheets.QUESTIONS}
    shown.page("sheet.html", "sheet", "Sheet and decisions", **values)


def _sizes(measured: ReleaseRisk) -> str:
    """How many donors stand in classes of each size, as bars."""
    lows = sorted(measured.sizes)
    rows = [
        charts.Mark(_band(low, lows[at + 1] if at + 1 < len(lows) else None), float(measured.sizes[low]))
        for at, low in enumerate(lows)
    ]
    words = charts.Words("Donors who look alike", "Donors")
    said = "How many donors stand in classes of each size."
    return charts.bars("Donors by the size of their class", said, rows, words=words) if rows else ""


def _band(low: int, following: int | None) -> str:
    if following is None:
        return f"{low:,} or more alike"
    return f"{low:,} alike" if following == low + 1 else f"{low:,} to {following - 1:,} alike"
