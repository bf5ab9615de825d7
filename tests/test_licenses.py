from __future__ import annotations

import hashlib
import json

import license_expression
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate import licenses
from curate.core import resources
from curate.core.errors import InputError, RefusedError
from curate.core.findings import Finding, rules

WANTED = {
    "CC-BY-4.0": "cc-by-4.0",
    "CC0-1.0": "cc0-1.0",
    "CC-BY-SA-4.0": "cc-by-sa-4.0",
    "CC-BY-NC-4.0": "cc-by-nc-4.0",
    "CDLA-Permissive-2.0": "cdla-permissive-2.0",
    "ODC-By-1.0": "odc-by",
    "ODbL-1.0": "odbl",
    "PDDL-1.0": "pddl",
}


def test_catalogue_has_the_eight_licences_with_their_hub_identifiers() -> None:
    """The catalogue holds exactly the licences that an archive may choose."""
    assert {i: entry.hub_id for i, entry in licenses.catalogue().items()} == WANTED


@pytest.mark.parametrize("spdx_id", WANTED)
def test_text_is_the_one_of_the_catalogue(spdx_id: str) -> None:
    """Each installed text has the catalogue's digest, LF ends of line, and SPDX knows its identifier."""
    text = licenses.text(spdx_id)
    assert hashlib.sha256(text.encode()).hexdigest() == licenses.get(spdx_id).sha256
    assert "\r" not in text and len(text) > 2000
    assert spdx_id in license_expression.get_spdx_licensing().known_symbols


def test_no_text_lies_beside_the_catalogue_without_an_entry() -> None:
    """The folder holds the texts of the catalogue and nothing else of that kind."""
    folder = resources.license_path("catalogue.json").parent
    assert {p.stem for p in folder.glob("*.txt")} == set(WANTED)


def test_what_the_licences_permit() -> None:
    """Only CC-BY-NC forbids commercial use, two ask for share alike, three for no attribution."""
    entries = licenses.catalogue()
    assert [i for i, e in entries.items() if not e.commercial_use] == ["CC-BY-NC-4.0"]
    assert [i for i, e in entries.items() if e.share_alike] == ["CC-BY-SA-4.0", "ODbL-1.0"]
    unattributed = [i for i, e in entries.items() if not e.attribution]
    assert unattributed == ["CC0-1.0", "CDLA-Permissive-2.0", "PDDL-1.0"]
    assert [i for i, e in entries.items() if not e.covers_contents] == ["ODC-By-1.0", "ODbL-1.0"]
    assert all(e.redistribution and e.derivatives for e in entries.values())


def test_identifiers_match_in_any_case() -> None:
    """SPDX identifiers match without regard to case, and the canonical spelling comes back."""
    assert licenses.get(" cc-by-4.0 ").spdx_id == "CC-BY-4.0"


def test_unknown_licence_suggests_the_nearest() -> None:
    """A mistyped identifier is answered with the ones it may stand for."""
    with pytest.raises(InputError, match=r"'CC-BY-4' is not a licence of the catalogue") as caught:
        licenses.get("CC-BY-4")
    assert "CC-BY-4.0" in caught.value.hint


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (None, "LICENSE_MISSING"),
        ("  ", "LICENSE_MISSING"),
        ("foo", "LICENSE_UNKNOWN"),
        ("MIT", "LICENSE_UNKNOWN"),  # SPDX knows it, the catalogue does not: it is made for software
        ("CC-BY-4.0 AND foo", "LICENSE_UNKNOWN"),
        ("((", "LICENSE_UNKNOWN"),
        ("GPL-2.0", "LICENSE_DEPRECATED"),
        ("gfdl-1.1", "LICENSE_DEPRECATED"),
        ("CC-BY-4.0 AND CC-BY-NC-4.0", "LICENSE_CONFLICTING"),
        ("CC-BY-4.0 OR CC0-1.0", "LICENSE_CONFLICTING"),
    ],
)
def test_each_problem_has_its_own_code(raw: str | None, code: str) -> None:
    """Missing, unknown, deprecated and conflicting licences are told apart."""
    assert licenses.classify(raw, "row 3") == Finding(code, "row 3", "license")


def test_a_licence_of_the_catalogue_is_no_finding() -> None:
    """A good value gives its licence."""
    assert licenses.classify("odbl-1.0") is licenses.get("ODbL-1.0")


_WORDS = st.sampled_from(["CC0-1.0", "MIT", "foo", "AND", "OR", "WITH", "(", ")", "+", "é", "DocumentRef-a:b"])


@given(st.text(max_size=40) | st.lists(_WORDS, max_size=8).map(" ".join))
def test_any_text_gives_a_licence_or_a_finding_without_the_text(raw: str) -> None:
    """No value of a table crashes the classification or comes back in a finding."""
    found = licenses.classify(raw, "row 1")
    assert isinstance(found, licenses.License) or found.place == "row 1"
    assert isinstance(found, licenses.License) or found.rule in rules()


def test_hub_license_of_one_and_of_several() -> None:
    """Several licences are `other` on the Hub, under a name that does not depend on their order."""
    assert licenses.hub_license(["ODC-By-1.0"]) == ("odc-by", None)
    several = licenses.hub_license(["CC0-1.0", "CC-BY-4.0", "CC0-1.0"])
    assert several == ("other", "cc-by-4.0-and-cc0-1.0") == licenses.hub_license(["CC-BY-4.0", "CC0-1.0"])
    with pytest.raises(InputError, match="needs a licence"):
        licenses.hub_license([])


def test_a_study_is_not_released_under_a_licence_its_donor_did_not_choose() -> None:
    """A donor's CC-BY-NC is not widened, nor another's CC0 narrowed; no choice leaves it to the archive."""
    assert licenses.may_release(None, "CC-BY-4.0").spdx_id == "CC-BY-4.0"
    assert licenses.may_release("cc0-1.0", "CC0-1.0").spdx_id == "CC0-1.0"
    for chosen in ("CC-BY-NC-4.0", "CC0-1.0"):
        with pytest.raises(RefusedError, match=f"chose {chosen}.*under CC-BY-4.0"):
            licenses.may_release(chosen, "CC-BY-4.0")


def test_a_donation_may_carry_its_own_licence() -> None:
    """A study gets the licence that its donor chose, and the archive's where the donor left it open."""
    assert licenses.of_study("cc0-1.0", "CC-BY-4.0").spdx_id == "CC0-1.0"
    assert licenses.of_study(" ", "CC-BY-4.0").spdx_id == "CC-BY-4.0"


def test_a_donors_unreadable_choice_is_not_repeated() -> None:
    """The message about a cell of a donor's row does not show the cell."""
    with pytest.raises(InputError) as caught:
        licenses.may_release("Maria's own", "CC-BY-4.0")
    assert "Maria" not in caught.value.message + caught.value.hint


def test_one_study_bears_one_licence() -> None:
    """Rows of a study that disagree on its licence are conflicting."""
    assert licenses.check_one(["CC0-1.0", "CC0-1.0"], "s") == []
    assert licenses.check_one(["CC0-1.0", "PDDL-1.0"], "s")[0].rule == "LICENSE_CONFLICTING"


def _digests(spdx_ids: list[str]) -> dict[str, str]:
    files = licenses.release_files(spdx_ids)
    return {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}


def test_release_files_pass_their_own_check() -> None:
    """What a release carries for its licences is what check asks for; the overview comes with several."""
    assert licenses.check_files(["CC0-1.0"], _digests(["CC0-1.0"])) == []
    both = _digests(["CC0-1.0", "CC-BY-4.0"])
    assert licenses.check_files(["CC-BY-4.0", "CC0-1.0"], both) == []
    assert (licenses.OVERVIEW_PATH in both, licenses.OVERVIEW_PATH in _digests(["CC0-1.0"])) == (True, False)


def test_a_release_without_studies_carries_the_terms_alone() -> None:
    """When the last study is withdrawn no licence is left, and the cut does not stop at that."""
    assert list(licenses.release_files([])) == [licenses.TERMS_PATH]
    assert licenses.check_files([], _digests([])) == []


def test_texts_missing_changed_unused_and_terms_missing() -> None:
    """Each way in which LICENSES/ does not fit the rows has its code."""
    digests = _digests(["CC0-1.0", "PDDL-1.0"])
    digests["LICENSES/CC0-1.0.txt"] = "0" * 64
    del digests[licenses.TERMS_PATH]
    codes = {f.rule: f.place for f in licenses.check_files(["CC0-1.0", "ODbL-1.0", "foo"], digests)}
    assert codes == {
        "LICENSE_UNKNOWN": "",
        "LICENSE_TEXT_CHANGED": "LICENSES/CC0-1.0.txt",
        "LICENSE_TEXT_MISSING": "LICENSES/ODbL-1.0.txt",
        "LICENSE_UNUSED": "LICENSES/PDDL-1.0.txt",
        "LICENSE_TERMS_MISSING": "LICENSES/TERMS.md",
    }


def test_terms_forbid_identification_and_change_no_licence() -> None:
    """The terms ask for no identification, no contact, a report, and leave the licence as it is."""
    terms = licenses.terms()
    assert all(word in terms for word in ("who any donor is", "contact", "tell the publisher", "add no restriction"))


def test_catalogue_names_its_source() -> None:
    """The data file says where the texts come from."""
    raw = json.loads(resources.license_path("catalogue.json").read_text(encoding="utf-8"))
    assert "spdx-license-list 6.12.0" in raw["source"]
