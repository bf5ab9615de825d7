"""CHANGELOG.md, newest version first, in the manner of Keep a Changelog 1.1."""

from __future__ import annotations

import re

from curate.core.records import ReleaseSummary, VersionChange
from curate.describe import markup

_HEADING = re.compile(r"^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d{2}-\d{2}$", re.MULTILINE)


def change_of(summary: ReleaseSummary) -> VersionChange:
    """The entry of the version that a summary describes."""
    return VersionChange(
        summary.version,
        summary.released,
        summary.added,
        summary.removed,
        summary.changed,
        summary.notices,
        summary.changes,
    )


def changelog(summary: ReleaseSummary) -> str:
    """The changelog: the version of the summary, then its history."""
    changes = {change.version: change for change in (*summary.history, change_of(summary))}
    ordered = sorted(changes.values(), key=lambda change: _order(change.version), reverse=True)
    lines = [
        "# Changelog",
        "",
        f"Every version of {markup.escape(summary.archive.title)}. MAJOR: the tables changed; "
        "MINOR: studies were added; PATCH: studies were only withdrawn, recoded or corrected.",
    ]
    for change in ordered:
        lines += _section(change)
    return "\n".join(lines) + "\n"


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def _section(change: VersionChange) -> list[str]:
    lines = ["", f"## [{change.version}] - {change.released.isoformat()}"]
    if change.notes:
        lines += ["", "### Notices", "", *(f"- {markup.escape(note)}" for note in change.notes)]
    for heading, said in _headings(change).items():
        if said:
            lines += ["", f"### {heading}", "", *(f"- {line}" for line in said)]
    return lines if len(lines) > 2 else [*lines, "", "No study was added, changed or removed."]


def _headings(change: VersionChange) -> dict[str, list[str]]:
    """What stands under each heading; of withdrawals their number alone."""
    found = {
        "Added": [f"{studies(change.added)}."] if change.added else [],
        "Changed": [f"{studies(change.changed)}."] if change.changed else [],
        "Removed": [f"{studies(change.removed)}."] if change.removed else [],
    }
    if (changes := change.changes) is None:
        return found
    if change.added:
        found["Added"] = [f"{studies(change.added)}, {changes.series_added:,} series."]
    if changes.changed != 0:
        columns = [f"`{name}` in {few(count)}" for name, count in changes.columns.items()]
        found["Changed"] = [f"{few(changes.changed)[:1].upper()}{few(changes.changed)[1:]}: {', '.join(columns)}."]
    found["Changed"] += [f"Column `{name}` is new." for name in changes.new_columns]
    found["Changed"] += [f"Column `{name}` is gone." for name in changes.gone_columns]
    licenses = changes.licenses.items()
    found["Licences"] = [f"{name}: {old:,} studies before, {new:,} now." for name, (old, new) in licenses]
    rows = changes.rows
    found["Now"] = [f"{studies(rows['studies'])}, {rows['series']:,} series, {rows['instances']:,} instances."]
    return found


def few(count: int | None) -> str:
    """A number of studies; one that is not shown in words."""
    return "a few studies" if count is None else studies(count)


def studies(count: int) -> str:
    """A number of studies in words, such as `1 study` or `1,200 studies`."""
    return f"{count:,} {'study' if count == 1 else 'studies'}"


def read_versions(text: str) -> tuple[str, ...]:
    """The versions that a changelog lists, newest first."""
    return tuple(_HEADING.findall(text))
