from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.core import resources
from curate.metadata import region, region_text
from tests.metadata import tables

HELD_OUT_RECALL = 229  # of 233: what the first measurement found, before anything was learned from elsewhere


def expected(terms: str) -> str | None:
    """The code that a fixture's Body Part Examined terms or SNOMED CT codes stand for."""
    if not terms:
        return None
    parts = [region.body_parts().get(term, term) for term in terms.split("+")]
    codes = {code for part in parts for code in (region.regions()[part].parts or (part,))}
    whole = [each.code for each in region.regions().values() if set(each.parts or (each.code,)) == codes]
    return whole[0] if whole else "+".join(sorted(codes))


def wrong(row: dict[str, str]) -> bool:
    found = region.code(row["term"])
    return (found.code, found.laterality or "") != (expected(row["expected"]), row["laterality"])


def test_terms_in_three_languages_map() -> None:
    """Every term that the synonym table was made from maps to its region and laterality."""
    assert [row for row in tables.rows("region_terms.csv") if wrong(row)] == []


def test_terms_held_out_map() -> None:
    """Held-out terms map as often as when first measured, and none to another region than its own."""
    held_out = tables.rows("region_terms_heldout.csv")
    missed = [row for row in held_out if wrong(row)]
    assert len(held_out) - len(missed) >= HELD_OUT_RECALL
    assert all(region.code(row["term"]).code is None for row in missed)


def test_there_are_enough_terms_and_a_third_is_held_out() -> None:
    """At least 400 terms, each language and great region among them, a third of them held out."""
    made_from, held_out = tables.rows("region_terms.csv"), tables.rows("region_terms_heldout.csv")
    assert len(made_from) + len(held_out) >= 400
    assert len(held_out) * 3 >= len(made_from) + len(held_out)
    assert not {row["term"] for row in held_out if row["expected"] and len(row["term"]) > 20} & {
        row["term"] for row in made_from
    }
    languages = Counter(row["language"] for row in made_from)
    assert min(languages[each] for each in ("ca", "es", "en")) >= 100
    groups = {region.code(row["term"]).group for row in made_from}
    assert groups >= {
        "head",
        "neck",
        "chest",
        "abdomen",
        "pelvis",
        "spine",
        "upper limb",
        "lower limb",
        "breast",
    }


def test_near_misses_and_double_readings_are_refused() -> None:
    """Nothing is matched by likeness, and what has two readings is refused by the rule that says so."""
    found = {row["text"]: region.code(row["text"]) for row in tables.rows("region_traps.csv")}
    assert {text: each.rule for text, each in found.items()} == {
        row["text"]: row["rule"] for row in tables.rows("region_traps.csv")
    }
    assert all(each.code is None and each.reason for each in found.values())


def test_nearly_all_public_series_map() -> None:
    """At least 99.9% of the series that have a Body Part Examined map, and the rest say why not."""
    counted: Counter[bool] = Counter()
    for row in tables.rows("BodyPartExamined.csv"):
        if row["raw"] != "<NULL>":
            found = region.of_header(row["raw"])
            assert bool(found.code) != bool(found.rule and found.reason)
            counted[found.code is not None] += int(row["series"])
    assert counted[True] / counted.total() >= 0.999


def test_idc_agrees_or_the_difference_is_explained() -> None:
    """Each raw value that IDC curates maps as its curated one does, or the data file says why not."""
    text = resources.vocabulary_path("metadata/data/region_headers.json").read_text(encoding="utf-8")
    explained = json.loads(text)["explained"]
    differing = {
        row["raw"]
        for row in tables.rows("idc_bodypart_raw_to_curated.csv")
        if region.of_header(row["raw"]).code != region.of_header(row["curated"]).code
    }
    assert differing == set(explained)
    assert all(region.of_header(row["curated"]).code for row in tables.rows("idc_bodypart_raw_to_curated.csv"))


def test_the_snapshot_of_annex_l_is_highdicom_s() -> None:
    """Terms, codes, meanings and pairing are those that highdicom carries for PS3.16 Annex L."""
    utils = pytest.importorskip("highdicom._standard_utils")
    ours = json.loads(resources.vocabulary_path("metadata/data/regions.json").read_text(encoding="utf-8"))
    snapshot = {e["term"]: (e["code"], e["meaning"], e["paired"]) for e in ours["regions"] if e["term"]}
    theirs = {
        term: (concept.value, concept.meaning, paired)
        for term, (concept, paired) in utils.get_anatomic_region_map().items()
    }
    assert snapshot == theirs


def test_all_of_cid_4031_is_there() -> None:
    """Every common anatomic region of PS3.16 CID 4031 is among the regions."""
    from pydicom.sr.codedict import codes

    common = codes.CID4031
    assert {getattr(common, name).value for name in common.dir()} <= set(region.regions())


@given(st.sampled_from(sorted(region.body_parts())))
def test_every_defined_term_maps_to_its_own_code(term: str) -> None:
    """A Body Part Examined term is never read as a word of some language."""
    found = region.of_header(term)
    whole = region.body_parts()[term]
    assert found.code == whole
    assert found.codes == (region.regions()[whole].parts or (whole,))
    assert found.group == region.regions()[whole].group
    assert region.of_header(term.lower() + " ") == found
    assert region.code(whole).code == whole


def test_combined_regions_keep_their_parts() -> None:
    """A combined region has one code where the standard has one, and always its parts."""
    found = region.of_header("CHESTABDPELVIS")
    assert found.code == "416775004"
    assert [region.regions()[part].meaning for part in found.codes] == ["Chest", "Abdomen", "Pelvis"]
    assert found.group == "trunk"
    assert region.code("tòrax, abdomen i pelvis") == found
    both = region.code("hand and wrist")
    assert both == region.code("wrist and hand")
    assert both.code == "+".join(both.codes)
    assert both.group == "upper limb"
    assert region.code("knee and chest").group == "several regions"


@pytest.mark.parametrize("side", ["L", "l", "left", "esquerra", "izq."])
def test_laterality_is_kept_where_it_is_given(side: str) -> None:
    """A laterality in a column of its own counts as one in the text does."""
    assert region.code("knee", laterality=side) == region.code("left knee")
    assert region.code("knee", laterality=side).laterality == "L"


def test_a_laterality_that_contradicts_or_cannot_be_read_is_refused() -> None:
    """Left in the text and right in the column is no region; nor is a laterality of no language."""
    assert region.code("left knee", laterality="R").rule == "LATERALITY_CONFLICT"
    assert region.code("knee", laterality="ipsilateral").rule == "LATERALITY_UNREADABLE"
    assert region.of_header("CHEST", "U").laterality is None
    assert region.of_header("KNEE", "R").laterality == "R"


def test_header_and_table_disagree_only_where_regions_do_not_touch() -> None:
    """A part and its whole agree; a hand is not a chest."""
    assert region.disagree(region.code("hand"), region.code("chest"))
    assert not region.disagree(region.code("liver"), region.of_header("ABDOMEN"))
    assert not region.disagree(region.code("liver"), region.of_header("CHESTABDPELVIS"))
    assert not region.disagree(region.code("hand"), region.of_header("WHOLEBODY"))
    assert not region.disagree(region.code("hand"), region.of_header("UNKNOWN"))


def test_every_code_has_a_meaning_and_a_group() -> None:
    """What is published can be explained: codes, combined ones too, have a meaning and a group."""
    for each in region.regions():
        assert region.meaning_of(each)
        assert region.group_of(each)
    joined = region.code("hand and wrist").code or ""
    assert region.meaning_of(joined) == "Wrist joint + Hand"
    assert region.group_of(joined) == "upper limb"


def test_each_term_of_the_table_reads_as_its_own_region() -> None:
    """No term is shadowed by a word that says nothing, by a laterality, or by another term."""
    raw = json.loads(resources.vocabulary_path("metadata/data/region_terms.json").read_text(encoding="utf-8"))
    for name, lists in raw["terms"].items():
        code = region.body_parts().get(name, name)
        for kind, texts in lists.items():
            for text in texts:
                if region_text.ambiguity(text) or text.upper() in region.body_parts():
                    continue
                found = region.code(text)
                assert found.code == code, text
                assert found.laterality == ("B" if kind == "both" else None), text


@given(st.sampled_from(tables.rows("region_terms.csv")), st.sampled_from([str.upper, str.lower, str.title]))
def test_case_and_accents_do_not_matter(row: dict[str, str], spelled: object) -> None:
    """The same term in capitals or without accents is the same region, but for the abbreviation CAP."""
    assert callable(spelled)
    text = spelled(row["term"])
    if "CAP" in text:
        return
    assert region.code(text).code == region.code(row["term"]).code


@given(st.text(max_size=40))
def test_no_text_breaks_the_reader(raw: str) -> None:
    """Any text is a code or a rule, never both."""
    found = region.code(raw)
    assert (found.code is None) == bool(found.rule)


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz", min_size=12, max_size=20))
def test_a_word_of_no_language_is_refused_and_not_repeated(raw: str) -> None:
    """A refused value is not repeated in the reason."""
    found = region.code(raw)
    assert found.code is None
    assert raw not in found.reason


@pytest.mark.parametrize(
    ("table", "header", "differ"),
    [("antebrazo", "EXTREMITY", False), ("genoll", "EXTREMITY", False), ("tòrax", "TRUNK", False),
     ("tòrax", "EXTREMITY", True), ("genoll", "HEAD", True)],
)  # fmt: skip
def test_a_coarser_word_does_not_disagree(table: str, header: str, differ: bool) -> None:
    """A forearm is an extremity; a chest is none."""
    coded = region.code(table), region.code(header)
    assert None not in (coded[0].code, coded[1].code)
    assert region.disagree(*coded) is differ
    assert region.disagree(*reversed(coded)) is differ
