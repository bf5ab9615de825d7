"""How a value is cleaned: by a grammar that rests on the value alone, or on the study and the item around it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from curate.deid import (
    anatomy_names,
    coded_concepts,
    context_groups,
    dates,
    equipment,
    grammar,
    icc_profiles,
    labels,
    option_overrides,
    private_attributes,
    pseudonyms,
    renumbering,
    sequence_names,
)
from curate.deid.free_text import descriptions
from curate.deid.pixeldata import lookup_tables
from curate.deid.records import StudyContext
from curate.deid.sop_classes import rounded_weight
from curate.deid.vendor import forms, ge_blocks, numbers, siemens_csa, siemens_protocol
from curate.dicom import tags
from curate.dicom.model import Item

PURE: dict[str, Callable[[str, str, bytes], bytes | None]] = {
    "num": grammar.number,
    "exact": grammar.exact,
    "big": grammar.big,
    "measured": grammar.measured,
    "padding": grammar.padding,
    "floats": grammar.floats,
    "indices": grammar.indices,
    "lut": lookup_tables.plain,
    "cs": grammar.terms,
    "uid-standard": grammar.standard_uid,
    "at": grammar.attribute_tags,
    "const": grammar.constant,
    "cid": context_groups.context_identifier,
    "nucleus": grammar.nucleus,
    "rescale": grammar.rescale,
    "words": grammar.words,
    "content": context_groups.content_label,
    "geb": private_attributes.ge_bvalue,
    "code": coded_concepts.code_text,
    "scheme": coded_concepts.scheme_name,
    "version": coded_concepts.scheme_version,
    "meaning": coded_concepts.code_text,
    "vendor": equipment.vendor,
    "model": equipment.model,
    "software": equipment.software,
    "kernel": equipment.kernel,
    "sequence": sequence_names.sequence,
    "sequence-inner": sequence_names.bare_sequence,
    "coil": sequence_names.coil,
    "bodypart": anatomy_names.body_part,
    "withheld": option_overrides.nothing,
    "icc": icc_profiles.clean,
    "form": forms.text,
    "coils": forms.coil,
    "ice": forms.ice_dimensions,
    "rounded": numbers.rounded,
    "times": numbers.times,
    "csa": siemens_csa.rebuild,
    "protocol": siemens_protocol.element,
    "ge-protocol": ge_blocks.protocol,
    "ge-raw": ge_blocks.raw_header,
}
NAMED = frozenset((
    "terms", "terms-plain", "terms-inner", "terms-plain-inner", "label", "coil", "vendor", "model", "software",
    "withheld",
))  # fmt: skip
_TEXT_VRS = frozenset(("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"))
_DUMMY_SIZES = {"FD": 8, "SV": 8, "UV": 8, "US": 2, "SS": 2, "FL": 4, "SL": 4, "UL": 4}
_WELL_KNOWN = ("Well-known frame of reference", "Well-known SOP Instance")
_REMOVED = b"REMOVED "
_NUMBERS = re.compile(r"\d+")
_LAST_NUMBER = re.compile(rb"(\d+) ?$")


class Value(NamedTuple):
    """A raw value and what its cleaning may rest on."""

    context: StudyContext
    tag: int
    vr: str
    raw: bytes
    encodings: tuple[str, ...]
    item: Item
    argument: str = ""

    @property
    def blank(self) -> bool:
        """Whether nothing but padding is there."""
        return not self.raw.strip(b" \0")

    @property
    def ascii(self) -> str:
        """The text without padding; what ASCII lacks becomes what no grammar has."""
        return self.raw.decode("ascii", "replace").strip(" \0")


def uid(value: Value) -> bytes | None:
    """Keyed UIDs, consistent over the archive; well-known ones stay."""
    values = value.raw.decode("utf-8", "replace").strip(" \0").split("\\")
    new = [_new_uid(value.context, part.strip(" \0")) for part in values]
    return grammar.even("\\".join(new).encode(), b"\0")


def _new_uid(context: StudyContext, original: str) -> str:
    if not original or grammar.standard_uids().get(original) in _WELL_KNOWN:
        return original
    if context.keys is None:
        return original if pseudonyms.is_new_uid(original) else ""
    return pseudonyms.new_uid(context.keys, original)


def donor(value: Value) -> bytes | None:
    """The donor's pseudonym."""
    known = pseudonyms.is_donor_id(value.context.donor_id)
    return grammar.even(value.context.donor_id.encode(), b" ") if known else b""


def date(value: Value) -> bytes | None:
    """A day moved by the study's shift, together with its time."""
    shift = value.context.shift_us
    if shift is None:
        return None
    time_raw = value.item.raw(dates.TIME_OF.get(value.tag, 0))
    moved = dates.clean_date(value.raw, time_raw, shift, value.context.study_date)
    return b"" if moved is None and value.blank else moved


def time(value: Value) -> bytes | None:
    """A time of day moved by the study's shift; one whose day is not the study's says nothing."""
    shift = value.context.shift_us
    if shift is None:
        return None
    moved = dates.clean_time(value.raw, shift)
    if moved is None:
        return b"" if value.blank else None
    day = value.item.raw(dates.DATE_OF.get(value.tag, 0))
    if day.strip(b" \0") and dates.clean_date(day, value.raw, shift, value.context.study_date) is None:
        return None
    return moved


def datetime(value: Value) -> bytes | None:
    """A date-time moved by the study's shift, from the clock that the instance is on."""
    shift = value.context.shift_us
    if value.blank or shift is None:
        return None if shift is None else b""
    return dates.clean_datetime(value.raw, shift, value.context.study_date, value.context.utc_offset)


def _comment(value: Value) -> bytes | None:
    """A comment on an image that states diffusion or multiband in its vendor's form; none of the person's numbers."""
    if value.tag != tags.ImageComments or not forms.is_of("comment", value.ascii):
        return None
    own = renumbering.own_numbers_of(value.context.names)
    repeats = any(int(run) in own for run in _NUMBERS.findall(value.ascii))
    return None if repeats else grammar.even(value.ascii.encode(), b" ")


def description(value: Value) -> bytes | None:
    """A description rebuilt from the vocabulary."""
    if comment := _comment(value):
        return comment
    rebuilt = descriptions.rebuild(value.vr, value.raw, value.encodings, value.context.names)
    return rebuilt or (b"" if value.blank else None)


def plain_description(value: Value) -> bytes | None:
    """A description rebuilt from the vocabulary without the words for regions."""
    if comment := _comment(value):
        return comment
    names = value.context.names | descriptions.anatomy()
    rebuilt = descriptions.rebuild(value.vr, value.raw, value.encodings, names)
    return rebuilt or (b"" if value.blank else None)


def roi(value: Value) -> bytes | None:
    """The name of a region of interest; a target's number is not the person's own."""
    name = anatomy_names.roi_name(value.raw, value.encodings)
    own = renumbering.own_numbers_of(value.context.names)
    if own and (number := _LAST_NUMBER.search(name)) and int(number[1]) in own:
        name = grammar.even(name[: number.start()].rstrip(b"_"), b" ")
    return name


def segment(value: Value) -> bytes | None:
    """The label of a segment."""
    return anatomy_names.segment_label(value.raw, value.encodings)


def inner_description(value: Value) -> bytes | None:
    """A description within a sequence: no number stays, for nothing beside it states the same."""
    return _of_words(value, value.context.names)


def plain_inner_description(value: Value) -> bytes | None:
    """The same without the words for regions."""
    return _of_words(value, value.context.names | descriptions.anatomy())


def _of_words(value: Value, names: frozenset[str]) -> bytes | None:
    rebuilt = descriptions.rebuild(value.vr, value.raw, value.encodings, names, frozenset())
    return rebuilt or (b"" if value.blank else None)


def label(value: Value) -> bytes | None:
    """A label that other instances refer to: a single digit, else keyed, so that it still refers."""
    new = labels.keyed(value.context.keys, value.ascii)
    return grammar.even(new.encode(), b" ") if new or value.blank else None


def ordinal(value: Value) -> bytes | None:
    """A label within its object, which is numbered once all are known."""
    new = labels.passing(value.context.keys, value.ascii)
    return grammar.even(new.encode(), b" ") if new or value.blank else None


def order(value: Value) -> bytes | None:
    """A number that only orders or refers: itself, or a keyed one where it is large or the person's own."""
    low, high = grammar.bounds(value.argument)
    number = renumbering.whole(value.ascii)
    if number is None:
        return b"" if value.blank else None
    own, keys = renumbering.own_numbers_of(value.context.names), value.context.keys
    alone = number < 100 and value.tag in renumbering.ORDERED  # only the study tells whether that is a count
    if not low <= number <= high or (number in own and not alone):
        if keys is None:
            return None
        number = renumbering.keyed(keys, number, own)
    return grammar.even(str(number).encode(), b" ")


def weight(value: Value) -> bytes | None:
    """The weight to 1 kg; `finish_dataset` takes it out of all but quantitative objects."""
    rounded = rounded_weight(value.raw)
    return None if rounded is None else grammar.even(str(rounded).encode(), b" ")


def creator(value: Value) -> bytes | None:
    """The creator of a private block that holds a safe attribute."""
    known = (value.tag >> 16, value.ascii) in private_attributes.creators()
    return grammar.even(value.ascii.encode(), b" ") if known else None


def longitudinal(value: Value) -> bytes | None:
    """What was done to dates (PS3.15 E.3.6)."""
    return _REMOVED if value.context.shift_us is None else b"MODIFIED"


def nothing(_value: Value) -> bytes | None:
    """Not a value that is cleaned here."""
    return None


CONTEXTUAL: dict[str, Callable[[Value], bytes | None]] = {
    "uid": uid,
    "donor": donor,
    "date": date,
    "time": time,
    "datetime": datetime,
    "terms": description,
    "terms-plain": plain_description,
    "roi": roi,
    "segment": segment,
    "terms-inner": inner_description,
    "terms-plain-inner": plain_inner_description,
    "label": label,
    "ordinal": ordinal,
    "order": order,
    "weight": weight,
    "creator": creator,
    "longitudinal": longitudinal,
    "charset": nothing,
    "pixels": nothing,
    "items": nothing,
}


def instead(value: Value, name: str, kind: str) -> bytes | None:
    """What stands for a value that did not pass: what the attribute's type asks for."""
    if kind in ("1", "1C") and name in NAMED:
        return _REMOVED
    if kind == "1" and value.vr in ("DA", "TM", "DT") and value.context.shift_us is not None:
        return dates.dummy(value.vr, value.context.study_date)
    return None if kind == "3" else b""


def dummy(value: Value) -> bytes | None:
    """A value without meaning that is right for its VR (PS3.15 action D)."""
    vr = value.vr
    if vr in ("DA", "TM", "DT"):
        return dates.dummy(vr, value.context.study_date)
    if vr in _TEXT_VRS:
        return _REMOVED
    if vr in _DUMMY_SIZES:
        return bytes(_DUMMY_SIZES[vr])
    return {"AS": b"000Y", "DS": b"0 ", "IS": b"0 "}.get(vr, b"\0\0")
