"""Vendors, models, software, kernels, structures, colour profiles: closed vocabularies."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from PIL import ImageCms

from curate.deid import anatomy_names, coded_concepts, context_groups, equipment, icc_profiles, sequence_names


@pytest.mark.parametrize(
    ("grammar", "raw", "cleaned"),
    [
        (equipment.vendor, b"SIEMENS ", b"SIEMENS "),
        (equipment.vendor, b"Siemens Healthineers", b"SIEMENS "),
        (equipment.vendor, b"Philips Medical Systems, Inc. ", b"Philips "),
        (equipment.vendor, b"Garcia Imaging", None),
        (equipment.model, b"DISCOVERY MR750 Maria ", b"DISCOVERY MR750 "),
        (equipment.model, b"Maria ", None),
        (equipment.software, b"syngo MR E11", b"SYNGO MR E11"),
        (equipment.software, b"93.412.33.22", None),
        (equipment.software, b"Vers. 2017-05-24 ", b"VERS"),
        (equipment.kernel, b"B30f", b"B30f"),
        (equipment.kernel, b"Br40d\\3 ", b"Br40d\\3 "),
        (equipment.kernel, b"88 73 58 71 ", None),
        (equipment.kernel, b"GARCIA", None),
        (sequence_names.sequence, b"*fl2d1", b"*fl2d1"),
        (sequence_names.sequence, b"epfid2d1_64 ", b"epfid2d1_64 "),
        (sequence_names.sequence, b"garcia", None),
        (anatomy_names.body_part, b"CHEST ", b"CHEST "),
        (anatomy_names.body_part, b"PROSTATE", b"PELVIS"),
        (anatomy_names.body_part, b"MARIA ", None),
    ],
)
def test_only_known_words_stay(grammar: object, raw: bytes, cleaned: bytes | None) -> None:
    """What is known stays in canonical form; a name in a model or a phone number in a version does not."""
    result = grammar("", "LO", raw)  # type: ignore[operator]
    assert (result.strip() if result else result) == (cleaned.strip() if cleaned else cleaned)
    if result:
        assert grammar("", "LO", result) == result  # type: ignore[operator]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Lung_L", "Lung_L"), ("pulmon izq", "Lung_L"), ("Left Kidney", "Kidney_L"), ("MEDULA", "SpinalCord"),
        ("PTV 60", "PTV60"), ("ctv", "CTV"), ("Maria Garcia", ""), ("GTV Maria", ""), ("Hígado", "Liver"),
    ],
)  # fmt: skip
def test_structures_have_their_tg_263_names(text: str, name: str) -> None:
    """Synonyms in three languages become one name; unknown ones none."""
    assert anatomy_names.structure(text) == name
    assert anatomy_names.roi_name(text.encode(), ("utf-8",)).strip() == (name or "ROI").encode()


def test_a_colour_profile_keeps_numbers_only() -> None:
    """A profile's texts and date go; its colours convert as before, and cleaning again changes nothing."""
    original = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    planted = original.replace(b"\0s\0R\0G\0B", b"\0M\0A\0R\0I")
    cleaned = icc_profiles.clean("", "OB", planted)
    assert cleaned is not None
    assert b"M\0A\0R\0I" not in cleaned
    assert cleaned[24:36] != original[24:36]
    assert icc_profiles.clean("", "OB", cleaned) == cleaned
    before, after = (_convert(profile) for profile in (original, cleaned))
    assert before == after


def _convert(profile: bytes) -> bytes:
    import io

    from PIL import Image

    image = Image.new("RGB", (2, 1))
    image.putdata([(200, 30, 90), (10, 220, 130)])
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    lab = ImageCms.profileToProfile(image, source, ImageCms.createProfile("LAB"), outputMode="LAB")
    return lab.tobytes()  # type: ignore[union-attr]


@pytest.mark.parametrize("raw", [b"", b"Maria Garcia", bytes(200), b"x" * 128 + b"acsp"])
def test_what_is_no_colour_profile_goes(raw: bytes) -> None:
    """Bytes that are no profile do not stay."""
    assert icc_profiles.clean("", "OB", raw) is None


@pytest.mark.parametrize(
    ("grammar", "raw", "cleaned"),
    [
        (equipment.kernel, b"AQ19F ", None), (equipment.kernel, b"BR58", None), (equipment.kernel, b"58", None),
        (equipment.kernel, b"FC08", b"FC08"), (equipment.kernel, b"B30f\\58", b"B30f"),
        (equipment.kernel, b"BONEPLUS", b"BONEPLUS"), (equipment.software, b"AQ58", None),
        (equipment.software, b"19.58.02", None), (equipment.software, b"3.2.58", None),
        (equipment.software, b"VB17A ", b"VB17A "), (equipment.software, b"5.1.7\\5.1.7.2 ", b"5.1.7 "),
        (sequence_names.sequence, b"AQ58", None), (sequence_names.sequence, b"*ep_b1000#4 ", b"*ep_b1000#4 "),
        (sequence_names.sequence, b"FEEPI ", b"FEEPI "),
        (sequence_names.bare_sequence, b"*ep_b1000#4 ", b"*ep "),
        (sequence_names.bare_sequence, b"tfl3d1231 ", b"tfl3d1"),
        (sequence_names.coil, b"32Ch Head ", b"32CH HEAD "), (sequence_names.coil, b"AQ58", None),
        (sequence_names.coil, b"Head 58 ", b"HEAD"),
        (sequence_names.coil, b"HEA;HEP ", b"HEA;HEP "), (sequence_names.coil, b"48HA", b"48HA"),
        (sequence_names.coil, b"Maria Head", b"HEAD"),
        (context_groups.context_identifier, b"1500", b"1500"), (context_groups.context_identifier, b"1958", None),
        (context_groups.content_label, b"AQ58", b"L1"), (context_groups.content_label, b"HOT_IRON", b"HOT_IRON"),
        (coded_concepts.scheme_version, b"1.4 ", b"1.4 "), (coded_concepts.scheme_version, b"19.58 ", None),
        (coded_concepts.scheme_version, b"58", None),
    ],
)  # fmt: skip
def test_initials_with_a_year_are_no_name_of_equipment(
    grammar: Callable[[str, str, bytes], bytes | None], raw: bytes, cleaned: bytes | None
) -> None:
    """What a vendor has stays, numbers within what exists; what merely has its form does not."""
    result = grammar("", "SH", raw)
    assert (result or b"").strip() == (cleaned or b"").strip()
    if result:
        assert grammar("", "SH", result) == result


@pytest.mark.parametrize(
    ("text", "name"),
    [("PTV_5000", "PTV_5000"), ("PTV 1958", "PTV"), ("GTV_0203", "GTV"), ("CTV1_66", "CTV1_66")],
)
def test_a_target_s_number_is_a_dose(text: str, name: str) -> None:
    """In Gy or cGy as plans state it, never a year or a day."""
    assert anatomy_names.structure(text) == name
