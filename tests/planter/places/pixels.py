"""In and around the pixels: fragments, offset tables, segments, padding, unused bits, overlays, icons."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from tests.planter.places.place import Place, Planter
from tests.planter.raw import (
    BIG,
    PIXEL_DATA,
    RLE,
    Draft,
    Elem,
    Fragments,
    encode,
    find,
    head,
    put,
    sequence,
    text,
)
from tests.planter.tokens import Token

JPEG = {f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 57, 70)}
LOSSLESS = {f"1.2.840.10008.1.2.4.{number}" for number in (57, 70)}
JPEG_LS = {"1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"}
J2K = {"1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"}


def _fragments(change: Callable[[Fragments, bytes], None]) -> Planter:
    def plant(draft: Draft, token: Token) -> tuple[bytes, ...]:
        pixels = find(draft.items, PIXEL_DATA)
        if pixels is None or not isinstance(pixels.value, Fragments):
            return ()
        change(pixels.value, token.text.encode())
        return (token.text.encode(),)

    return plant


def _table(fragments: Fragments, letters: bytes) -> None:
    fragments.table = (letters * 2)[:8] + (letters * 2)[:12]


def _longer_table(fragments: Fragments, letters: bytes) -> None:
    fragments.table = (fragments.table or bytes(4)) + letters + b"\0\0"


def _extra_part(fragments: Fragments, letters: bytes) -> None:
    fragments.parts.append(letters)


def _middle_part(fragments: Fragments, letters: bytes) -> None:
    fragments.parts.insert(0, letters)


def _tail(fragments: Fragments, letters: bytes) -> None:
    fragments.tail += letters


def _tail_element(fragments: Fragments, letters: bytes) -> None:
    fragments.tail += encode([text(0x00100010, "LO", letters)])


def _after_image(fragments: Fragments, letters: bytes) -> None:
    fragments.parts[-1] += letters


def _before_image(fragments: Fragments, letters: bytes) -> None:
    fragments.parts[0] = letters + fragments.parts[0]


def _segment(marker: int, at: str = "start") -> Callable[[Fragments, bytes], None]:
    """A marker segment right after SOI (or SIZ of JPEG 2000), or just before the scan (or first tile)."""

    def change(fragments: Fragments, letters: bytes) -> None:
        part = fragments.parts[0]
        body = b"\0\x01" + letters
        made = struct.pack(">HH", marker, len(body) + 2) + body
        early = 2 if marker != 0xFF64 else 4 + struct.unpack(">H", part[4:6])[0]
        where = early if at == "start" else part.index(b"\xff\x90" if marker == 0xFF64 else b"\xff\xda")
        fragments.parts[0] = part[:where] + made + part[where:]

    return change


J2K_SEGMENTS = (
    ("J2K CRG", 0xFF63, b""),
    ("J2K TLM", 0xFF55, b"\0\x40"),
    ("J2K PLM", 0xFF57, b"\0"),
    ("J2K PPM", 0xFF60, b"\0"),
    ("J2K RGN", 0xFF5E, b"\0\0\0"),
    ("J2K POC", 0xFF5F, b""),
    ("J2K QCC", 0xFF5D, b"\x07"),
    ("J2K COC", 0xFF53, b"\x07"),
    ("J2K CPF", 0xFF59, b""),
)


def _j2k_segment(marker: int, start: bytes) -> Callable[[Fragments, bytes], None]:
    """A segment of the main header that decoders pass over, letters in it, before the first tile."""

    def change(fragments: Fragments, letters: bytes) -> None:
        part = fragments.parts[0]
        body = start + letters
        where = part.index(b"\xff\x90")
        made = struct.pack(">HH", marker, len(body) + 2) + body
        fragments.parts[0] = part[:where] + made + part[where:]

    return change


def _tile_comment(fragments: Fragments, letters: bytes) -> None:
    """A COM in a tile-part's header, its length told in SOT."""
    part = fragments.parts[0]
    at = part.index(b"\xff\x90")
    made = struct.pack(">HHH", 0xFF64, len(letters) + 4, 1) + letters
    length = struct.unpack(">I", part[at + 6 : at + 10])[0]
    sot = part[at : at + 6] + struct.pack(">I", length + len(made) if length else 0) + part[at + 10 : at + 12]
    fragments.parts[0] = part[:at] + sot + made + part[at + 12 :]


def _unused_table(marker: int, start: bytes, size: int) -> Callable[[Fragments, bytes], None]:
    """A quantisation table that no component uses, its entries letters."""

    def change(fragments: Fragments, letters: bytes) -> None:
        part = fragments.parts[0]
        body = start + (letters * 7)[:size]
        fragments.parts[0] = part[:2] + struct.pack(">HH", marker, len(body) + 2) + body + part[2:]

    return change


def _before_end(fragments: Fragments, letters: bytes) -> None:
    """In the coded data, just before the end of the image: decoders stop before it."""
    part = fragments.parts[-1]
    end = max(part.rfind(b"\xff\xd9"), 0)
    fragments.parts[-1] = part[:end] + letters + part[end:]


def _boxes(fragments: Fragments, letters: bytes) -> None:
    """A whole JP2 file around the codestream, with a box of text."""
    boxes = struct.pack(">L4s", 12, b"jP  ") + b"\r\n\x87\n" + struct.pack(">L4s", 8 + len(letters), b"xml ")
    image = b"".join(fragments.parts)
    fragments.parts[:] = [boxes + letters + struct.pack(">L4s", 0, b"jp2c") + image]


def _second_image(fragments: Fragments, letters: bytes) -> None:
    """After the end of the image a second one, with a comment."""
    fragments.parts[-1] += b"\xff\xd8\xff\xfe\x00\x0c" + letters + b"\xff\xd9"


def _fill_bytes(fragments: Fragments, letters: bytes) -> None:
    """Fill bytes before a comment's marker (ISO 10918-1 B.1.1.2)."""
    part = fragments.parts[0]
    fragments.parts[0] = part[:2] + b"\xff\xff\xff\xfe\x00\x0c" + letters + part[2:]


def _rle_header(fragments: Fragments, letters: bytes) -> None:
    """The unused offsets of the RLE header."""
    part = fragments.parts[0]
    fragments.parts[0] = part[:40] + (letters * 3)[:24] + part[64:]


def _rle_gap(fragments: Fragments, letters: bytes) -> None:
    """Bytes between the RLE header and the first segment."""
    part = fragments.parts[0]
    count = struct.unpack_from("<I", part)[0]
    offsets = [at + len(letters) for at in struct.unpack_from(f"<{count}I", part, 4)]
    start = struct.pack(f"<I{count}I", count, *offsets)
    fragments.parts[0] = start + part[len(start) : 64] + letters + part[64:]


def _wide_before_end(fragments: Fragments, letters: bytes) -> None:
    """UTF-16 in the coded data, just before the end of the image."""
    part = fragments.parts[-1]
    end = max(part.rfind(b"\xff\xd9"), 0)
    fragments.parts[-1] = part[:end] + letters.decode().encode("utf-16-le") + part[end:]


def _wide_after(fragments: Fragments, letters: bytes) -> None:
    """UTF-16 after the end of the image, of an even length."""
    fragments.parts[-1] += b"\0" * (len(fragments.parts[-1]) % 2) + letters.decode().encode("utf-16-le")


def _second_scan(fragments: Fragments, letters: bytes) -> None:
    """The last scan's header once more, and letters as what it codes."""
    part = fragments.parts[-1]
    start, end = part.rindex(b"\xff\xda"), part.rindex(b"\xff\xd9")
    header = part[start : start + 2 + int.from_bytes(part[start + 2 : start + 4])]
    fragments.parts[-1] = part[:end] + header + letters + part[end:]


def _after_restart(fragments: Fragments, letters: bytes) -> None:
    """Letters behind a restart marker that no interval asks for."""
    part = fragments.parts[-1]
    end = part.rindex(b"\xff\xd9")
    fragments.parts[-1] = part[:end] + b"\xff\xd0" + letters + b"\x01\x02" + part[end:]


def _extra_tile(fragments: Fragments, letters: bytes) -> None:
    """A part of a tile that the image does not have."""
    part = fragments.parts[-1]
    end = part.rindex(b"\xff\xd9")
    tile = struct.pack(">HHHLBB", 0xFF90, 10, 999, 14 + len(letters), 0, 1) + b"\xff\x93" + letters
    fragments.parts[-1] = part[:end] + tile + part[end:]


def _rle_overrun(fragments: Fragments, letters: bytes) -> None:
    """The last run of the last segment gives more bytes than the frame has."""
    part = fragments.parts[-1].rstrip(b"\0")
    fragments.parts[-1] = part + bytes((len(letters) - 1,)) + letters


ENCAPSULATED: tuple[tuple[str, Callable[[Fragments, bytes], None], frozenset[str]], ...] = (
    ("offset table", _table, frozenset()),
    ("longer offset table", _longer_table, frozenset()),
    ("last fragment", _extra_part, frozenset()),
    ("first fragment", _middle_part, frozenset()),
    ("between fragments", _tail, frozenset()),
    ("element between fragments", _tail_element, frozenset()),
    ("after the image", _after_image, frozenset()),
    ("before the image", _before_image, frozenset(JPEG | JPEG_LS | J2K)),
    ("before the end", _before_end, frozenset(JPEG | JPEG_LS | J2K)),
    ("JP2 boxes", _boxes, frozenset(J2K)),
    ("second image", _second_image, frozenset(JPEG | JPEG_LS | J2K)),
    ("COM", _segment(0xFFFE), frozenset(JPEG | JPEG_LS)),
    (
        "DQT unused",
        _unused_table(0xFFDB, b"\x03", 64),
        frozenset(JPEG - LOSSLESS),
    ),
    ("DHT unused", _unused_table(0xFFC4, b"\x03" + bytes(7) + b"\x28" + bytes(8), 40), frozenset(JPEG)),
    ("LSE unused", _unused_table(0xFFF8, b"\x02\x05\x01", 40), frozenset(JPEG_LS)),
    *((name, _j2k_segment(marker, start), frozenset(J2K)) for name, marker, start in J2K_SEGMENTS),
    ("COM before the scan", _segment(0xFFFE, "late"), frozenset(JPEG | JPEG_LS)),
    ("COM after fill bytes", _fill_bytes, frozenset(JPEG | JPEG_LS)),
    *((f"APP{n}", _segment(0xFFE0 + n), frozenset(JPEG | JPEG_LS)) for n in (0, 1, 2, 7, 8, 13, 14, 15)),
    *((f"JPG{n}", _segment(0xFFF0 + n), frozenset(JPEG)) for n in (0, 7, 13)),
    ("J2K COM", _segment(0xFF64), frozenset(J2K)),
    ("J2K COM late", _segment(0xFF64, "late"), frozenset(J2K)),
    ("J2K tile COM", _tile_comment, frozenset(J2K)),
    ("before the end, UTF-16", _wide_before_end, frozenset(JPEG | JPEG_LS | J2K)),
    ("after the image, UTF-16", _wide_after, frozenset()),
    ("second scan", _second_scan, frozenset(JPEG | JPEG_LS)),
    ("restart", _after_restart, frozenset(JPEG | JPEG_LS)),
    ("extra tile", _extra_tile, frozenset(J2K)),
    ("RLE overrun", _rle_overrun, frozenset({RLE})),
    ("RLE header", _rle_header, frozenset({RLE})),
    ("RLE gap", _rle_gap, frozenset({RLE})),
)


def fragment_places(draft: Draft) -> Iterator[Place]:
    """Everything that surrounds or interrupts a coded image; each has a file of its own."""
    pixels = find(draft.items, PIXEL_DATA)
    if pixels is None or not isinstance(pixels.value, Fragments):
        return
    for name, change, syntaxes in ENCAPSULATED:
        if not syntaxes or draft.syntax in syntaxes:
            yield Place(f"coded-{name}", f"pixels/{name}", _fragments(change))
    for tag in (0x7FE00001, 0x7FE00002, 0x7FE00003):
        raw = lambda t, tag=tag: Elem(tag, "OV", (t.text * 2).encode()[:16])  # noqa: E731
        yield Place(f"coded-extended-{tag & 3}", f"pixels/extended offsets {tag:08X}", _put(raw))


def _put(make: Callable[[Token], Elem]) -> Planter:
    def plant(draft: Draft, token: Token) -> tuple[bytes, ...]:
        put(draft.items, make(token))
        return (token.text.encode(),)

    return plant


def _native(draft: Draft) -> Elem | None:
    pixels = find(draft.items, PIXEL_DATA)
    return pixels if pixels is not None and isinstance(pixels.value, bytes) else None


def _longer(extra: Callable[[Token], bytes]) -> Planter:
    def plant(draft: Draft, token: Token) -> tuple[bytes, ...]:
        pixels = _native(draft)
        if pixels is None:
            return ()
        pixels.value = pixels.raw + extra(token)
        return (token.text.encode(),)

    return plant


def _stored(draft: Draft) -> tuple[int, int]:
    allocated, stored = (find(draft.items, tag) for tag in (0x00280100, 0x00280101))
    return tuple(struct.unpack("<H", elem.raw)[0] if elem else 0 for elem in (allocated, stored))  # type: ignore[return-value]


def _unused_bits(start: int) -> Planter:
    """The token in the bits above BitsStored, some bits a pixel."""

    def plant(draft: Draft, token: Token) -> tuple[bytes, ...]:
        pixels = _native(draft)
        allocated, stored = _stored(draft)
        if pixels is None or allocated != 16 or stored >= 16:
            return ()
        bits = "".join(f"{letter:08b}" for letter in token.text.encode())
        width = 16 - stored
        values = [int(bits[at : at + width].ljust(width, "0"), 2) for at in range(0, len(bits), width)]
        raw = bytearray(pixels.raw)
        if len(raw) < 2 * (start + len(values)):
            return ()
        for index, value in enumerate(values, start):
            pixel = struct.unpack_from("<H", raw, 2 * index)[0] & (1 << stored) - 1
            struct.pack_into("<H", raw, 2 * index, pixel | value << stored)
        pixels.value = bytes(raw)
        return (bytes(raw[2 * start : 2 * (start + len(values))]),)

    return plant


def _overlay(group: int) -> Planter:
    """A 16 by 16 overlay plane that holds the token."""

    def plant(draft: Draft, token: Token) -> tuple[bytes, ...]:
        base = group << 16
        for elem in (
            Elem(base | 0x10, "US", struct.pack("<H", 16)),
            Elem(base | 0x11, "US", struct.pack("<H", 16)),
            text(base | 0x40, "CS", "G"),
            Elem(base | 0x50, "SS", struct.pack("<hh", 1, 1)),
            Elem(base | 0x100, "US", struct.pack("<H", 1)),
            Elem(base | 0x102, "US", struct.pack("<H", 0)),
            text(base | 0x22, "LO", token.text),
            text(base | 0x1500, "LO", token.text),
            Elem(base | 0x3000, "OW", (token.text.encode() * 4)[:32]),
            text(base | 0x4000, "LT", token.text),
        ):
            put(draft.items, elem)
        return (token.text.encode(),)

    return plant


def _low_bits(draft: Draft, token: Token) -> tuple[bytes, ...]:
    """The token below the stored bits, which lie at the top of each word."""
    pixels = _native(draft)
    allocated, stored = _stored(draft)
    if pixels is None or allocated != 16 or stored != 12 or len(pixels.raw) < 200:
        return ()
    put(draft.items, Elem(0x00280102, "US", struct.pack("<H", 15)))
    nibbles = [part for letter in token.text.encode() for part in (letter >> 4, letter & 15)]
    words = [word << 4 & 0xFFFF for (word,) in struct.iter_unpack("<H", pixels.raw)]
    words[: len(nibbles)] = [word | part for word, part in zip(words, nibbles, strict=False)]
    pixels.value = struct.pack(f"<{len(words)}H", *words)
    return (pixels.value[: 2 * len(nibbles)],)


def _embedded_overlay(draft: Draft, token: Token) -> tuple[bytes, ...]:
    """A retired overlay that lives in the pixels' unused bits."""
    needles = _unused_bits(100)(draft, token)
    if not needles:
        return ()
    _, stored = _stored(draft)
    base = 0x60060000
    for elem in (
        Elem(base | 0x10, "US", struct.pack("<H", 16)),
        Elem(base | 0x11, "US", struct.pack("<H", 16)),
        text(base | 0x40, "CS", "G"),
        Elem(base | 0x50, "SS", struct.pack("<hh", 1, 1)),
        Elem(base | 0x100, "US", struct.pack("<H", 16)),
        Elem(base | 0x102, "US", struct.pack("<H", stored)),
    ):
        put(draft.items, elem)
    return needles


def _icon(token: Token) -> Elem:
    return sequence(
        0x00880200,
        [
            Elem(0x00280010, "US", struct.pack("<H", 8)),
            Elem(0x00280011, "US", struct.pack("<H", 8)),
            text(0x00100010, "PN", token.name),
            Elem(PIXEL_DATA, "OB", (token.text.encode() * 7)[:64]),
        ],
    )


def _other(tag: int, vr: str) -> Planter:
    return _put(lambda token: Elem(tag, vr, (token.text * 8).encode()[:64]))


def _ramp(tag: int) -> Planter:
    """Letters, once, amid a table that is a ramp before and after them."""
    ramp = bytes(level for level in range(256) for _ in range(2))
    return _put(lambda token: Elem(tag, "OW", ramp[:200] + token.text.encode()[:10] + ramp[200:]))


def _lut(token: Token) -> Elem:
    return sequence(
        0x00283000,
        [
            Elem(0x00283002, "US", struct.pack("<HHH", 16, 0, 16)),
            text(0x00283003, "LO", token.text),
            text(0x00283004, "LO", "HU"),
            Elem(0x00283006, "OW", (token.text.encode() * 4)[:32]),
        ],
    )


def _icc(token: Token) -> Elem:
    """A colour profile whose copyright and description texts name somebody."""
    tags = struct.pack(">I4sII", 1, b"cprt", 144, 20)
    profile = bytearray(132) + tags + b"text" + bytes(4) + token.text.encode() + b"\0\0"
    struct.pack_into(">I", profile, 0, len(profile))
    profile[36:40] = b"acsp"
    return Elem(0x00282000, "OB", bytes(profile) + b"\0" * (len(profile) % 2))


Table = list[int]
RAMP = [level << 8 for level in range(128)]


def _low_bytes(letters: bytes) -> Table:
    """Letters below a ramp."""
    return [word | (letters[at - 20] if 0 <= at - 20 < len(letters) else 0) for at, word in enumerate(RAMP)]


def _wide_letters(letters: bytes) -> Table:
    """UTF-16, most of the table."""
    return [*letters * 3, *RAMP[30:]]


def _wide_letters_swapped(letters: bytes) -> Table:
    """UTF-16, the bytes of each character the other way."""
    return [letter << 8 for letter in letters * 3] + RAMP[30:]


def _every_second(letters: bytes) -> Table:
    """Letters as every second entry of a ramp of 8 bits that are stored twice."""
    table = [word | word >> 8 for word in RAMP]
    table[40 : 40 + 2 * len(letters) : 2] = [letter * 257 for letter in letters]
    return table


def _lowest_bits(letters: bytes) -> Table:
    """Letters in the lowest bit plane, a bit an entry."""
    bits = [letter >> bit & 1 for letter in letters for bit in range(7, -1, -1)]
    return [word | (bits[at - 16] if 0 <= at - 16 < len(bits) else 0) for at, word in enumerate(RAMP)]


TABLES: tuple[tuple[str, Callable[[bytes], Table]], ...] = (
    ("low bytes", _low_bytes),
    ("UTF-16", _wide_letters),
    ("UTF-16 swapped", _wide_letters_swapped),
    ("every second", _every_second),
    ("lowest bits", _lowest_bits),
)


def _words(table: Table) -> bytes:
    return struct.pack(f"<{len(table)}H", *table)


def _spelt(table: Table) -> bytes:
    """The part of a table where it is no ramp: what must not come through as it is."""
    plain = [(word, word | word >> 8) for word in RAMP]
    places = [at for at, word in enumerate(table) if word not in plain[at]]
    return _words(table[places[0] : places[-1] + 1])


def _lookup(tag: int, make: Callable[[bytes], Table]) -> Planter:
    """A lookup table, its letters among numbers, in an item of a sequence (VOI LUT, Modality LUT)."""

    def plant(draft: Draft, token: Token) -> tuple[bytes, ...]:
        table = make(token.text.encode())
        descriptor = Elem(0x00283002, "US", struct.pack("<HHH", len(table), 0, 16))
        put(draft.items, sequence(tag, [descriptor, Elem(0x00283006, "OW", _words(table))]))
        return (_spelt(table),)

    return plant


def _colours(make: Callable[[bytes], Table], photometric: str) -> Planter:
    """A palette of 16 bits with letters among its reds, for pixels that are its indices or are not."""

    def plant(draft: Draft, token: Token) -> tuple[bytes, ...]:
        if find(draft.items, 0x00280010) is None:
            return ()
        table = make(token.text.encode())
        for channel in range(3):
            descriptor = struct.pack("<HHH", len(table), 0, 16)
            put(draft.items, Elem(0x00281101 + channel, "US", descriptor))
            put(draft.items, Elem(0x00281201 + channel, "OW", _words(RAMP if channel else table)))
        if photometric:
            put(draft.items, text(0x00280004, "CS", photometric))
        return (_spelt(table),)

    return plant


def _wide(tag: int, vr: str, number: bytes, stored: int) -> Planter:
    """Pixels of eight bytes, the token in their upper halves."""

    def plant(draft: Draft, token: Token) -> tuple[bytes, ...]:
        pixels, rows, columns = _native(draft), find(draft.items, 0x00280010), find(draft.items, 0x00280011)
        samples = find(draft.items, 0x00280002)
        if pixels is None or rows is None or columns is None or draft.syntax == BIG:
            return ()
        if samples is None or samples.raw != b"\1\0":
            return ()
        count = struct.unpack("<H", rows.raw)[0] * struct.unpack("<H", columns.raw)[0]
        letters = (token.text.encode() * 4)[:40]
        halves = b"".join(number[:4] + letters[at : at + 4] for at in range(0, len(letters), 4))
        draft.items.remove(pixels)
        frames = find(draft.items, 0x00280008)
        count *= int(frames.raw) if frames is not None else 1
        put(draft.items, Elem(tag, vr, (halves + number * count)[: 8 * count]))
        for bits, value in ((0x00280100, 64), (0x00280101, stored), (0x00280102, stored - 1)):
            put(draft.items, Elem(bits, "US", struct.pack("<H", value)))
        return (letters[:4] + number[:4] + letters[4:8],)

    return plant


def image_places(draft: Draft) -> Iterator[Place]:
    """Everything around pixels that are not coded, and what lies beside them."""
    if _native(draft) is not None:
        yield Place("native-longer", "pixels/longer", _longer(lambda t: t.text.encode()))
        yield Place("native-much-longer", "pixels/much longer", _longer(lambda t: bytes(4096) + t.text.encode()))
        yield Place("native-odd", "pixels/longer, odd", _longer(lambda t: t.text.encode() + b"X"))
        for start in (0, 40):
            yield Place("native-bits", f"pixels/unused bits from {start}", _unused_bits(start))
        yield Place("native-low-bits", "pixels/unused low bits", _low_bits)
        yield Place("native-overlay", "pixels/embedded overlay", _embedded_overlay)
        one = struct.pack("<d", 1.5)
        yield Place("wide-double", "pixels/upper half of doubles", _wide(0x7FE00009, "OD", one, 64))
        integer = struct.pack("<Q", 5)
        yield Place("wide-all", "pixels/upper half of 64 bits", _wide(PIXEL_DATA, "OW", integer, 64))
        yield Place("native-wide", "pixels/above 12 of 64 bits", _wide(PIXEL_DATA, "OW", integer, 12))
    for name, make in TABLES:
        yield Place(f"voi-{name}", f"pixels/VOI LUT, {name}", _lookup(0x00283010, make))
        yield Place(f"lut-{name}", f"pixels/Modality LUT, {name}", _lookup(0x00283000, make))
        yield Place(f"colours-{name}", f"pixels/palette, {name}", _colours(make, "PALETTE COLOR"))
        yield Place(f"unused-colours-{name}", f"pixels/unused palette, {name}", _colours(make, ""))
    for group in (0x6000, 0x6002, 0x601E, 0x6001, 0x60FE):
        yield Place("overlay", f"pixels/overlay {group:04X}", _overlay(group))
    yield Place("icon", "pixels/icon", _put(_icon))
    yield Place("lut", "pixels/lookup table", _put(_lut))
    yield Place("icc", "pixels/colour profile", _put(_icc))
    for tag, vr in (
        (0x7FE00008, "OF"),
        (0x7FE00009, "OD"),
        (0x7FE00020, "OW"),
        (0x7F000010, "OW"),
        (0x7FE00030, "OW"),
    ):
        yield Place(f"other-pixels-{tag:08X}", f"pixels/other {tag:08X}", _other(tag, vr))
    for tag in (0x00281201, 0x00281221, 0x00280120, 0x00281408, 0x50003000, 0x50003002, 0x00281101):
        yield Place(f"palette-{tag:08X}", f"pixels/palette {tag:08X}", _other(tag, "OW"))
        yield Place(f"ramp-{tag:08X}", f"pixels/ramp {tag:08X}", _ramp(tag))
    yield Place("pixels-un", "pixels/second as UN", _put_last)


def _put_last(draft: Draft, token: Token) -> tuple[bytes, ...]:
    """A second PixelData after the first."""
    raw = token.text.encode()
    draft.items.append(Elem(PIXEL_DATA, "UN", verbatim=head(PIXEL_DATA, "UN", len(raw)) + raw))
    return (raw,)
