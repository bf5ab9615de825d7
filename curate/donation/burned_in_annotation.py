"""Burned-in text under the archive's policy: looked for in every frame, masked, refused, or held for a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from curate.core.findings import Finding
from curate.deid.dataset_rules import state_pixels_clean
from curate.deid.pixeldata.pixel_module import pixels_of, with_pixels
from curate.deid.records import Rewritten
from curate.deid.rewrite import rewrite_parsed
from curate.deid.verify import released_context
from curate.dicom import tags
from curate.dicom.io.layout_cache import Parsed
from curate.dicom.io.reader import parse
from curate.dicom.model import MalformedError
from curate.pixels import optional_deps
from curate.policies import Policy

if TYPE_CHECKING:
    from curate.pixels.text.text_detection import Found, Look

LOOKS = frozenset(("mask", "hold", "refuse"))
"""Values of `burned_in` under which every frame is looked at."""

_MOST_SHARE = 0.25  # of a frame: more text than that is a page, which a person should see
_LIKELY = "PIXELS_TEXT_LIKELY"
DIED = "PIXELS_DECODER_DIED"
WAITS = frozenset(("PIXELS_NOT_LOOKED_AT", "PIXELS_UNREADABLE", "PIXELS_MOSTLY_TEXT", DIED))
"""Findings of the look for which a person decides, whatever the policy."""


@dataclass(slots=True)
class Tally:
    """What was looked at in a study, and what was done: counts alone, for its evidence."""

    frames: int = 0
    read: int = 0
    unreadable: int = 0
    masked_instances: int = 0
    boxes: Counter[str] = field(default_factory=Counter)
    masked: Counter[str] = field(default_factory=Counter)

    def evidence(self) -> dict[str, Any]:
        """The counts, and what did the looking."""
        counts = {name: getattr(self, name) for name in ("frames", "read", "unreadable", "masked_instances")}
        found = {"boxes": dict(sorted(self.boxes.items())), "masked": dict(sorted(self.masked.items()))}
        return {**counts, **found, "by": dict(_versions()) if self.frames else {}}


@cache
def _versions() -> Mapping[str, str]:
    from curate.pixels.text.text_detection import versions

    return versions()


def clean(rewritten: Rewritten, policy: Policy, tally: Tally, decision: str = "") -> Rewritten:
    """A rewritten instance whose pixels bear no text that was found, or whose findings say why a person must look.

    `decision` is a person's about this study: `admit` as it is, or `mask` all that is found.

    Raises:
        MalformedError: the policy refuses text, or the pixels cannot be parsed.
    """
    if policy.burned_in not in LOOKS or decision == "admit":
        return rewritten
    likely = any(f.rule == _LIKELY for f in rewritten.findings)
    if not optional_deps.installed():
        missing = (Finding("PIXELS_NOT_LOOKED_AT", tag="PixelData"),) if likely else ()
        return _with(rewritten, [*rewritten.findings, *missing])
    parsed = parse(b"".join(rewritten.chunks))
    seen = _look(parsed, thorough=likely)
    if seen is None:
        return rewritten
    tally.frames, tally.read = tally.frames + seen.frames, tally.read + seen.read
    tally.unreadable += seen.unread
    tally.boxes.update(seen.counts())
    kept = [f for f in rewritten.findings if f.rule != _LIKELY or (policy.burned_in == "hold" and not decision)]
    if seen.unread:
        return _with(rewritten, [*kept, Finding(_unread(seen), tag="PixelData")])
    wanted = [one for one in seen.found if one.kind != "mark" or policy.marks == "mask" or decision == "mask"]
    if not wanted:
        return _with(rewritten, kept)
    if policy.burned_in == "refuse" and not decision:
        raise MalformedError("PIXELS_TEXT_REFUSED", "PixelData")
    if policy.burned_in == "hold" and not decision:
        return _with(rewritten, [*kept, Finding(_LIKELY, tag="PixelData")])
    if decision != "mask" and _mostly(parsed, wanted):
        return _with(rewritten, [*kept, Finding("PIXELS_MOSTLY_TEXT", tag="PixelData")])
    tally.masked_instances += 1
    tally.masked.update(one.kind for one in wanted)
    masked = _masked(parsed, wanted, policy)
    return _with(masked, [*kept, Finding("PIXELS_TEXT_MASKED", tag="PixelData", count=len(wanted))])


def _unread(seen: Look) -> str:
    """The rule that says why frames were not looked at."""
    return DIED if seen.died else "PIXELS_UNREADABLE"


def waits(rule: str, policy: Policy) -> bool:
    """Whether a person has to decide about an instance of which the look says this."""
    return rule in WAITS or (rule == _LIKELY and policy.burned_in == "hold")


def _with(rewritten: Rewritten, findings: list[Finding]) -> Rewritten:
    return replace(rewritten, findings=tuple(findings))


def _look(parsed: Parsed, *, thorough: bool) -> Look | None:
    from curate.pixels.image import Image
    from curate.pixels.text.layouts import by_layout
    from curate.pixels.text.text_detection import look

    fields = pixels_of(parsed)
    if fields is None:
        return None
    image = Image(**fields)
    seen = look(image, thorough=thorough)
    if seen.died or not thorough:
        return seen
    return by_layout(seen, image, _device(parsed), _regions(parsed))


def _device(parsed: Parsed) -> dict[str, str]:
    item = parsed.dataset
    return {
        "sop_class": item.text(tags.SOPClassUID),
        "manufacturer": item.text(tags.Manufacturer),
        "model": item.text(tags.ManufacturerModelName),
    }


def _regions(parsed: Parsed) -> list[tuple[int, int, int, int]]:
    """The ultrasound regions (PS3.3 C.8.5.5): left, top, right, bottom, the last two exclusive."""
    found = []
    for region in parsed.dataset.items_of(tags.SequenceOfUltrasoundRegions):
        x0, y0, x1, y1 = (
            int.from_bytes(region.raw(tag)[:4], "little")
            for tag in (
                tags.RegionLocationMinX0,
                tags.RegionLocationMinY0,
                tags.RegionLocationMaxX1,
                tags.RegionLocationMaxY1,
            )
        )
        if x0 < x1 and y0 < y1:
            found.append((x0, y0, x1 + 1, y1 + 1))
    return found


def _mostly(parsed: Parsed, found: list[Found]) -> bool:
    """Whether some frame is a page of text rather than a picture with text beside it."""
    rows, columns = (int.from_bytes(parsed.dataset.raw(tag)[:2], "little") for tag in (tags.Rows, tags.Columns))
    area: Counter[int] = Counter()
    for one in found:
        if one.kind in ("text", "mark"):
            left, top, right, bottom = one.box
            area[one.frame] += (right - left) * (bottom - top)
    return max(area.values(), default=0) > _MOST_SHARE * rows * columns


def _masked(parsed: Parsed, found: list[Found], policy: Policy) -> Rewritten:
    from curate.pixels.image import DecoderDiedError, Image, UndecodableError
    from curate.pixels.mask import mask

    fields = pixels_of(parsed)
    assert fields is not None
    try:
        done = mask(Image(**fields), found)
    except DecoderDiedError:
        raise MalformedError(DIED, "PixelData") from None
    except UndecodableError:
        raise MalformedError("PIXELS_UNREADABLE", "PixelData") from None
    other = with_pixels(
        parsed,
        done.transfer_syntax,
        done.photometric,
        done.planar,
        bytes(done.native),
        tuple(map(bytes, done.encoded)),
    )
    state_pixels_clean(other.dataset)
    return rewrite_parsed(other, released_context(other.dataset, policy), policy)


def findings_of(data: bytes, *, marks: bool = False) -> tuple[Finding, ...]:
    """What a look at anybody's file finds, by rule and count; nothing is changed.

    Raises:
        MalformedError: the bytes or the pixels cannot be parsed.
    """
    seen = _look(parse(data), thorough=True)
    if seen is None:
        return ()
    found = [Finding(_unread(seen), tag="PixelData")] if seen.unread else []
    count = sum(one.kind in ("text", "barcode") or (marks and one.kind == "mark") for one in seen.found)
    if count:
        found.append(Finding("PIXELS_TEXT_FOUND", tag="PixelData", count=count))
    return tuple(found)


def pictures(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Frames (from 1) with something found in them, as PNG with the boxes drawn; for the owner alone."""
    from curate.pixels.image import Image, UndecodableError
    from curate.pixels.render.boxed import show

    try:
        parsed = parse(data)
        seen = _look(parsed, thorough=True)
        fields = pixels_of(parsed)
    except MalformedError:  # its finding says that nothing can be drawn
        return
    if seen is None or fields is None:
        return
    image = Image(**fields)
    for index in sorted({one.frame for one in seen.found}):
        try:
            drawn = show(image, index, [one for one in seen.found if one.frame == index])
        except UndecodableError:  # it could be decoded a moment ago; the entry's findings say what is known
            continue
        yield index + 1, drawn
