"""Descriptions from the closed vocabulary."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.deid.free_text import descriptions


@pytest.mark.parametrize(
    ("text", "rebuilt"),
    [
        ("T1 MPRAGE SAG", "T1 MPRAGE SAG"),
        ("T1 MPRAGE SAG Puigdomènech Montserrat", "T1 MPRAGE SAG"),
        ("t2w_tse_tra_512", "T2W TSE TRA"),
        ("RM CRANI 3DFLAIR", "RM CRANI 3D FLAIR"),
        ("TC TÓRAX S/C 5mm", "TC TORAX SIN CONTRASTE 5mm"),
        ("PELVIS W/O CONTRAST", "PELVIS WITHOUT CONTRAST"),
        ("ep2d_diff b1000", "DIFF b1000"),
        ("DWI b=1000 TE 80", "DWI b1000 TE 80"),
        ("T2* GRE", "T2* GRE"),
        ("12345678", ""),
        ("Jordi Ferrer", ""),
        ("BRAVO", ""),
        ("Dixon John T1", "T1"),
        ("AX 3D BRAVO", "AX 3D BRAVO"),
        ("MRN 4839201 AX", "AX"),
        ("93 412 33 22", ""),
        ("", ""),
    ],
)
def test_only_terms_stay(text: str, rebuilt: str) -> None:
    """Terms and quantities stay in canonical form; names, numbers and unknown words go."""
    assert descriptions.rebuild_text(text, 64) == rebuilt


@settings(max_examples=800, deadline=None, derandomize=True, database=None)
@given(
    st.lists(
        st.sampled_from(
            [*sorted(descriptions.vocabulary())[::7], "Puig", "5", "mm", "TE", "30", "b700", "x", "BRAVO", "^", "_"]
        ),
        max_size=12,
    )
)
def test_rebuilding_twice_changes_nothing(words: list[str]) -> None:
    """A rebuilt description is its own rebuilt form, for every VR's limit."""
    for limit in (16, 64):
        once = descriptions.rebuild_text(" ".join(words), limit)
        assert descriptions.rebuild_text(once, limit) == once
        assert len(once) <= limit


def test_a_name_in_another_character_set_does_not_stay() -> None:
    """Escapes of ISO 2022 hide no name."""
    raw = b"T1 \x1b$B;3ED\x1b(B SAG "
    assert descriptions.rebuild("LO", raw, ("shift_jis", "iso2022_jp")) == b"T1 SAG"


def test_the_vocabulary_has_no_frequent_names() -> None:
    """A term that is also a frequent name is marked as ambiguous, or known to be harmless."""
    from curate.deid.identifier_patterns import given_names, surnames

    harmless = {"ANTERIOR", "MAR", "PAU", "LI", "COR", "LARA", "SALA", "PI", "PRAT", "VERA"}
    shared = (given_names() | surnames()) & descriptions.vocabulary()
    assert shared - descriptions.ambiguous() - harmless == set()
