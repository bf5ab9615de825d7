"""What the options `equipment` and `anatomy` keep out of the headers.

A pack never changes once it is released, so what its headers state of a scanner or a region no recoding of the
manifest can take back. For archives of persons the headers therefore name the vendor alone and no region; the
manifest says what its risk control allows.
"""

from __future__ import annotations

from dataclasses import replace

from curate.deid.records import Action, Decision
from curate.dicom import tags
from curate.policies import Policy

_EQUIPMENT = ("model", "software")
_REGIONS = frozenset(
    (
        tags.AnatomicRegionSequence,
        tags.AnatomicRegionModifierSequence,
        tags.PrimaryAnatomicStructureSequence,
        tags.PrimaryAnatomicStructureModifierSequence,
    )
)
"""Anatomic Region and Primary Anatomic Structure Sequence, of an image or frame; a segment's own stays."""
_OF_IMAGE = (0, tags.FrameAnatomySequence)
_LATERALITY = tags.Laterality  # of the series; the image's own is of type 1 in mammography, stays and is counted


def decide(policy: Policy, parent: int, tag: int, grammar: str) -> Decision | None:
    """What an option withholds; None where it leaves the decision to the table and the allow-list."""
    if policy.equipment == "vendor" and grammar in _EQUIPMENT:
        return Decision(Action.CLEAN, "withheld", "option equipment = vendor", "VALUE_NOT_CLEAN")
    if policy.anatomy == "remove":
        why = "option anatomy = remove"
        if grammar == "bodypart" or tag == _LATERALITY:
            return Decision(Action.EMPTY, "empty", why, "VALUE_NOT_CLEAN")
        if tag in _REGIONS and parent in _OF_IMAGE:
            return Decision(Action.REMOVE, "", why, "ATTRIBUTE_NOT_ALLOWED")
    return None


def in_words(policy: Policy, decision: Decision) -> Decision:
    """A description without words for regions, where these are withheld."""
    if policy.anatomy == "remove" and decision.grammar == "terms":
        return replace(decision, grammar="terms-plain")
    return decision


def nothing(_argument: str, _vr: str, _raw: bytes) -> bytes | None:
    """No value at all: what the attribute's type asks for stands in its place."""
    return None
