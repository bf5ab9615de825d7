"""Write `curate/deid/data/{allow,codes,cs,uids}.json` anew: `python -m tests.dicom.regenerate_profile`.

Facts come from highdicom's module tables and pydicom's dictionaries (both MIT); what is decided by hand stands
in `tests/dicom/profile_sources.py` and is meant to be edited.
"""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

from pydicom import uid as uids
from pydicom.datadict import dictionary_keyword, dictionary_VR, keyword_dict
from pydicom.sr import _concepts_dict, _snomed_dict

from tests.dicom import profile_sources as sources

DATA = Path(__file__).resolve().parents[2] / "curate" / "deid" / "data"
STRENGTH = {"1": 3, "1C": 2, "2": 1, "2C": 1, "3": 0}
TEXTUAL = ("SH", "LO", "ST", "LT", "UT", "UC", "PN", "AE", "UR")
NUMERIC = ("DS", "IS", "FD", "FL", "US", "UL", "SS", "SL", "SV", "UV", "US or SS")


def highdicom(name: str) -> Any:
    """A table of highdicom's, by file name."""
    return json.loads((resources.files("highdicom") / "_standard" / name).read_text(encoding="utf-8"))


def candidates() -> dict[int, dict[str, Any]]:
    """Attributes of the modules of the admitted IODs: strongest type, and the modules that name them."""
    modules, iods = highdicom("module_attribute_map.json"), highdicom("iod_module_map.json")
    found: dict[int, dict[str, Any]] = {}
    wanted = {module["key"] for iod in sources.IODS for module in iods[iod]}
    for key in sorted(wanted - set(sources.MODULES_LEFT_OUT)):
        for attribute in modules.get(key, []):
            tag = keyword_dict.get(attribute["keyword"])
            if tag is None:
                continue
            entry = found.setdefault(tag, {"type": "3", "modules": []})
            if STRENGTH[attribute["type"]] > STRENGTH[entry["type"]]:
                entry["type"] = attribute["type"]
            if key not in entry["modules"]:
                entry["modules"].append(key)
    for keyword in sources.MORE:
        found.setdefault(keyword_dict[keyword], {"type": "3", "modules": ["extra"]})
    return found


def numeric(keyword: str, vr: str) -> tuple[str, str]:
    """The range of a number by its keyword, and why it stays."""
    for pattern, form, low, high, why in sources.NUMBERS:
        if pattern.search(keyword):
            form = "exact" if form == "num" and sources.EXACT.search(keyword) else form
            return f"{form}({low:.9g},{high:.9g})", why
    if vr in ("DS", "FD", "FL"):
        return "num(-9999999,9999999)", "acquisition or processing parameter"
    return "num(0,65535)", "count, index or setting"


def grammar(tag: int, keyword: str, vr: str) -> tuple[str, str] | None:
    """The grammar of a candidate and why it stays; None where it does not."""
    if keyword in sources.GRAMMARS:
        return sources.GRAMMARS[keyword]
    if any(pattern.search(keyword) for pattern in sources.NEVER):
        return None
    if vr == "SQ":
        why = "coded concept" if keyword.endswith("CodeSequence") else "structure of the object"
        return "items", why
    if vr in NUMERIC:
        return numeric(keyword, vr)
    if vr == "CS":
        return "cs", "defined or enumerated term"
    if vr == "AT":
        return "at", "pointer to an attribute"
    if vr in ("OF", "OD"):
        return "floats(-1e7,1e7)", "coordinates or samples"
    if vr == "OL":
        return "indices", "indices into coordinates"
    return None


def table_rows() -> dict[str, Any]:
    """Table E.1-1 by tag."""
    table = json.loads((DATA / "table_e1_1.json").read_text(encoding="utf-8"))
    return {row["tag"]: row for row in table["rules"]}


CLEANABLE = (
    "retain_longitudinal_modified_dates",
    "clean_descriptors",
    "clean_structured_content",
    "retain_uids",
)


def allow() -> list[dict[str, Any]]:
    """The allow-list, sorted by tag."""
    rows, entries = table_rows(), []
    for tag, fact in sorted(candidates().items()):
        keyword, vr = dictionary_keyword(tag), dictionary_VR(tag)
        row = rows.get(f"{tag:08X}")
        decided = row is None or keyword in sources.GRAMMARS
        if not decided and (vr != "SQ" or not (set(row["options"]) & set(CLEANABLE)) or row["basic"] == "X"):
            continue
        chosen = grammar(tag, keyword, vr)
        if chosen is None:
            continue
        entry = {
            "tag": f"{tag:08X}",
            "keyword": keyword,
            "vr": vr,
            "grammar": chosen[0],
            "type": fact["type"],
        }
        entries.append(entry | {"why": f"{chosen[1]} ({', '.join(fact['modules'][:3])})"})
    return entries


def types() -> dict[str, str]:
    """The strongest type of each row of Table E.1-1 in the admitted IODs: by tag at the top, by parent/tag inside."""
    modules, iods = highdicom("module_attribute_map.json"), highdicom("iod_module_map.json")
    found: dict[str, str] = {}
    rows = table_rows()
    for key in sorted({module["key"] for iod in sources.IODS for module in iods[iod]}):
        for attribute in modules.get(key, []):
            tag, path = keyword_dict.get(attribute["keyword"]), attribute["path"]
            if tag is None or f"{tag:08X}" not in rows:
                continue
            place = f"{keyword_dict[path[-1]]:08X}/{tag:08X}" if path else f"{tag:08X}"
            if STRENGTH[attribute["type"]] >= STRENGTH[found.get(place, "3")]:
                found[place] = attribute["type"]
    return dict(sorted(found.items()))


def codes() -> dict[str, dict[str, str]]:
    """Meanings of the codes of PS3.16 by scheme and value; SRT by its SCT equivalent."""
    known: dict[str, dict[str, str]] = {}
    for scheme, keywords in _concepts_dict.concepts.items():
        for by_value in keywords.values():
            for value, (meaning, _) in by_value.items():
                if value and not sources.PRIVATE_SCHEME.match(scheme):
                    texts = known.setdefault(scheme, {})
                    texts[value] = min(texts.get(value, meaning), meaning, key=_plainness)
    for texts in known.values():
        for value, meaning in texts.items():
            texts[value] = sources.ascii_only(meaning)[:64]
    known.setdefault("SRT", {})
    for srt, sct in _snomed_dict.mapping["SRT"].items():
        if sct in known["SCT"]:
            known["SRT"].setdefault(srt, known["SCT"][sct])
    for scheme, value, meaning in sources.MORE_CODES:
        known.setdefault(scheme, {})[value] = meaning
    return {scheme: dict(sorted(values.items())) for scheme, values in sorted(known.items())}


def _plainness(meaning: str) -> tuple[bool, int, str]:
    """Short meanings without a semantic tag are what people know a code by."""
    return "(" in meaning, len(meaning), meaning


def uid_table() -> dict[str, str]:
    """UIDs of the standard by value, with their kind."""
    return {value: row[1] for value, row in sorted(uids.UID_dictionary.items())} | sources.MORE_UIDS


def write(name: str, value: Any, note: str) -> None:
    """One JSON file: a note on source and licence, then the data, one entry a line."""
    lines = [f'{{\n"note": {json.dumps(note)},']
    if isinstance(value, list):
        body = ",\n".join(json.dumps(entry, ensure_ascii=True) for entry in value)
        lines.append(f'"entries": [\n{body}\n]\n}}')
    else:
        body = ",\n".join(f"{json.dumps(key)}: {json.dumps(entry)}" for key, entry in value.items())
        lines.append(f'"entries": {{\n{body}\n}}\n}}')
    (DATA / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    """Write all files."""
    modules = "Modules and types: highdicom (MIT), from DICOM PS3.3; grammars and reasons: this project."
    write("allow.json", allow(), modules)
    write("types.json", types(), modules)
    write("codes.json", codes(), "Codes of PS3.16 as pydicom.sr (MIT) lists them; facts of the standard.")
    terms = sources.code_strings(highdicom("anatomic_regions.json"))
    write("cs.json", terms, "Terms of PS3.3, names of body parts apart; facts of the standard.")
    write("uids.json", uid_table(), "Registered UIDs of PS3.6 as pydicom (MIT) lists them.")


if __name__ == "__main__":
    main()
