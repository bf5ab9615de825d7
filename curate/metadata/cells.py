"""Rows of cells, as text, from CSV in mixed encodings, XLSX and Parquet; streamed.

Each row comes with the number that a spreadsheet shows for it (the header is usually row 1), and None in
place of cells where the row cannot be read.
"""

from __future__ import annotations

import codecs
import csv
import datetime as dt
import math
import re
import unicodedata
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError
from zipfile import BadZipFile, ZipFile

import pyarrow as pa
import pyarrow.parquet as pq

from curate.core.errors import InputError
from curate.metadata.coded import fold

Row = tuple[int, list[str] | None]

SEPARATORS = (",", ";", "\t", "|")
LONGEST_CELL = 100_000
LARGEST_WORKBOOK = 4 << 30  # unpacked; a million rows take about 0.5 GB
_SPACES = frozenset("\u00a0\u2007\u202f")
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")  # MS-OFFCRYPTO 2.2: how Excel writes an XLSX under a password
_EXACT_DIGITS = 10**15  # a double holds no longer whole number
_XLSX_FAULTS = (
    BadZipFile,
    zlib.error,
    ParseError,
    EOFError,
    KeyError,
    IndexError,
    ValueError,
    TypeError,
    OSError,
)
_ENDINGS = {".xlsx": "XLSX", ".xlsm": "XLSX", ".parquet": "Parquet"}
_HINT = "Save the table as CSV (UTF-8), XLSX or Parquet."


def read(path: Path, names: frozenset[str]) -> Iterator[Row]:
    """All rows of a table, the header first; `names` are the columns that tell the separator of a CSV.

    Raises:
        InputError: the file cannot be opened, or is none of CSV, XLSX and Parquet.
    """
    try:
        with path.open("rb") as file:
            start = file.read(65536)
    except OSError as error:
        message = f"The table {path.name} cannot be read: {error.strerror}."
        raise InputError(message, hint="Check the path and its permissions.") from None
    return _tidied(_rows(path, start, names))


def _tidied(rows: Iterator[Row]) -> Iterator[Row]:
    for number, row in rows:
        yield number, row and [tidy(cell) for cell in row]


def _rows(path: Path, start: bytes, names: frozenset[str]) -> Iterator[Row]:
    if start.startswith(b"PAR1"):
        return map(_encodable, _parquet(path))
    if start.startswith(b"PK"):
        return map(_encodable, _xlsx(path))
    if start.startswith(b"\xd0\xcf\x11\xe0"):
        raise _ole(path, start)
    if kind := _ENDINGS.get(path.suffix.lower()):  # as text it would seem to lack its columns
        raise _damaged(path, kind)
    return map(_encodable, _csv(path, _encoding(start), names))


def _encodable(row: Row) -> Row:
    """The row with halves of letters, which no encoding has, as the mark for what is no letter."""
    number, cells = row
    if cells is None or "".join(cells).isascii():
        return row
    return number, [re.sub("[\ud800-\udfff]", "\ufffd", cell) for cell in cells]


def _ole(path: Path, start: bytes) -> InputError:
    """What is wrong with an OLE file: an XLSX under a password is one, and else it is an .xls."""
    shift, first = int.from_bytes(start[30:32], "little"), int.from_bytes(start[48:52], "little")
    with path.open("rb") as file:  # MS-CFB 2.2: where the directory, which names the streams, begins
        file.seek((first + 1) << min(shift, 12))
        directory = file.read(1 << 12)
    if _ENCRYPTED in directory:
        message = f"The table {path.name} is encrypted with a password."
        return InputError(message, hint="Save it as XLSX without a password, or as CSV.")
    return InputError(f"The table {path.name} is in the old Excel format (.xls).", hint="Save it as XLSX.")


def _encoding(start: bytes) -> str:
    """UTF-16 by its mark or its zero bytes; else UTF-8, in which each stray byte is read as cp1252."""
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    zeros = [start[at::2].count(0) for at in (0, 1)]
    if max(zeros) > len(start) // 8:
        return "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"
    return "utf-8-sig"


def _stray_byte(error: UnicodeError) -> tuple[str, int]:
    """Reads what is not UTF-8 as cp1252, and what cp1252 lacks as latin-1: exports often mix them."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    stray = error.object[error.start : error.end]
    text = "".join(_single(byte) for byte in stray)
    return text, error.end


def _single(byte: int) -> str:
    try:
        return bytes([byte]).decode("cp1252")
    except UnicodeDecodeError:
        return bytes([byte]).decode("latin-1")


codecs.register_error("curate-cp1252", _stray_byte)


def _csv(path: Path, encoding: str, names: frozenset[str]) -> Iterator[Row]:
    errors = "curate-cp1252" if encoding == "utf-8-sig" else "replace"
    csv.field_size_limit(LONGEST_CELL)
    with path.open(encoding=encoding, errors=errors, newline="") as file:
        first = file.readline()
        told = re.fullmatch(r"sep=(.)\s*", first.strip('"\ufeff'))
        if not told:
            file.seek(0)
        separator = told[1] if told else _separator(first, names)
        yield from _numbered(csv.reader(file, delimiter=separator, strict=True), 2 if told else 1)


def _separator(header: str, names: frozenset[str]) -> str:
    """The separator that shows most of the expected columns."""
    return max(SEPARATORS, key=lambda mark: sum(plain_name(cell) in names for cell in header.split(mark)))


def plain_name(cell: str) -> str:
    """A column's name as the table's rules write it: lower case, no accents, underscores, no quotes."""
    return re.sub(r"[\s\-'’]+", "_", fold(cell.strip().strip("\"'\ufeff")))


def tidy(cell: str) -> str:
    """A cell as a person reads it: composed Unicode (NFC), and no characters that nobody sees.

    macOS writes names decomposed; pasted text brings zero-width spaces, byte order marks and no-break spaces.
    """
    if cell.isascii():
        return cell
    text = unicodedata.normalize("NFC", cell)
    return "".join(" " if char in _SPACES else char for char in text if unicodedata.category(char) != "Cf")


def _numbered(reader: Iterable[list[str]], first: int) -> Iterator[Row]:
    """Rows with their number; a row that breaks CSV's rules is None, and reading goes on after it."""
    rows = iter(reader)
    number = first
    while True:
        try:
            cells = next(rows)
        except StopIteration:  # the end of the table
            return
        except csv.Error:
            yield number, None
        else:
            if any(cell.strip() for cell in cells):
                yield number, cells
        number += 1


def _damaged(path: Path, kind: str) -> InputError:
    return InputError(f"The table {path.name} is not a readable {kind} file.", hint=_HINT)


def _xlsx(path: Path) -> Iterator[Row]:
    """The sheet `studies`, or the first one; numbers as a spreadsheet shows them, days in ISO 8601."""
    import openpyxl  # late: a seventh of a second, and most tables are CSV

    with path.open("rb") as file:
        try:
            with ZipFile(file) as parts:
                if sum(part.file_size for part in parts.infolist()) > LARGEST_WORKBOOK:
                    raise _damaged(path, "XLSX")
            with closing(_quietly(openpyxl.load_workbook, file, read_only=True, data_only=True)) as book:
                yield from _sheet(book["studies"] if "studies" in book.sheetnames else book.worksheets[0])
        except _XLSX_FAULTS:
            raise _damaged(path, "XLSX") from None


def _sheet(sheet: Any) -> Iterator[Row]:
    rows, number = sheet.iter_rows(), 0
    while batch := _quietly(lambda: list(islice(rows, 1000))):
        for cells in batch:
            number += 1
            texts = [_shown(cell.value, getattr(cell, "number_format", "")) for cell in cells]
            if any(texts):
                yield number, texts


def _quietly(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """A call without openpyxl's warnings: some are about styles, some show a cell's value."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*args, **options)


def _parquet(path: Path) -> Iterator[Row]:
    try:
        with path.open("rb") as raw, pq.ParquetFile(raw) as file:  # Arrow takes no path that is not UTF-8
            yield 1, list(file.schema_arrow.names)
            number = 2
            for batch in file.iter_batches(batch_size=20_000):
                for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    yield number, [_shown(value) for value in values]
                    number += 1
    except (pa.ArrowException, OSError, UnicodeDecodeError):
        raise _damaged(path, "Parquet") from None


def _shown(value: object, number_format: str = "") -> str:
    """A typed cell as text: leading zeros as its format shows them, whole numbers without a point."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        return _shown_float(value, number_format)
    if isinstance(value, int):
        zeros = len(number_format) if re.fullmatch(r"0+", number_format or "") else 0
        return f"{value:.6e}" if abs(value) >= _EXACT_DIGITS else f"{value:0{zeros}d}"
    if isinstance(value, dt.datetime):
        return value.date().isoformat() if value.time() == dt.time() else value.isoformat(" ")
    if isinstance(value, dt.date):
        return value.isoformat()
    return str(value).strip()


def _shown_float(value: float, number_format: str) -> str:
    if math.isnan(value):
        return ""
    return _shown(int(value), number_format) if value.is_integer() and math.isfinite(value) else repr(value)
