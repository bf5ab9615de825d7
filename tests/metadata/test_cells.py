from __future__ import annotations

import datetime as dt
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.core.errors import InputError
from curate.metadata import cells

NAMES = frozenset({"study", "region", "age"})


def read(path: Path) -> list[cells.Row]:
    return list(cells.read(path, NAMES))


def table(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "latin-1", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_encodings_and_separators(tmp_path: Path, encoding: str, separator: str) -> None:
    """A table reads the same in every encoding and with every separator that a spreadsheet writes."""
    text = f"study{separator}region\r\n1.2{separator}mà, genoll; peu\r\n1.3{separator}còlon·ñ\r\n"
    text = text.replace("mà, genoll; peu", "mà genoll peu")
    assert read(table(tmp_path, text.encode(encoding))) == [
        (1, ["study", "region"]),
        (2, ["1.2", "mà genoll peu"]),
        (3, ["1.3", "còlon·ñ"]),
    ]


def test_encodings_mixed_in_one_file(tmp_path: Path) -> None:
    """Lines from several exports, each in its own encoding, are all read."""
    content = "study,region\n1,muñeca\n".encode() + "2,muñeca\n3,‘mà’ €\n".encode("cp1252") + b"4,\x81\n"
    assert [row for _, row in read(table(tmp_path, content))][1:] == [
        ["1", "muñeca"],
        ["2", "muñeca"],
        ["3", "‘mà’ €"],
        ["4", "\x81"],
    ]


def test_what_spreadsheets_add_to_csv(tmp_path: Path) -> None:
    """A line sep=;, old line ends, quoted line breaks and blank lines keep the spreadsheet's row numbers."""
    assert read(table(tmp_path, b"sep=;\r\nstudy;age\r\n1;45\r\n")) == [
        (2, ["study", "age"]),
        (3, ["1", "45"]),
    ]
    assert read(table(tmp_path, b"study,age\r1,45\r")) == [(1, ["study", "age"]), (2, ["1", "45"])]
    assert read(table(tmp_path, b'study,age\n\n,\n"1\n2",45\n3,4\n')) == [
        (1, ["study", "age"]),
        (4, ["1\n2", "45"]),
        (5, ["3", "4"]),
    ]


def test_a_broken_row_does_not_stop_the_others(tmp_path: Path) -> None:
    """A row that breaks CSV's rules, or has an endless cell, comes as None and reading goes on."""
    content = b'study,age\n"1"x,45\n2,46\n' + b"3," + b"9" * (cells.LONGEST_CELL + 1) + b"\n4,48\n"
    assert [row for _, row in read(table(tmp_path, content))] == [
        ["study", "age"],
        None,
        ["2", "46"],
        None,
        ["4", "48"],
    ]
    assert read(table(tmp_path, b'study,age\n1,45\n2,"46\n'))[-1] == (3, None)


def test_excel_s_typed_cells(tmp_path: Path) -> None:
    """Numbers come as Excel shows them, zeros of the format included, and days in ISO 8601."""
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["study", "age"])
    shown = [
        (45, "45"),
        (45.0, "45"),
        (45.5, "45.5"),
        ("  mà ", "mà"),
        (True, "TRUE"),
        (dt.datetime(2024, 5, 4), "2024-05-04"),
        (dt.datetime(2024, 5, 4, 10, 30), "2024-05-04 10:30:00"),
        (12345678901234567, "1.234568e+16"),
        ("#N/A", "#N/A"),
    ]
    for value, _ in shown:
        sheet.append(["x", value])
    sheet.append(["x", 42])
    sheet.cell(row=sheet.max_row, column=2).number_format = "00000"
    path = tmp_path / "table.xlsx"
    book.save(path)
    texts = [row[1] for _, row in read(path) if row is not None][1:]
    assert texts == [text for _, text in shown] + ["00042"]


def test_excel_s_sheet_studies_is_preferred(tmp_path: Path) -> None:
    """Of several sheets, the one named studies is read, else the first."""
    book = openpyxl.Workbook()
    first = book.active
    assert first is not None
    first.append(["notes"])
    book.create_sheet("studies").append(["study"])
    book.save(tmp_path / "t.xlsx")
    assert read(tmp_path / "t.xlsx") == [(1, ["study"])]


def test_parquet_types(tmp_path: Path) -> None:
    """Numbers, days and nulls of Parquet come as text."""
    days = pa.array([dt.date(2024, 5, 4), None])
    columns = {
        "study": ["1", "2"],
        "age": pa.array([45.0, None]),
        "day": days,
        "n": pa.array([1, 2], pa.int8()),
    }
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    assert read(tmp_path / "t.parquet") == [
        (1, ["study", "age", "day", "n"]),
        (2, ["1", "45", "2024-05-04", "1"]),
        (3, ["2", "", "", "2"]),
    ]


def test_the_name_of_the_file_does_not_matter(tmp_path: Path) -> None:
    """The content tells the format, whatever the ending says."""
    book = openpyxl.Workbook()
    assert book.active is not None
    book.active.append(["study"])
    book.save(tmp_path / "t.xlsx")
    (tmp_path / "t.xlsx").rename(tmp_path / "t.csv")
    assert read(tmp_path / "t.csv") == [(1, ["study"])]


# MS-CFB: a header that says sectors of 2^9 bytes and a directory in the second one, which names the streams
OLE = (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".ljust(30, b"\0") + b"\x09\0").ljust(48, b"\0") + (1).to_bytes(4, "little")
OLE = OLE.ljust(1024, b"\0")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04 not a workbook", "not a readable XLSX"),
        (b"PAR1 not a table PAR1", "not a readable Parquet"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "old Excel format"),
        (OLE + "Workbook".encode("utf-16-le"), "old Excel format"),
        (OLE + "EncryptedPackage".encode("utf-16-le"), "encrypted with a password"),
    ],
)
def test_what_is_no_table_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    """A damaged or old file is an error that says what it is and what to save instead."""
    with pytest.raises(InputError, match=message) as caught:
        read(table(tmp_path, content))
    assert "table.csv" in caught.value.message
    assert "XLSX" in caught.value.hint


@pytest.mark.parametrize(("name", "kind"), [("t.xlsx", "XLSX"), ("t.PARQUET", "Parquet")])
@pytest.mark.parametrize("data", [b"", bytes(200), b"study,donor\n"])
def test_a_file_that_is_not_what_its_ending_says(tmp_path: Path, name: str, kind: str, data: bytes) -> None:
    """It is told as unreadable, not as a text that lacks columns."""
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=f"{name} is not a readable {kind} file"):
        read(tmp_path / name)


@pytest.mark.parametrize("kind", ["xlsx", "parquet"])
def test_a_damaged_table_never_ends_in_a_traceback(tmp_path: Path, kind: str) -> None:
    """A file cut short or with a changed byte is read, or refused as unreadable."""
    whole = tmp_path / f"whole.{kind}"
    if kind == "xlsx":
        book = openpyxl.Workbook()
        assert book.active is not None
        for number in range(200):
            book.active.append(["study", f"name {number}", number, dt.date(2024, 5, 4)])
        book.save(whole)
    else:
        pq.write_table(pa.table({"study": [f"name {number}" for number in range(2000)]}), whole)
    content = whole.read_bytes()
    path = tmp_path / "t"
    refused = 0
    for at in range(8, len(content), max(1, len(content) // 60)):
        for damaged in (content[:at], content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :]):
            path.write_bytes(damaged)
            try:
                read(path)
            except InputError as error:
                refused += 1
                assert "not a readable" in error.message
    assert refused > 50


def test_no_warning_shows_a_cell(tmp_path: Path) -> None:
    """A day that Excel cannot have is read without a warning that would print it."""
    book = openpyxl.Workbook()
    assert book.active is not None
    book.active.append([99999999.5])
    book.active.cell(row=1, column=1).number_format = "yyyy-mm-dd"
    book.save(tmp_path / "t.xlsx")
    assert len(read(tmp_path / "t.xlsx")) == 1


def test_a_missing_table_and_a_folder(tmp_path: Path) -> None:
    """A path that cannot be opened is an error with the system's reason."""
    for path in (tmp_path / "absent.csv", tmp_path):
        with pytest.raises(InputError, match="cannot be read") as caught:
            read(path)
        assert "Check the path" in caught.value.hint
