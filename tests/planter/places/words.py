"""Text: other character sets, names, split values, numbers written as text, codes, reports."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.planter.places.place import Place, Planter, adding
from tests.planter.raw import Draft, Item, put, sequence, text
from tests.planter.tokens import Token, unicode_forms

# SpecificCharacterSet, Python's codec, 20 letters from which a token's own word is spelled, escape before it.
CHARSETS: tuple[tuple[str, str, str, bytes], ...] = (
    ("ISO_IR 100", "latin-1", "áàéèíìóòúùñçäëïöüßøå", b""),
    ("ISO_IR 101", "iso8859-2", "ąłľśšťźžżŕâăĺćčęěďňő", b""),
    ("ISO_IR 109", "iso8859-3", "ħĥşğĵżċĉġŭŝàâäèéêëìí", b""),
    ("ISO_IR 110", "iso8859-4", "ąĸŗĩļšēģŧžāįčęėīđņōķ", b""),
    ("ISO_IR 144", "iso8859-5", "бвгджзийклмнопрстуфх", b""),
    ("ISO_IR 127", "iso8859-6", "بتثجحخدذرزسشصضطظعغفق", b""),
    ("ISO_IR 126", "iso8859-7", "αβγδεζηθικλμνξοπρστυ", b""),
    ("ISO_IR 138", "iso8859-8", "אבגדהוזחטיכלמנסעפצקר", b""),
    ("ISO_IR 148", "iso8859-9", "ğışöüçâîûàáãäåæèéêëì", b""),
    ("ISO_IR 203", "iso8859-15", "€ŠšŽžŒœŸáàéèíìóòúùñç", b""),
    ("ISO_IR 166", "iso8859-11", "กขฃคฅฆงจฉชซฌญฎฏฐฑฒณด", b""),
    ("ISO_IR 13", "shift_jis", "ｱｲｳｴｵｶｷｸｹｺｻｼｽｾｿﾀﾁﾂﾃﾄ", b""),
    ("ISO_IR 192", "utf-8", "王小东田中山本太郎이김박최정한国學愛", b""),
    ("GB18030", "gb18030", "王小东李张刘陈杨赵黄周吴徐孙胡朱高林何郭", b""),
    ("GBK", "gbk", "王小东李张刘陈杨赵黄周吴徐孙胡朱高林何郭", b""),
    ("\\ISO 2022 IR 87", "iso2022_jp", "山田太郎花子佐藤鈴木高橋渡辺伊中村小林加", b""),
    ("\\ISO 2022 IR 159", "iso2022_jp_1", "丂丄丅丌丒丟丣两丨丫丮丯丰丵乀乁乄乇乑乚", b""),
    ("\\ISO 2022 IR 149", "euc_kr", "김희중이박최정강조윤장임한오서신권황안송", b"\x1b$)C"),
    ("\\ISO 2022 IR 58", "gb2312", "王小东李张刘陈杨赵黄周吴徐孙胡朱高林何郭", b"\x1b$)A"),
    ("ISO 2022 IR 6\\ISO 2022 IR 100", "latin-1", "áàéèíìóòúùñçäëïöüßøå", b"\x1b-A"),
    ("ISO 2022 IR 6\\ISO 2022 IR 144", "iso8859-5", "бвгджзийклмнопрстуфх", b"\x1b-L"),
    ("ISO 2022 IR 13\\ISO 2022 IR 87", "iso2022_jp", "山田太郎花子佐藤鈴木高橋渡辺伊中村小林加", b""),
    ("", "utf-8", "áàéèíìóòúùñçäëïöüßøå", b""),  # no set declared, bytes beyond ASCII all the same
    ("NO SUCH SET", "latin-1", "áàéèíìóòúùñçäëïöüßøå", b""),
)
CONSONANTS = "BCDFGHJKLMNPQRSTVWXZ"
# Attributes that keep some text, or a code, in a careful rewriter: where a name would sit beside it.
DESCRIPTORS = (
    (0x00081030, "LO"), (0x0008103E, "LO"), (0x00181030, "LO"), (0x00180015, "CS"), (0x00181210, "SH"),
    (0x00080070, "LO"), (0x00081090, "LO"), (0x00181020, "LO"), (0x00180024, "SH"), (0x00180010, "LO"),
    (0x00185100, "CS"), (0x00080008, "CS"), (0x00180020, "CS"), (0x00180022, "CS"), (0x00181160, "SH"),
    (0x00540081, "US"), (0x00541001, "CS"), (0x00180031, "LO"), (0x00181250, "SH"), (0x00180040, "IS"),
    (0x00281055, "LO"), (0x00200062, "CS"), (0x00185101, "CS"), (0x00181400, "LO"), (0x00204000, "LT"),
    (0x00321060, "LO"), (0x00400254, "LO"), (0x00700081, "LO"), (0x00700080, "CS"), (0x00080060, "CS"),
    (0x00180050, "DS"), (0x00200013, "IS"), (0x00200010, "SH"), (0x00181110, "DS"),
)  # fmt: skip


def spelled(token: Token, letters: str) -> str:
    """The token in another alphabet."""
    return "".join(letters[CONSONANTS.index(letter) % len(letters)] for letter in token.text[3:])


def _charset(tag: int, vr: str, row: tuple[str, str, str, bytes], item: bool) -> Planter:
    """Text of a character set, at the top or in an item that declares the set itself."""
    declared, codec, letters, escape = row

    def plant(draft: Draft, token: Token) -> tuple[bytes, ...]:
        word = spelled(token, letters)
        raw = word.encode(codec)
        value = escape + raw
        if vr == "PN":  # alphabetic, ideographic and phonetic, the name in each
            value = b"Doe^J=" + escape + raw + b"^" + escape + raw + b"=" + escape + raw
        items: Item = [text(0x00080005, "CS", declared)] if declared else []
        items.append(text(tag, vr, value))
        if item:
            put(draft.items, sequence(0x00081032, items))
        else:
            for elem in items:
                put(draft.items, elem)
        return (raw, *unicode_forms(word), *unicode_forms(word.upper()))

    return plant


def charset_places(draft: Draft) -> Iterator[Place]:
    """Names and texts in each character set. Their order matters: one declares the set for all."""
    yield Place("charset-name", "charset/declared", _declared)
    for number, row in enumerate(CHARSETS):
        for tag, vr in ((0x00100010, "PN"), (0x0008103E, "LO"), (0x00104000, "LT"), (0x00181030, "LO")):
            name = f"{row[0] or 'none'}/{tag:08X}"
            yield Place(f"charset-{number:02}", f"charset/{name}", _charset(tag, vr, row, False))
        yield Place(f"charset-{number:02}", f"charset/{row[0] or 'none'}/item", _charset(0x00080104, "LO", row, True))


def _declared(draft: Draft, token: Token) -> tuple[bytes, ...]:
    """A name where the character set is declared."""
    put(draft.items, text(0x00080005, "CS", f"ISO_IR 100\\{token.text}"))
    return (token.text.encode(),)


def _valued(tag: int, vr: str, make: Callable[[Token], str | bytes], *needles: Callable[[Token], str]) -> Planter:
    return adding(lambda token: text(tag, vr, make(token)), *[_bytes(needle) for needle in needles])


def _bytes(needle: Callable[[Token], str]) -> Callable[[Token], bytes]:
    return lambda token: needle(token).encode("latin-1")


BESIDE: tuple[tuple[str, Callable[[Token], str], Callable[[Token], str]], ...] = (
    ("after terms", lambda t: f"T1 MPRAGE SAG {t.text}", lambda t: t.text),
    ("before terms", lambda t: f"{t.text} T1 MPRAGE SAG", lambda t: t.text),
    ("joined", lambda t: f"T1_{t.text}_SAG", lambda t: t.text),
    ("glued", lambda t: f"AX{t.text}T2", lambda t: t.text),
    ("lower case", lambda t: f"t2 axial {t.text.lower()}", lambda t: t.text.lower()),
    ("id", lambda t: f"T2 TSE {t.digits}", lambda t: t.digits),
    ("id glued", lambda t: f"T2 TSE{t.digits}", lambda t: t.digits),
    ("decimal", lambda t: f"{t.digits[:5]}.{t.digits[5:]} mm", lambda t: f"{t.digits[:5]}.{t.digits[5:]}"),
    ("split id", lambda t: " ".join([t.digits[:2], t.digits[2:4], t.digits[4:6], t.digits[6:]]),
     lambda t: " ".join([t.digits[:2], t.digits[2:4], t.digits[4:6], t.digits[6:]])),
    ("date", lambda t: f"CT HEAD {t.date}", lambda t: t.date),
    ("date with dots", lambda t: f"MR {t.date[6:]}.{t.date[4:6]}.{t.date[:4]}",
     lambda t: f"{t.date[6:]}.{t.date[4:6]}.{t.date[:4]}"),
    ("values", lambda t: f"AXIAL\\{t.text}\\SAG", lambda t: t.text),
    ("split", lambda t: f"{t.text[:5]}\\{t.text[5:]}", lambda t: f"{t.text[:5]}\\{t.text[5:]}"),
    ("spaced letters", lambda t: " ".join(t.text), lambda t: " ".join(t.text)),
    ("name", lambda t: f"CT {t.family}{t.text}", lambda t: t.text),
    ("after a zero", lambda t: f"AXIAL\0{t.text}", lambda t: t.text),
    ("after spaces", lambda t: "T1" + " " * 30 + t.text, lambda t: t.text),
    ("line", lambda t: f"AXIAL\r\n{t.text}", lambda t: t.text),
    ("too long", lambda t: "AXIAL " * 30 + t.text, lambda t: t.text),
    ("only spaces around", lambda t: f"  {t.text}  ", lambda t: t.text),
)  # fmt: skip


def descriptor_places(draft: Draft) -> Iterator[Place]:
    """An identifier beside terms that may stay."""
    for tag, vr in DESCRIPTORS:
        for number, (name, make, needle) in enumerate(BESIDE):
            planter = _valued(tag, vr, make, needle)
            yield Place(f"beside-{number:02}", f"beside/{name}/{tag:08X}", planter)


def numeric_places(draft: Draft) -> Iterator[Place]:
    """Text in numbers' VRs, and ids and birth dates as numbers, in attributes that science keeps.

    Not among them: digits made a plausible measure (`0.48392017`), which nothing tells from a real one.
    """
    for tag in (
        0x00180050,
        0x00180080,
        0x00180081,
        0x00180060,
        0x00181151,
        0x00281050,
        0x00281053,
        0x00101030,
    ):
        for name, make in (
            ("text", lambda t: t.text), ("birth date", lambda t: t.date), ("id", lambda t: t.digits),
            ("id after", lambda t: f"5\\{t.digits}"), ("signed", lambda t: f"-{t.digits}"),
            ("comment", lambda t: f"5 {t.text}"),
        ):  # fmt: skip
            yield Place(f"numeric-{name}", f"numeric/{name}/{tag:08X}", _valued(tag, "DS", make, make))
    for tag in (0x00200011, 0x00200012, 0x00200013, 0x00181152, 0x00280008, 0x00180086, 0x00180091):
        for name, make in (
            ("text", lambda t: t.text),
            ("id", lambda t: t.digits),
            ("date", lambda t: t.date),
        ):
            yield Place(
                f"{'frames' if tag == 0x00280008 else 'numeric'}-{name}",
                f"numeric/{name}/{tag:08X}",
                _valued(tag, "IS", make, make),
            )


def person_places(draft: Draft) -> Iterator[Place]:
    """Person names: three groups, each component, many values."""
    shapes: tuple[tuple[str, Callable[[Token], str]], ...] = (
        ("ideographic", lambda t: f"A^B={t.text}^C"), ("phonetic", lambda t: f"A^B=C^D={t.text}"),
        ("suffix", lambda t: f"A^B^C^D^{t.text}"), ("second value", lambda t: f"A^B\\{t.text}^C"),
        ("fourth group", lambda t: f"A=B=C={t.text}"),
    )  # fmt: skip
    for tag in (
        0x00100010,
        0x00080090,
        0x00081050,
        0x00081070,
        0x00101001,
        0x0040A075,
        0x00321032,
        0x00700084,
    ):
        for name, make in shapes:
            yield Place(f"person-{name}", f"person/{name}/{tag:08X}", _valued(tag, "PN", make, lambda t: t.text))
