"""Writes the diagnosis tables of `curate/metadata/data` from the package simple-icd-10-cm.

The package takes 2.5 s and 200 MB to import, so the program reads these small tables instead and a
test compares them with it. Run `python tests/metadata/regenerate_icd10cm.py` when its edition moves.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

DATA = Path(__file__).resolve().parents[2] / "curate" / "metadata" / "data"
SOURCE = (
    "ICD-10-CM, April 2026 update, tabular list of NCHS/CDC and CMS (United States), in the public domain, "
    "as simple-icd-10-cm 1.5.0 (MIT licence) carries it. Written by tests/metadata/regenerate_icd10cm.py."
)


def tables() -> tuple[str, str]:
    """The text of `icd10cm.json` (chapters, blocks, categories) and of `icd10cm_codes.txt`."""
    import simple_icd_10_cm as icd

    everything = icd.get_all_codes(True)
    codes = sorted({code for code in everything if icd.is_category_or_subcategory(code)})
    chapters, blocks, categories = {}, {}, []
    for code in (code for code in codes if len(code) == 3):
        # a block of one category bears the category's own code: ['C50', '2']
        section, chapter = icd.get_ancestors(code)
        chapters[chapter] = _without_range(icd.get_description(chapter))
        blocks[section] = _without_range(icd.get_description(section, prioritize_blocks=True))
        categories.append({"code": code, "title": icd.get_description(code), "block": section, "chapter": chapter})
    lines = [
        *_mapping("chapters", dict(sorted(chapters.items(), key=lambda item: int(item[0])))),
        *_mapping("blocks", dict(sorted(blocks.items()))),
        ' "categories": [',
        ",\n".join("  " + json.dumps(entry, ensure_ascii=False) for entry in categories),
        " ]",
    ]
    text = "{\n" + f' "source": {json.dumps(SOURCE)},\n' + "\n".join(lines) + "\n}\n"
    return text, _code_lines(codes)


def _without_range(title: str) -> str:
    """A title without the range that the tabular list repeats behind it."""
    return title.rsplit(" (", 1)[0] if title.endswith(")") else title


def _mapping(name: str, entries: dict[str, str]) -> list[str]:
    rows = (f"  {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in entries.items())
    return [f' "{name}": {{', ",\n".join(rows), " },"]


def _code_lines(codes: list[str]) -> str:
    """One line a category: its code, then what may follow the dot."""
    suffixes: dict[str, list[str]] = defaultdict(list)
    for code in codes:
        category = code[:3]
        suffixes[category] += [code[4:]] if len(code) > 3 else []
    lines = [" ".join([category, *rest]) for category, rest in sorted(suffixes.items())]
    return f"# {SOURCE}\n# category, then what may follow the dot\n" + "\n".join(lines) + "\n"


if __name__ == "__main__":
    catalogue, valid = tables()
    (DATA / "icd10cm.json").write_text(catalogue, encoding="utf-8")
    (DATA / "icd10cm_codes.txt").write_text(valid, encoding="utf-8")
