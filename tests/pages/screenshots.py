"""The pictures of the README: the three sites on the demo archive, in a real Chromium.

python -m tests.pages.screenshots docs/pictures
"""

from __future__ import annotations

import itertools
import sys
import tempfile
from pathlib import Path

import curate
from curate.cli.demo import demo
from tests.pages.browser import browsing

SHOTS = (
    ("review-series", "review/series/{series}.html", (1000, 1130)),
    ("report", "report/index.html", (1000, 720)),
    ("donors", "report/donors/ca.html", (390, 844)),
)


def main(out: Path) -> None:
    """Make the demo archive, its sites, and a picture of a page of each."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary, browsing() as browser:
        folder = Path(temporary)
        demo(folder / "demo")
        archive = folder / "demo" / "archive"
        curate.review(archive / "releases" / "1.0.0", folder / "review", sample=0)
        curate.report(archive, folder / "report", offers=_offers(folder / "offers.csv"))
        largest = max((folder / "review" / "images").iterdir(), key=lambda path: path.stat().st_size)
        series = largest.name.split("-")[0]
        for name, page, (width, height) in SHOTS:
            opened = browser.new_page(viewport={"width": width, "height": height}, color_scheme="light")
            opened.goto((folder / page.format(series=series)).as_uri())
            opened.wait_for_load_state("networkidle")
            opened.screenshot(path=out / f"{name}.png")
            opened.close()


def _offers(path: Path) -> Path:
    """A table as a portal gives it: made up, the same each time."""
    lines = ["date,outcome,hospital,sex,age_band,arm,studies,count"]
    groups = itertools.product(range(1, 7), ("Girona", "Vic"), "FM", ("40-49", "60-69"), ("short", "long"))
    for at, (month, hospital, sex, band, arm) in enumerate(groups):
        yes = 30 + 3 * month + 5 * (arm == "short") + at % 3
        for outcome, count in (
            ("donated", yes),
            ("withdrawn", 12),
            ("declined", 40),
            ("seen", 15),
            ("offered", 20),
        ):
            lines.append(f"2026-{month:02d},{outcome},{hospital},{sex},{band},{arm},2,{count}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs"))
