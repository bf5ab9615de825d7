"""What is masked is gone, and every other pixel is what it was."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
from pydicom.pixels.encoders.base import get_encoder

pytest.importorskip("onnxruntime", reason="the extra `pixels` is not installed")

from curate.pixels.image import Image, UndecodableError, stored
from curate.pixels.mask import JPEG_2000_LOSSLESS, Masked, mask
from curate.pixels.text.text_detection import Found, look
from tests.corpus import corpus
from tests.pixels import burned
from tests.pixels.bases import bases

BOX = (11, 6, 30, 17)
LITTLE, RLE, JPEG = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.50"


def image_of(bits: int, *, samples: int = 1, signed: bool = False, photometric: str = "", planar: int = 0) -> Image:
    """Three frames of 40 rows and 48 columns of noise."""
    rng = np.random.default_rng(bits + samples)
    if photometric == "YBR_FULL_422":
        values = rng.integers(0, 256, (3, 40, 48, 2), np.uint8)
    else:
        values = rng.integers(0, 1 << bits, (3, 40, 48, samples)).astype(
            f"<{'i' if signed else 'u'}{max(bits // 8, 1)}"
        )
    data = np.packbits(values.ravel(), bitorder="little").tobytes() if bits == 1 else values.tobytes()
    name = photometric or ("RGB" if samples == 3 else "MONOCHROME2")
    return Image(40, 48, samples, 3, bits, bits, bits - 1, signed, name, planar, LITTLE, native=data)


def after(image: Image, masked: Masked) -> Image:
    return replace(
        image, transfer_syntax=masked.transfer_syntax, photometric=masked.photometric, planar=masked.planar,
        native=masked.native, encoded=masked.encoded,
    )  # fmt: skip


def assert_only_box(image: Image, other: Image, *, even: bool = False) -> None:
    """Frame 1 differs inside the box alone, where it is one value; the others do not differ at all."""
    left, top, right, bottom = (BOX[0] // 2 * 2, BOX[1], -(-BOX[2] // 2) * 2, BOX[3]) if even else BOX
    for index in range(3):
        before, now = np.array(stored(image, index)), np.array(stored(other, index))
        if index == 1:
            assert len(np.unique(now[top:bottom, left:right].reshape(-1, *now.shape[2:]), axis=0)) == 1
            before[top:bottom, left:right] = now[top:bottom, left:right] = 0
        np.testing.assert_array_equal(before, now)


@pytest.mark.parametrize(
    "image",
    [
        image_of(1),
        image_of(8),
        image_of(16),
        image_of(16, signed=True, photometric="MONOCHROME1"),
        image_of(32),
        image_of(8, samples=3),
        image_of(8, samples=3, planar=1),
        image_of(8, samples=3, photometric="YBR_FULL"),
        image_of(8, samples=3, photometric="YBR_FULL_422"),
    ],
    ids=lambda i: f"{i.allocated} bits {i.photometric} {i.planar}",
)
def test_uncompressed_pixels_outside_keep_their_values(image: Image) -> None:
    """In every uncompressed form the box is blank, and all else is byte for byte what it was."""
    assert_only_box(image, after(image, mask(image, [Found(1, "text", BOX)])), even=image.subsampled)


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("syntax", [RLE, JPEG_2000_LOSSLESS])
def test_lossless_frames_that_are_not_touched_keep_their_bytes(syntax: str, samples: int) -> None:
    """One frame of three is coded again in its own syntax; the bytes of the others stay."""
    plain = image_of(8, samples=samples)
    frames = [np.array(stored(plain, index)) for index in range(3)]
    encoded = [get_encoder(syntax).encode(frame, **plain.options()) for frame in frames]
    image = replace(plain, transfer_syntax=syntax, native=b"", encoded=encoded)
    masked = mask(image, [Found(1, "text", BOX)])
    assert masked.transfer_syntax == syntax
    assert [bytes(masked.encoded[i]) == encoded[i] for i in range(3)] == [True, False, True]
    assert_only_box(image, after(image, masked))


def test_a_lossy_clip_is_coded_without_loss_from_what_a_reader_decodes() -> None:
    """JPEG frames of ultrasound, masked in one, decode everywhere else to exactly the values they had."""
    from curate.deid.pixeldata.pixel_module import pixels_of
    from curate.dicom.io.reader import parse

    path = next(corpus().rglob("examples_ybr_color.dcm"))
    fields = pixels_of(parse(path.read_bytes()))
    assert fields is not None
    whole = Image(**fields)
    image = replace(whole, frames=3, encoded=whole.encoded[:3])
    assert image.transfer_syntax == JPEG
    masked = mask(image, [Found(1, "text", BOX)])
    assert (masked.transfer_syntax, masked.photometric) == (JPEG_2000_LOSSLESS, "YBR_RCT")
    assert_only_box(image, after(image, masked))


def test_jpeg_of_twelve_bits_is_looked_at_and_masked(capfd: pytest.CaptureFixture[str]) -> None:
    """JPEG Extended of 12 bits is decoded for the look, and masked without changing a value outside the box."""
    from curate.deid.pixeldata.pixel_module import pixels_of
    from curate.dicom.io.reader import parse

    path = next(corpus().rglob("JPGExtended.dcm"))
    fields = pixels_of(parse(path.read_bytes()))
    assert fields is not None
    image = Image(**{**fields, "frames": 3, "encoded": [*fields["encoded"]] * 3})
    assert look(image, thorough=False).unread == 0
    masked = mask(image, [Found(1, "text", BOX)])
    assert (masked.transfer_syntax, stored(image, 0).max()) == (JPEG_2000_LOSSLESS, 264)
    assert_only_box(image, after(image, masked))
    assert capfd.readouterr().err == ""


def test_what_nothing_decodes_is_not_masked() -> None:
    """A damaged frame is refused by its own error, not passed on."""
    image = replace(image_of(8), transfer_syntax=JPEG, native=b"", encoded=(b"\xff\xd8\xff\xd9",) * 3)
    with pytest.raises(UndecodableError):
        mask(image, [Found(1, "text", BOX)])


def test_another_engine_reads_nothing_after_masking() -> None:
    """Tesseract reads generated lines in some frames before they are masked, and none of those found after."""
    if shutil.which("tesseract") is None:
        pytest.skip("tesseract-ocr is not installed")
    from benchmarks.pixels import covered, still_read

    rng = np.random.default_rng(12)
    chosen = [base for base in bases() if base.kind == "CT" and base.frame.shape[0] == 512]
    before = now = 0
    for base in chosen[:4]:
        frame, lines = burned.burn(base.frame, rng, base.bounds, sizes=(20, 24), contrasts=("high",))
        seen = look(base.image(frame), thorough=False)
        found = [line for line in lines if covered(line, [one.box for one in seen.found]) >= 0.5]
        before += still_read(frame, found)
        now += still_read(stored(base.image(b"", mask(base.image(frame), seen.found)), 0), found)
    assert before > 0
    assert now == 0
