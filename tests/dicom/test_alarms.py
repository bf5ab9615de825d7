"""Alarms on anybody's text; what the profile releases raises none."""

from __future__ import annotations

import pytest

from curate.core import findings
from curate.deid import grammar, identifier_patterns
from curate.deid.free_text import descriptions


@pytest.mark.parametrize(
    ("text", "alarm"),
    [
        ("DNI 12345678Z", "ALARM_DNI"),
        ("X1234567L", "ALARM_DNI"),
        ("12345678A", ""),
        ("GALO 1 530712 003", "ALARM_CIP"),
        ("tel. 612 345 678", "ALARM_PHONE"),
        ("+34 93 412 33 22", "ALARM_PHONE"),
        ("maria@hospital.cat", "ALARM_EMAIL"),
        ("https://pacs.hospital.cat/x", "ALARM_URL"),
        ("C/ Balmes 123", "ALARM_ADDRESS"),
        ("Carrer de Mallorca, 401", "ALARM_ADDRESS"),
        ("12/07/1953", "ALARM_DATE"),
        ("12 de julio de 1953", ""),
        ("NHC: 4839201", "ALARM_RECORD_NUMBER"),
        ("Garcia^Maria", "ALARM_NAME"),
        ("Núria Puigdomènech Ferrer", "ALARM_NAME"),
        ("Dra. Quintana", "ALARM_NAME"),
        ("T1 MPRAGE SAG", ""),
        ("AX 3D BRAVO", ""),
        ("SIEMENS", ""),
        ("Axial EPI-FMRI (Sequential I to S)", ""),
        ("0.451171875\\0.451171875", ""),
        ("1.2.840.10008.5.1.4.1.1.2", ""),
    ],
)
def test_alarms(text: str, alarm: str) -> None:
    """Each pattern is known by an example, and acquisition terms raise nothing."""
    raised = identifier_patterns.text_alarms(text)
    assert (alarm in raised) if alarm else ("ALARM_NAME" not in raised and "ALARM_DNI" not in raised)


def test_every_alarm_is_a_warning() -> None:
    """An alarm decides nothing."""
    assert all(findings.rule(code).severity is findings.Severity.WARNING for code, _ in identifier_patterns.ALARMS)


def test_the_vocabulary_raises_no_alarm() -> None:
    """No term, and no code string, is taken for an identifier."""
    assert not [word for word in descriptions.vocabulary() if identifier_patterns.text_alarms(word)]
    assert not [word for word in grammar.code_strings() | grammar.body_parts() if identifier_patterns.text_alarms(word)]
