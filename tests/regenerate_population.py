"""Write `curate/pages/data/population.json` from the United Nations' own file.

    python -m tests.regenerate_population WPP2024_PopulationByAge5GroupSex_Medium.csv.gz

The file is that of World Population Prospects 2024 (population.un.org/wpp, CSV, population by 5-year age groups and
sex, medium variant; numbers in thousands), licence CC BY 3.0 IGO.
"""

from __future__ import annotations

import csv
import gzip
import json
import sys
from pathlib import Path

OUT = Path(__file__).resolve().parents[1] / "curate" / "pages" / "data" / "population.json"
PLACES = {"724": "Spain", "900": "the World"}
YEAR = "2024"
SOURCE = (
    "United Nations, DESA, Population Division (2024). World Population Prospects 2024, medium variant, 1 July 2024."
    " CC BY 3.0 IGO."
)


def populations(path: Path) -> list[dict[str, object]]:
    """Spain and the World in 2024: persons by lower end of a five-year band (90 and over together) and sex."""
    counts: dict[str, dict[tuple[int, str], float]] = {name: {} for name in PLACES.values()}
    open_it = gzip.open if path.suffix == ".gz" else open
    with open_it(path, "rt", encoding="utf-8-sig") as file:
        for row in csv.DictReader(file):
            if row["LocID"] in PLACES and row["Time"] == YEAR and row["Variant"] == "Medium":
                found, low = counts[PLACES[row["LocID"]]], min(int(row["AgeGrpStart"]), 90)
                for sex, column in (("F", "PopFemale"), ("M", "PopMale")):
                    found[low, sex] = found.get((low, sex), 0.0) + 1000 * float(row[column])
    return [
        {
            "name": f"{name}, {YEAR}",
            "source": SOURCE,
            "counts": [[low, sex, round(n)] for (low, sex), n in sorted(of.items())],
        }
        for name, of in counts.items()
        if of
    ]


def main(path: Path) -> None:
    """Write the data file; both places must be whole."""
    made = populations(path)
    assert [len(entry["counts"]) for entry in made] == [38, 38], "the file lacks an age group of Spain or the World"
    OUT.write_text(json.dumps({"populations": made}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
