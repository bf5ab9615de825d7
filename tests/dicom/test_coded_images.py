"""A coded image is just the one that the data set states, and is read by nobody in another way than before."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Callable

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels.encoders.base import get_encoder
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEGBaseline8Bit, RLELossless

from curate.core.findings import has_errors
from curate.deid.pixeldata.codestreams import Stated
from curate.deid.pixeldata.jpeg import clean_jpeg
from curate.deid.pixeldata.jpeg2000 import clean_jpeg_2000
from curate.deid.pixeldata.rle import clean_rle, coded, decoded
from curate.deid.verify import verify
from curate.dicom.io.reader import parse
from curate.dicom.model import Bytes, MalformedError
from curate.donation import coded_pixels as donation
from tests import synth
from tests.planter.system import POLICY, context_of

ROWS, COLUMNS = 32, 48
JPEG_LS, JPEG_2000 = "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90"
LETTERS = b"QZJHTNBKRD"


def joined(pieces: list[Bytes]) -> bytes:
    return b"".join(map(bytes, pieces))


def grey(stored: int = 8, allocated: int = 8) -> Stated:
    return Stated(ROWS, COLUMNS, 1, allocated, stored, stored - 1, signed=False)


def values(top: int = 255) -> np.ndarray:
    noise = np.random.default_rng(5).integers(0, top + 1, (ROWS, COLUMNS))
    return noise.astype("<u2" if top > 255 else "u1")


def colours() -> np.ndarray:
    """Red, green and blue fields: any wrong transform shows."""
    made = np.zeros((ROWS, COLUMNS, 3), np.uint8)
    made[:, :16], made[:, 16:32], made[:, 32:] = (200, 30, 30), (30, 180, 60), (20, 40, 220)
    return made


def jpeg(picture: np.ndarray, **options: object) -> bytes:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "JPEG", quality=92, **options)
    return out.getvalue()


def by_encoder(syntax: str, picture: np.ndarray, stored: int, photometric: str = "MONOCHROME2") -> bytes:
    samples = 3 if picture.ndim == 3 else 1
    options = {"planar_configuration": 0} if samples == 3 else {}
    return bytes(
        get_encoder(UID(syntax)).encode(
            picture, rows=picture.shape[0], columns=picture.shape[1], samples_per_pixel=samples,
            bits_allocated=8 * picture.dtype.itemsize, bits_stored=stored, pixel_representation=0,
            photometric_interpretation=photometric, number_of_frames=1, **options,
        )
    )  # fmt: skip


def instance(frames: list[bytes] | bytes, syntax: str, **attributes: object) -> bytes:
    """A CT slice of 12 bits with these coded frames, or uncompressed bytes."""
    ds = synth.load_instance(rows=ROWS, columns=COLUMNS)
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    for name, value in attributes.items():
        setattr(ds, name, value)
    ds.file_meta.TransferSyntaxUID = UID(syntax)
    ds.PixelData = frames if isinstance(frames, bytes) else encapsulate(frames)
    ds["PixelData"].VR = "OW" if isinstance(frames, bytes) else "OB"
    return synth.to_bytes(ds)


EIGHT = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}
COLOUR = {**EIGHT, "SamplesPerPixel": 3, "PlanarConfiguration": 0}


def refusal(work: Callable[[], object]) -> str:
    with pytest.raises(MalformedError) as caught:
        work()
    return caught.value.rule


def rewritten(data: bytes) -> bytes:
    return b"".join(donation.rewritten(parse(data), context_of(data), POLICY).chunks)


def shown(data: bytes) -> tuple[str, np.ndarray]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds = pydicom.dcmread(io.BytesIO(data))
        return str(ds.PhotometricInterpretation), ds.pixel_array


@pytest.mark.parametrize("change", [{"rows": ROWS - 8}, {"columns": COLUMNS - 8}, {"samples": 3}])
@pytest.mark.parametrize("coding", ["jpeg", "jpeg-ls", "jpeg-2000"])
def test_an_image_of_another_size_is_refused(coding: str, change: dict[str, int]) -> None:
    """More rows, columns or samples than are stated would be published unseen."""
    fields = {"rows": ROWS, "columns": COLUMNS, "samples": 1} | change
    stated = Stated(fields["rows"], fields["columns"], fields["samples"], 8, 8, 7, signed=False)
    if coding == "jpeg":
        frame = jpeg(values())
        assert joined(clean_jpeg(frame, grey()))
        assert refusal(lambda: clean_jpeg(frame, stated)) == "PIXELS_NOT_AS_STATED"
    elif coding == "jpeg-ls":
        frame = by_encoder(JPEG_LS, values(), 8)
        assert joined(clean_jpeg(frame, grey(), lossless_ls=True))
        assert refusal(lambda: clean_jpeg(frame, stated, lossless_ls=True)) == "PIXELS_NOT_AS_STATED"
    else:
        frame = by_encoder(JPEG_2000, values(), 8)
        assert joined(clean_jpeg_2000(frame, grey()))
        assert refusal(lambda: clean_jpeg_2000(frame, stated)) == "PIXELS_NOT_AS_STATED"


def test_three_components_under_one_sample_are_refused() -> None:
    """A colour image that is stated as grey holds two images that no reader of the attributes expects."""
    assert refusal(lambda: clean_jpeg(jpeg(colours()), grey())) == "PIXELS_NOT_AS_STATED"
    frame = by_encoder(JPEG_2000, colours(), 8, "RGB")
    assert refusal(lambda: clean_jpeg_2000(frame, grey())) == "PIXELS_NOT_AS_STATED"


@pytest.mark.parametrize(("syntax", "coding"), [(JPEG_LS, "jpeg-ls"), (JPEG_2000, "jpeg-2000")])
def test_bits_above_the_stored_ones_are_coded_anew(syntax: str, coding: str) -> None:
    """A picture in bit 15 of 12-bit pixels is gone; the pixels stay what they were, in their own coding."""
    plain = values(4095)
    hidden = plain.copy()
    hidden[4:12, 4:30] |= 0x8000
    frame = by_encoder(syntax, hidden, 16)
    assert refusal(lambda: clean_of(frame, coding)) == "PIXELS_MORE_BITS"
    out = rewritten(instance([frame], syntax))
    assert np.array_equal(shown(out)[1], plain)
    assert not has_errors(verify(out, POLICY))
    made = parse(out)
    kept = joined(list(made.dataset[0x7FE00010].value.fragments))
    assert clean_of(kept, "jpeg-ls" if made.transfer_syntax == JPEG_LS else "jpeg-2000")
    assert made.transfer_syntax == syntax


def clean_of(frame: bytes, coding: str) -> list[Bytes]:
    stated = grey(12, 16)
    if coding == "jpeg-2000":
        return clean_jpeg_2000(frame, stated)
    return clean_jpeg(frame, stated, lossless_ls=True)


def rle(planes: list[np.ndarray]) -> bytes:
    segments = [coded(plane.astype(np.uint8).ravel(), COLUMNS) for plane in planes]
    segments = [segment + b"\0" * (len(segment) % 2) for segment in segments]
    offsets = [64 + sum(map(len, segments[:number])) for number in range(len(segments))]
    return struct.pack("<16L", len(segments), *offsets, *[0] * (15 - len(segments))) + b"".join(segments)


@pytest.mark.parametrize("signed", [False, True])
def test_bits_above_the_stored_ones_go_from_rle(signed: bool) -> None:
    """High bits of RLE are cleared; frames without any keep their bytes; signs are no high bits."""
    stated = Stated(ROWS, COLUMNS, 1, 16, 12, 11, signed=signed)
    plain = values(4095).astype("<i4")
    if signed:
        plain = np.where(plain > 2047, plain - 4096, plain)
    words = (plain & 0xFFFF).astype("<u2")
    hidden = words ^ np.where(np.arange(words.size).reshape(words.shape) % 7 == 0, 0x4000, 0).astype("<u2")
    clean = rle([words >> 8, words & 255])
    assert joined(clean_rle(clean, stated)) == clean
    again = joined(clean_rle(rle([hidden >> 8, hidden & 255]), stated))
    first, second = struct.unpack("<2L", again[4:12])
    high, low = decoded(again[first:second], words.size), decoded(again[second:], words.size)
    assert np.array_equal(high.astype("<u2") << 8 | low, words.ravel())


def test_a_run_that_gives_more_than_the_frame_is_cut() -> None:
    """What the last code of an RLE segment gives beyond the last pixel is read by nobody."""
    plane = values()
    clean = rle([plane])
    segment = clean[64:].rstrip(b"\0") if clean[64:].endswith(b"\0") else clean[64:]
    last = COLUMNS - 1
    assert segment[-COLUMNS - 1] == last
    longer = segment[: -COLUMNS - 1] + bytes((last + len(LETTERS),)) + segment[-COLUMNS:] + LETTERS
    dirty = clean[:64] + longer
    assert joined(clean_rle(dirty, grey())) == clean
    assert LETTERS not in joined(clean_rle(dirty, grey()))


def test_a_second_scan_or_a_restart_that_nobody_asks_for_is_refused() -> None:
    """A component is coded once, and restarts are as many as the interval says."""
    frame = jpeg(values())
    start, end = frame.index(b"\xff\xda"), frame.rindex(b"\xff\xd9")
    again = frame[:end] + frame[start:end] + frame[end:]
    assert refusal(lambda: clean_jpeg(again, grey())) == "CODESTREAM_MALFORMED"
    restart = frame[:end] + b"\xff\xd0" + LETTERS + b"\1\2" + frame[end:]
    assert refusal(lambda: clean_jpeg(restart, grey())) == "CODESTREAM_MALFORMED"
    interval = b"\xff\xdd\x00\x04\x41\x51"
    assert joined(clean_jpeg(frame[:start] + interval + frame[start:], grey())) == joined(clean_jpeg(frame, grey()))


def test_restarts_and_progressive_scans_of_encoders_stay() -> None:
    """What encoders write is no more than is asked for."""
    for options in ({"restart_marker_blocks": 2}, {"restart_marker_rows": 1}, {"progressive": True}):
        for picture, stated in (
            (values(), grey()),
            (colours(), Stated(ROWS, COLUMNS, 3, 8, 8, 7, signed=False)),
        ):
            frame = jpeg(picture, **options)
            clean = joined(clean_jpeg(frame, stated))
            with Image.open(io.BytesIO(frame)) as one, Image.open(io.BytesIO(clean)) as other:
                assert one.tobytes() == other.tobytes() or picture.ndim == 3
            assert clean.count(b"\xff\xdd") == frame.count(b"\xff\xdd\x00\x04")


def test_a_tile_that_the_image_does_not_have_is_refused() -> None:
    """Tile-parts are those of the image's tiles, and no image lies at an offset where other data would have room."""
    frame = by_encoder(JPEG_2000, values(), 8)
    end = frame.rindex(b"\xff\xd9")
    tile = struct.pack(">HHHLBB", 0xFF90, 10, 7, 14 + len(LETTERS), 0, 1) + b"\xff\x93" + LETTERS
    assert refusal(lambda: clean_jpeg_2000(frame[:end] + tile + frame[end:], grey())) == "CODESTREAM_MALFORMED"
    moved = frame[:8] + struct.pack(">4L", COLUMNS + 9, ROWS, 9, 0) + frame[24:]
    assert refusal(lambda: clean_jpeg_2000(moved, grey())) == "CODESTREAM_MALFORMED"


@pytest.mark.parametrize("coding", ["jpeg", "jpeg-2000"])
def test_a_second_image_behind_the_first_is_refused(coding: str) -> None:
    """Several images in one frame would be cut to one without a word."""
    if coding == "jpeg":
        frame = jpeg(values())
        assert refusal(lambda: clean_jpeg(frame + b"\0" + frame, grey())) == "FRAGMENTS_MALFORMED"
    else:
        frame = by_encoder(JPEG_2000, values(), 8)
        assert refusal(lambda: clean_jpeg_2000(frame + frame, grey())) == "FRAGMENTS_MALFORMED"


def test_frames_that_nothing_states_are_refused() -> None:
    """Three frames without NumberOfFrames are not cut to one, uncompressed or coded."""
    native = instance(values(4095).tobytes() * 3, ExplicitVRLittleEndian)
    assert refusal(lambda: rewritten(native)) == "PIXEL_LENGTH"
    frames = [jpeg(values())] * 3
    assert refusal(lambda: rewritten(instance(frames, JPEGBaseline8Bit, **EIGHT))) == "FRAGMENTS_MALFORMED"
    runs = [rle([values()])] * 3
    assert refusal(lambda: rewritten(instance(runs, RLELossless, **EIGHT))) == "FRAGMENTS_MALFORMED"
    stated = instance(values(4095).tobytes() * 3, ExplicitVRLittleEndian, NumberOfFrames=3)
    assert shown(rewritten(stated))[1].shape == (3, ROWS, COLUMNS)


def test_three_whole_samples_are_not_called_subsampled() -> None:
    """Under YBR_FULL_422, uncompressed pixels of three samples are RGB or YBR_FULL: nobody can tell, none is cut."""
    pixels = np.random.default_rng(2).integers(0, 256, (ROWS, COLUMNS, 3), np.uint8)
    label = "YBR_FULL_422"
    whole = instance(pixels.tobytes(), ExplicitVRLittleEndian, PhotometricInterpretation=label, **COLOUR)
    assert refusal(lambda: rewritten(whole)) == "PIXELS_NOT_AS_STATED"
    half = instance(pixels[:, :, :2].tobytes(), ExplicitVRLittleEndian, PhotometricInterpretation=label, **COLOUR)
    assert rewritten(half).endswith(pixels[:, :, :2].tobytes())


def test_a_jfif_image_that_is_called_rgb_is_stated_as_what_it_is() -> None:
    """The segment that decides the colours goes, so the photometric interpretation says them (C.7.6.3.1.2)."""
    frame = jpeg(colours(), subsampling=2)
    assert b"JFIF" in frame
    data = instance([frame], JPEGBaseline8Bit, PhotometricInterpretation="RGB", **COLOUR)
    out = rewritten(data)
    photometric, after = shown(out)
    assert photometric == "YBR_FULL_422"
    assert b"JFIF" not in out
    assert np.array_equal(after, shown(data)[1])
    assert abs(int(after[4, 4, 0]) - 200) < 12 and int(after[4, 4, 1]) < 60
    assert not has_errors(verify(out, POLICY))


def named_rgb(frame: bytes) -> bytes:
    """A JPEG frame whose components are named R, G and B."""
    start, scan = frame.index(b"\xff\xc0"), frame.index(b"\xff\xda")
    changed = bytearray(frame)
    for place, name in enumerate(b"RGB"):
        changed[start + 10 + 3 * place] = changed[scan + 5 + 2 * place] = name
    return bytes(changed)


@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL_422"])
def test_a_jfif_image_of_components_named_rgb_is_refused(photometric: str) -> None:
    """JFIF says YCbCr, the names say RGB: some readers follow the one, some the other, and no label serves both."""
    data = instance([named_rgb(jpeg(colours()))], JPEGBaseline8Bit, PhotometricInterpretation=photometric, **COLOUR)
    assert refusal(lambda: rewritten(data)) == "PIXELS_NOT_AS_STATED"


def test_frames_that_disagree_on_their_colours_are_refused() -> None:
    """One frame of RGB and one of YCbCr: no photometric interpretation is true of both."""
    frames = [jpeg(colours()), jpeg(colours(), keep_rgb=True)]
    data = instance(frames, JPEGBaseline8Bit, PhotometricInterpretation="RGB", NumberOfFrames=2, **COLOUR)
    assert refusal(lambda: rewritten(data)) == "PIXELS_NOT_AS_STATED"


def colour_files() -> list[tuple[str, bytes]]:
    """Each photometric interpretation in each transfer syntax that decoders serve."""
    made: list[tuple[str, bytes]] = []
    picture = colours()

    def add(name: str, frames: list[bytes] | bytes, syntax: str, photometric: str, **more: object) -> None:
        attributes = {"PhotometricInterpretation": photometric, **more}
        made.append((f"{name}/{photometric}", instance(frames, syntax, **attributes)))

    for photometric in ("RGB", "YBR_FULL", "YBR_FULL_422"):
        for name, options in (
            ("jfif-420", {"subsampling": 2}), ("jfif-444", {"subsampling": 0}), ("adobe", {"keep_rgb": True}),
        ):  # fmt: skip
            add(f"jpeg {name}", [jpeg(picture, **options)], JPEGBaseline8Bit, photometric, **COLOUR)
            bare = joined(clean_jpeg(jpeg(picture, **options), Stated(ROWS, COLUMNS, 3, 8, 8, 7, signed=False)))
            add(f"jpeg bare {name}", [bare], JPEGBaseline8Bit, photometric, **COLOUR)
    for photometric in ("RGB", "YBR_RCT", "YBR_ICT", "YBR_FULL"):
        add("j2k", [by_encoder(JPEG_2000, picture, 8, "RGB")], JPEG_2000, photometric, **COLOUR)
        transformed = by_encoder(JPEG_2000, picture, 8, "YBR_RCT")
        add("j2k transformed", [transformed], JPEG_2000, photometric, **COLOUR)
    for photometric in ("RGB", "YBR_FULL"):
        add("jpeg-ls", [by_encoder(JPEG_LS, picture, 8, photometric)], JPEG_LS, photometric, **COLOUR)
        transformed = by_encoder(JPEG_LS, picture, 8, photometric)
        transformed = transformed[:2] + b"\xff\xe8\x00\x07mrfx\x01" + transformed[2:]  # CharLS: G added to R and B
        add("jpeg-ls transformed", [transformed], JPEG_LS, photometric, **COLOUR)
        planes = rle([picture[:, :, channel] for channel in range(3)])
        add("rle", [planes], RLELossless, photometric, **COLOUR)
        for planar in (0, 1):
            raw = picture.transpose(2, 0, 1) if planar else picture
            more = {**COLOUR, "PlanarConfiguration": planar}
            add(f"native {planar}", raw.tobytes(), ExplicitVRLittleEndian, photometric, **more)
    add("native half", picture[:, :, :2].tobytes(), ExplicitVRLittleEndian, "YBR_FULL_422", **COLOUR)
    ramp = np.arange(256, dtype="<u2") * 257
    tables = {f"{c}PaletteColorLookupTableData": ramp.tobytes() for c in ("Red", "Green", "Blue")}
    tables |= {f"{c}PaletteColorLookupTableDescriptor": [256, 0, 16] for c in ("Red", "Green", "Blue")}  # type: ignore[misc]
    for photometric, more in (("MONOCHROME1", {}), ("MONOCHROME2", {}), ("PALETTE COLOR", tables)):
        grey8 = {**EIGHT, **more}
        add("jpeg", [jpeg(values())], JPEGBaseline8Bit, photometric, **grey8)
        add("j2k", [by_encoder(JPEG_2000, values(), 8)], JPEG_2000, photometric, **grey8)
        add("jpeg-ls", [by_encoder(JPEG_LS, values(), 8)], JPEG_LS, photometric, **grey8)
        add("rle", [rle([values()])], RLELossless, photometric, **grey8)
        add("native", values().tobytes(), ExplicitVRLittleEndian, photometric, **grey8)
    return made


@pytest.mark.parametrize(("name", "data"), colour_files(), ids=lambda one: one if isinstance(one, str) else "")
def test_every_image_decodes_to_what_it_did(name: str, data: bytes) -> None:
    """Each photometric interpretation in each transfer syntax shows the same before and after the rewriting."""
    before = shown(data)
    after = shown(rewritten(data))
    assert np.array_equal(before[1], after[1]), (name, before[0], after[0])


def test_an_instance_of_other_colours_is_never_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were what decides the colours lost, the instance would be refused: the first frame is compared."""
    from curate.deid.pixeldata import container

    data = instance([jpeg(colours())], JPEGBaseline8Bit, PhotometricInterpretation="RGB", **COLOUR)
    monkeypatch.setattr(container, "restated", lambda item, _element, _syntax: item)
    assert refusal(lambda: rewritten(data)) == "REWRITE_NOT_CLEAN"


def double_pixels(change: Callable[[np.ndarray], None]) -> bytes:
    ds: Dataset = synth.load_instance(rows=ROWS, columns=COLUMNS)
    numbers = np.random.default_rng(4).normal(1.2, 0.1, ROWS * COLUMNS).astype("<f8")
    raw = numbers.view("u1").reshape(-1, 8).copy()
    change(raw)
    for name in ("PixelData", "BitsStored", "HighBit", "PixelRepresentation"):
        delattr(ds, name)
    ds.BitsAllocated, ds.DoubleFloatPixelData = 64, raw.tobytes()
    return synth.to_bytes(ds)


def test_doubles_that_spell_are_refused() -> None:
    """Letters in the upper halves of 64-bit numbers, or as one byte of each, are no picture that a look would show."""
    letters = np.frombuffer(LETTERS * 4, np.uint8)

    def halves(raw: np.ndarray) -> None:
        raw[7:17, 4:] = letters.reshape(-1, 4)

    def lowest(raw: np.ndarray) -> None:
        raw[7:47, 0] = letters

    assert rewritten(double_pixels(lambda _raw: None))
    assert refusal(lambda: rewritten(double_pixels(halves))) == "PIXELS_HOLD_TEXT"
    assert refusal(lambda: rewritten(double_pixels(lowest))) == "PIXELS_HOLD_TEXT"


def test_bits_above_the_stored_ones_of_64_are_cleared() -> None:
    """What stands above 12 stored bits of 64 goes, as it does of 16."""
    plain = values(4095).astype("<u8")
    hidden = plain | np.uint64(int.from_bytes(LETTERS[:4]) << 32)
    more = {"BitsAllocated": 64, "BitsStored": 12, "HighBit": 11}
    out = rewritten(instance(hidden.tobytes(), ExplicitVRLittleEndian, **more))
    assert out.endswith(plain.tobytes())
