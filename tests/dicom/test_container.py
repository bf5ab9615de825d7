"""What may hide beside the pixels is gone, and the pixels are what they were."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Sequence

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels import pixel_array
from pydicom.uid import RLELossless

from curate.deid.pixeldata import container
from curate.deid.pixeldata.codestreams import Stated
from curate.deid.pixeldata.jpeg import clean_jpeg
from curate.deid.pixeldata.jpeg2000 import clean_jpeg_2000
from curate.deid.pixeldata.rle import clean_rle
from curate.dicom.io import file_meta as head
from curate.dicom.io import reader
from curate.dicom.io.layout_cache import Parsed
from curate.dicom.model import PIXEL_DATA, Bytes, Element, Fragments, Item, MalformedError
from tests import strategies
from tests.dicom import real

SECRET = b"PUIGDOMENECH^MONTSERRAT"


def joined(chunks: Sequence[Bytes]) -> bytes:
    return b"".join(bytes(chunk) for chunk in chunks)


def image(
    *,
    rows: int = 4,
    columns: int = 4,
    frames: int = 1,
    allocated: int = 16,
    stored: int = 12,
    high: int | None = None,
    signed: int = 0,
) -> Item:
    item = Item()
    item.put(0x00280002, "US", struct.pack("<H", 1))
    item.put(0x00280004, "CS", b"MONOCHROME2 ")
    item.put(0x00280008, "IS", str(frames).encode())
    item.put(0x00280010, "US", struct.pack("<H", rows))
    item.put(0x00280011, "US", struct.pack("<H", columns))
    item.put(0x00280100, "US", struct.pack("<H", allocated))
    item.put(0x00280101, "US", struct.pack("<H", stored))
    item.put(0x00280102, "US", struct.pack("<H", stored - 1 if high is None else high))
    item.put(0x00280103, "US", struct.pack("<H", signed))
    return item


def native(item: Item, value: bytes) -> tuple[bytes, tuple[str, ...]]:
    element = Element(PIXEL_DATA, "OW", memoryview(value))
    pixels = container.clean_pixels(item, element, head.EXPLICIT)
    return joined(pixels.chunks)[12:], pixels.applied


def test_clean_pixels_are_not_copied() -> None:
    """Pixels with nothing to hide are handed on as the view that came in."""
    value = memoryview(np.arange(16, dtype="<u2").tobytes())
    pixels = container.clean_pixels(image(), Element(PIXEL_DATA, "OW", value), head.EXPLICIT)
    views = [chunk for chunk in pixels.chunks if isinstance(chunk, memoryview)]
    assert views[0].obj is value.obj
    assert pixels.applied == ()


def test_bytes_after_the_last_pixel_go() -> None:
    """Pixel data have exactly the length that rows, columns and bits give."""
    value = np.arange(16, dtype="<u2").tobytes()
    assert native(image(), value + SECRET + b"\0") == (value, ("PIXEL_TRAILING_BYTES",))


def test_the_pad_byte_is_zero() -> None:
    """An odd length is padded with a zero, whatever the pad byte was."""
    item = image(rows=3, columns=3, allocated=8, stored=8)
    assert native(item, bytes(9) + b"P") == (bytes(10), ("PIXEL_TRAILING_BYTES",))
    assert native(item, bytes(10)) == (bytes(10), ())


def test_too_few_pixels_are_refused() -> None:
    """Pixel data that are too short say so by rule."""
    with pytest.raises(MalformedError) as caught:
        native(image(), bytes(30))
    assert caught.value.rule == "PIXEL_LENGTH"


def test_bits_above_the_high_bit_are_cleared() -> None:
    """What stands in the unused bits of unsigned pixels goes, and the stored bits stay."""
    value = np.arange(16, dtype="<u2")
    hidden = value | 0xA000
    assert native(image(), hidden.tobytes()) == (value.tobytes(), ("PIXEL_UNUSED_BITS",))


def test_bits_below_the_stored_ones_are_cleared() -> None:
    """Bits below the lowest stored one hold nothing either."""
    value = (np.arange(16, dtype="<u2") << 4).astype("<u2")
    item = image(high=15)
    assert native(item, (value | 5).astype("<u2").tobytes()) == (value.tobytes(), ("PIXEL_UNUSED_BITS",))
    assert native(item, value.tobytes()) == (value.tobytes(), ())


@pytest.mark.parametrize("upper", ["sign", "zero"])
def test_signs_above_the_high_bit_are_legitimate(upper: str) -> None:
    """Signed pixels keep their sign bits, or their zeros, above HighBit."""
    value = np.arange(-8, 8, dtype="<i2")
    if upper == "zero":
        value = value & 0x0FFF
    assert native(image(signed=1), value.tobytes()) == (value.tobytes(), ())


def test_what_hides_among_signs_goes() -> None:
    """Signed pixels whose upper bits are neither sign nor zero get their sign back."""
    value = np.arange(-8, 8, dtype="<i2")
    hidden = (value & 0x0FFF) | np.array([0x5000] * 16, "<i2")
    assert native(image(signed=1), hidden.tobytes()) == (value.tobytes(), ("PIXEL_UNUSED_BITS",))


def test_one_bit_pixels_end_in_zeros() -> None:
    """What is left of the last byte of packed bits is zero."""
    item = image(rows=3, columns=3, allocated=1, stored=1, high=0)
    assert native(item, b"\xff\xff") == (b"\xff\x01", ("PIXEL_UNUSED_BITS",))
    assert native(item, b"\xff\x01") == (b"\xff\x01", ())


@pytest.mark.parametrize("change", [{"rows": 0}, {"allocated": 12}, {"stored": 17}, {"frames": 0}])
def test_impossible_shapes_are_refused(change: dict[str, int]) -> None:
    """Attributes that describe no possible pixels are refused by rule."""
    with pytest.raises(MalformedError) as caught:
        native(image(**change), bytes(64))
    assert caught.value.rule == "PIXEL_ATTRIBUTES"


# --- encapsulated


def frames_of(name: str) -> tuple[Parsed, list[bytes]]:
    parsed = reader.parse(real.named(name))
    value = parsed.dataset[PIXEL_DATA].value
    shape = container.shape_of(parsed.dataset)
    return parsed, [joined(frame) for frame in container.split_frames(value, shape.frames)]


def stated_of(parsed: Parsed) -> Stated:
    return container.shape_of(parsed.dataset).frame


JPEG = [
    "SC_rgb_jpeg_gdcm.dcm",
    "JPEG-lossy.dcm",
    "SC_rgb_jpeg_app14_dcmd.dcm",
    "SC_jpeg_no_color_transform.dcm",
]
JPEG_LS = ["JPEGLSNearLossless_08.dcm", "MR_small_jpeg_ls_lossless.dcm"]
JPEG_2000 = ["examples_jpeg2k.dcm", "MR_small_jp2klossless.dcm", "JPEG2000.dcm"]


def with_comment(frame: bytes) -> bytes:
    """A JPEG or JPEG-LS frame with a comment and two application segments after its SOI."""
    comment = b"\xff\xfe" + struct.pack(">H", 2 + len(SECRET)) + SECRET
    exif = b"\xff\xe1" + struct.pack(">H", 8 + len(SECRET)) + b"Exif\0\0" + SECRET
    other = b"\xff\xeb" + struct.pack(">H", 2 + len(SECRET)) + SECRET
    return frame[:2] + comment + exif + other + frame[2:]


@pytest.mark.parametrize("name", [*JPEG, *JPEG_LS])
def test_comments_and_applications_go_from_jpeg(name: str) -> None:
    """COM, APPn and bytes after EOI go; the coded image is byte for byte what it was."""
    parsed, frames = frames_of(name)
    stated = stated_of(parsed)
    for frame in frames[:3]:
        ls = name in JPEG_LS
        clean = joined(clean_jpeg(frame, stated, lossless_ls=ls))
        dirty = joined(clean_jpeg(with_comment(frame) + SECRET, stated, lossless_ls=ls))
        assert dirty == clean
        assert joined(clean_jpeg(clean, stated, lossless_ls=ls)) == clean
        scan = frame.index(b"\xff\xda")
        assert clean.endswith(frame[scan : frame.rindex(b"\xff\xd9") + 2])


def test_tables_that_no_scan_uses_go_from_jpeg() -> None:
    """A quantisation or Huffman table that nothing refers to holds no image, and goes; the used ones stay."""
    parsed, frames = frames_of("SC_rgb_jpeg_dcmtk.dcm")
    stated = stated_of(parsed)
    clean = joined(clean_jpeg(frames[0], stated))
    hidden = (SECRET * 6)[:64]
    quantisation = b"\xff\xdb" + struct.pack(">HB", 67, 3) + hidden
    huffman = b"\xff\xc4" + struct.pack(">HB", 2 + 17 + 64, 0x13) + bytes(15) + b"\x40" + hidden
    overwritten = b"\xff\xdb" + struct.pack(">HB", 67, 0) + hidden
    dirty = clean[:2] + overwritten + quantisation + huffman + clean[2:]
    assert joined(clean_jpeg(dirty, stated)) == clean
    both = clean.index(b"\xff\xdb")
    size = int.from_bytes(clean[both + 2 : both + 4])
    longer = struct.pack(">H", size + 65) + clean[both + 4 : both + 2 + size] + b"\x03" + hidden
    dirty = clean[: both + 2] + longer + clean[both + 2 + size :]
    assert joined(clean_jpeg(dirty, stated)) == clean


@pytest.mark.parametrize("name", JPEG_2000)
def test_comments_go_from_jpeg_2000(name: str) -> None:
    """COM goes from the main and the tile-part headers, and what follows EOC; lengths are right again."""
    parsed, frames = frames_of(name)
    stated = stated_of(parsed)
    comment = b"\xff\x64" + struct.pack(">HH", 4 + len(SECRET), 1) + SECRET
    for frame in frames[:3]:
        clean = joined(clean_jpeg_2000(frame, stated))
        assert b"\xff\x64" not in clean[: clean.index(b"\xff\x93")]
        tile = clean.index(b"\xff\x90")
        size = struct.unpack(">L", clean[tile + 6 : tile + 10])[0]
        longer = struct.pack(">L", size + len(comment) if size else 0)
        start = clean[:tile] + comment + clean[tile : tile + 6] + longer + clean[tile + 10 : tile + 12]
        dirty = start + comment + clean[tile + 12 :]
        assert joined(clean_jpeg_2000(dirty, stated)) == clean
        assert joined(clean_jpeg_2000(clean, stated)) == clean


@pytest.mark.parametrize("junk", [b"\xff\x01", b"junk", b"\xff\xc8\x00\x04ab", b"\xff\xdb\x00\x04ab"])
def test_unknown_segments_are_refused(junk: bytes) -> None:
    """A frame with anything else between its segments is refused, since nobody can tell what it is."""
    parsed, frames = frames_of("JPEG-lossy.dcm")
    with pytest.raises(MalformedError) as caught:
        clean_jpeg(frames[0][:2] + junk + frames[0][2:], stated_of(parsed))
    assert caught.value.rule == "CODESTREAM_MALFORMED"


@pytest.mark.parametrize("cut", [1, 3, 20, 200])
@pytest.mark.parametrize(
    "name", ["JPEG-lossy.dcm", "MR_small_jpeg_ls_lossless.dcm", "JPEG2000.dcm", "MR_small_RLE.dcm"]
)
def test_cut_frames_are_refused_or_cleaned(name: str, cut: int) -> None:
    """A frame that ends anywhere makes no other error than the rule's."""
    parsed, frames = frames_of(name)
    try:
        container._clean_frame([frames[0][:cut]], container.shape_of(parsed.dataset), parsed.transfer_syntax)
    except MalformedError as error:
        assert error.rule == "CODESTREAM_MALFORMED"
    else:
        pytest.fail("a cut frame passed")


def test_what_hides_in_an_rle_frame_goes() -> None:
    """Bytes between and after RLE segments go; offsets and runs are right."""
    parsed, frames = frames_of("MR_small_RLE.dcm")
    stated = stated_of(parsed)
    clean = joined(clean_rle(frames[0], stated))
    count, first, second = struct.unpack("<3L", clean[:12])
    assert count == 2
    gap = SECRET + b"\0" * (len(SECRET) % 2)
    head = struct.pack("<16L", 2, first, second + len(gap), *[7] * 13)
    dirty = head + clean[64:second] + gap + clean[second:] + gap
    assert joined(clean_rle(dirty, stated)) == clean


def test_offsets_and_empty_fragments_hide_nothing() -> None:
    """The offset table is rebuilt, and fragments that make no frame don't stay."""
    parsed, frames = frames_of("SC_rgb_rle_2frame.dcm")
    value = parsed.dataset[PIXEL_DATA].value
    hidden = Fragments(SECRET + b"\0", tuple(memoryview(frame) for frame in (*frames, b"")))
    clean = [
        container.clean_pixels(parsed.dataset, Element(PIXEL_DATA, "OB", pixels), parsed.transfer_syntax)
        for pixels in (value, hidden)
    ]
    assert joined(clean[0].chunks) == joined(clean[1].chunks)
    assert SECRET not in joined(clean[1].chunks)


def test_a_wrong_number_of_frames_is_refused() -> None:
    """Fragments that don't make the stated number of frames are refused."""
    parsed, frames = frames_of("SC_rgb_rle_2frame.dcm")
    fewer = Fragments(b"", tuple(memoryview(frame) for frame in frames[:-1]))
    with pytest.raises(MalformedError) as caught:
        container.clean_pixels(parsed.dataset, Element(PIXEL_DATA, "OB", fewer), parsed.transfer_syntax)
    assert caught.value.rule == "FRAGMENTS_MALFORMED"


def test_video_and_unknown_syntaxes_are_refused() -> None:
    """Pixels in a syntax that can't be checked are refused by rule."""
    parsed, _ = frames_of("JPEG-lossy.dcm")
    for syntax, rule in (
        ("1.2.840.10008.1.2.4.102", "TRANSFER_SYNTAX_REFUSED"),
        ("1.2.840.10008.1.2.4.110", "TRANSFER_SYNTAX_REFUSED"),
        (head.EXPLICIT, "PIXEL_ENCODING"),
    ):
        with pytest.raises(MalformedError) as caught:
            container.clean_pixels(parsed.dataset, parsed.dataset[PIXEL_DATA], syntax)
        assert caught.value.rule == rule


def test_several_fragments_a_frame_become_one() -> None:
    """Frames in pieces are put together, by the offset table and without it."""
    parsed, frames = frames_of("SC_rgb_jpeg_gdcm.dcm")
    item = Item(parsed.dataset)
    item.put(0x00280008, "IS", b"3")
    clean = joined(clean_jpeg(frames[0], stated_of(parsed)))
    for has_bot in (True, False):
        pixels = encapsulate(frames * 3, fragments_per_frame=4, has_bot=has_bot)
        head = struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF)
        end = struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
        pieces = reader.parse(strategies.part10(head + pixels + end, parsed.transfer_syntax)).dataset[PIXEL_DATA]
        assert len(pieces.value.fragments) == 12
        again = container.clean_pixels(item, pieces, parsed.transfer_syntax)
        assert joined(again.chunks).count(clean) == 3


def test_clean_frames_decode_to_the_same_pixels() -> None:
    """Every compressed file of pydicom's set decodes to the same values after its frames are cleaned."""
    compared = undecodable = 0
    for path in real.sample():
        if path.name == "JPEG2000-embedded-sequence-delimiter.dcm":
            continue  # its image states 3,722,445,056 columns, the data set 256
        if path.stat().st_size > 1_000_000 or "pydicom+pydicom" not in path.parts:
            continue
        try:
            parsed = reader.parse(path.read_bytes())
        except MalformedError:
            continue
        if parsed.transfer_syntax not in container.ENCAPSULATED or PIXEL_DATA not in parsed.dataset:
            continue
        try:
            pixels = container.clean_pixels(parsed.dataset, parsed.dataset[PIXEL_DATA], parsed.transfer_syntax)
        except MalformedError as error:
            raise AssertionError(f"{path.name} is refused: {error}") from error
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ds = pydicom.dcmread(io.BytesIO(path.read_bytes()), force=True)
            try:
                before = pixel_array(ds)
            except RuntimeError:  # 12-bit JPEG, and a broken J2K: no decoder reads them
                undecodable += 1
                continue
            ds.PixelData = joined(pixels.chunks)[12:-8]
            assert np.array_equal(before, pixel_array(ds)), path.name
        compared += 1
    assert compared >= 30
    assert undecodable <= 3


def test_coded_data_that_ends_in_text_is_refused() -> None:
    """A name just before EOI is read by no decoder; the same byte again and again is an even background."""
    parsed = reader.parse(real.named("MR_small_jpeg_ls_lossless.dcm"))
    stated, (frame,) = stated_of(parsed), parsed.dataset[PIXEL_DATA].value.fragments
    end = bytes(frame).rindex(b"\xff\xd9")
    ending = bytes(frame[:end]), bytes(frame[end:])
    assert clean_jpeg(ending[0] + b"3" * 20 + ending[1], stated, lossless_ls=True)
    for text in (b"VILAPLANA^JOANA", "VILAPLANA^JOANA".encode("utf-16-le")):
        with pytest.raises(MalformedError):
            clean_jpeg(ending[0] + text + ending[1], stated, lossless_ls=True)


def test_a_jp2_file_in_a_fragment_gives_its_codestream() -> None:
    """The boxes around a JPEG 2000 codestream go, with what they say; a palette box cannot, and is refused."""
    parsed = reader.parse(real.named("GDCMJ2K_TextGBR.dcm"))
    stated, (frame,) = stated_of(parsed), parsed.dataset[PIXEL_DATA].value.fragments
    data = bytes(frame)
    start = data.index(b"\xff\x4f\xff\x51")
    named = data[: start - 8] + struct.pack(">L4s", 8 + 9, b"xml ") + b"Joan Puig" + data[start - 8 :]
    clean = joined(clean_jpeg_2000(named, stated))
    assert clean[:4] == b"\xff\x4f\xff\x51" and b"Joan" not in clean and b"jp2h" not in clean
    with pytest.raises(MalformedError):
        clean_jpeg_2000(data[:start].replace(b"colr", b"pclr") + data[start:], stated)


def test_rle_frames_written_by_pydicom_are_clean() -> None:
    """What pydicom's RLE encoder writes decodes to the same once each segment is even."""
    pixels = np.random.default_rng(1).integers(0, 400, (20, 30), dtype="<u2")
    ds = pydicom.Dataset()
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.Rows, ds.Columns, ds.SamplesPerPixel, ds.PhotometricInterpretation = 20, 30, 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 0
    ds.compress(RLELossless, pixels, generate_instance_uid=False)
    frame = next(generate_frames(ds.PixelData))
    stated = Stated(20, 30, 1, 16, 16, 15, signed=False)
    clean = joined(clean_rle(frame, stated))
    assert joined(clean_rle(clean, stated)) == clean
    ds.PixelData = encapsulate([clean])
    assert np.array_equal(pixel_array(ds), pixels)
