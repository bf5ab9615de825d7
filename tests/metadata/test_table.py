from __future__ import annotations

import csv
import io
import pickle
import random
import tracemalloc
from datetime import date
from pathlib import Path

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate.core.errors import InputError
from curate.core.findings import Finding, rules
from curate.metadata import table
from curate.metadata.study_row import StudyRow

GOOD = {
    "study": "1.2.3",
    "donor": "D1",
    "age": "45",
    "sex": "F",
    "region": "genoll dret",
    "diagnosis": "M17.11",
    "consent": "given",
    "consent_date": "2024-05-04",
}


def write(path: Path, *rows: dict[str, str], separator: str = ",") -> Path:
    """A CSV table of rows, each GOOD but for what it says."""
    columns = list(dict.fromkeys([*GOOD, *(name for row in rows for name in row)]))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, delimiter=separator, restval="")
    writer.writeheader()
    writer.writerows({**GOOD, **row} for row in rows)
    path.write_text(text.getvalue(), encoding="utf-8")
    return path


def rows_of(path: Path) -> list[StudyRow]:
    return list(table.open_table(path).rows())


def found(row: StudyRow) -> set[tuple[str, str]]:
    return {(finding.rule, finding.tag) for finding in row.findings}


def test_a_good_row_is_coded(tmp_path: Path) -> None:
    """All columns, the optional ones too, arrive coded and without findings."""
    extra = {"diagnosis_basis": "informe", "license": "CC0-1.0", "scope": "all", "consent_version": "2"}
    extra |= {
        "consent_language": "ca",
        "given_by": "tutor",
        "clinical_use_ended": "sí",
        "birth_date": "19790101",
    }
    (row,) = rows_of(write(tmp_path / "t.csv", extra))
    assert (row.row, row.study, row.donor, row.findings, row.refused) == (2, "1.2.3", "D1", (), False)
    assert (row.age.code, row.sex.code, row.diagnosis.code) == ("045Y", "F", "M17")
    assert (row.region.meaning, row.region.laterality) == ("Knee, right", "R")
    assert (row.consent, row.consent_date) == ("given", date(2024, 5, 4))
    assert (row.diagnosis_basis, row.diagnosis.basis, row.license) == ("report", "report", "CC0-1.0")
    assert (row.scope, row.consent_version, row.consent_language) == ("all", "2", "ca")
    assert (row.given_by, row.clinical_use_ended, row.birth_date) == ("guardian", True, date(1979, 1, 1))
    assert row.raw["region"] == "genoll dret"


@pytest.mark.parametrize(
    ("change", "rule", "column"),
    [
        ({"age": "200Y"}, "AGE_OUT_OF_RANGE", "age"),
        ({"age": "1979-03-02"}, "AGE_IS_DATE", "age"),
        ({"age": "000Y"}, "AGE_PLACEHOLDER", "age"),
        ({"sex": "?"}, "SEX_UNKNOWN", "sex"),
        ({"sex": "6657"}, "SEX_UNREADABLE", "sex"),
        ({"region": "genol"}, "REGION_UNKNOWN", "region"),
        ({"region": ""}, "REGION_MISSING", "region"),
        ({"laterality": "L"}, "LATERALITY_CONFLICT", "region"),
        ({"diagnosis": "càncer"}, "DIAGNOSIS_FREE_TEXT", "diagnosis"),
        ({"diagnosis": "May-49"}, "DIAGNOSIS_MANGLED", "diagnosis"),
        ({"diagnosis": "Z99.77"}, "DIAGNOSIS_NO_SUCH_CODE", "diagnosis"),
        ({"diagnosis_basis": "guess"}, "DIAGNOSIS_BASIS_UNKNOWN", "diagnosis_basis"),
        ({"consent": ""}, "CONSENT_MISSING", "consent"),
        ({"consent": "no"}, "CONSENT_NOT_GIVEN", "consent"),
        ({"consent": "perhaps"}, "CONSENT_UNREADABLE", "consent"),
        ({"consent_date": ""}, "CONSENT_DATE_MISSING", "consent_date"),
        ({"consent_date": "04/05/2024"}, "DATE_UNREADABLE", "consent_date"),
        ({"birth_date": "04/05/1979"}, "DATE_UNREADABLE", "birth_date"),
        ({"given_by": "neighbour"}, "GIVEN_BY_UNKNOWN", "given_by"),
        ({"clinical_use_ended": "soon"}, "CLINICAL_USE_UNREADABLE", "clinical_use_ended"),
        ({"study": ""}, "TABLE_STUDY_MISSING", "study"),
        ({"donor": ""}, "TABLE_DONOR_MISSING", "donor"),
        ({"study": "1.23E+15"}, "TABLE_NUMBER_DAMAGED", "study"),
        ({"donor": "2024-05-04"}, "TABLE_NUMBER_DAMAGED", "donor"),
        ({"donor": "#REF!"}, "TABLE_NUMBER_DAMAGED", "donor"),
    ],
)
def test_a_bad_cell_is_one_finding(tmp_path: Path, change: dict[str, str], rule: str, column: str) -> None:
    """A bad cell gives one finding, which names the row and the column, and the other rows go on."""
    bad, good = rows_of(write(tmp_path / "t.csv", change, {"study": "1.2.4", "laterality": "R"}))
    assert bad.findings == (Finding(rule, "row 2", column),)
    assert good.findings == ()


def test_every_rule_that_the_vocabularies_name_is_listed(tmp_path: Path) -> None:
    """Each rule of this room stands in rules.json, with what to do next."""
    sources = (Path(table.__file__).parent).glob("*.py")
    text = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    ours = {rule for rule in rules() if f'"{rule}"' in text}
    assert len(ours) >= 34
    assert all(rules()[rule].next for rule in ours)


def test_missing_and_doubled_columns_are_errors(tmp_path: Path) -> None:
    """A table that lacks a column, or has one twice, is refused with its name and what is expected."""
    path = tmp_path / "t.csv"
    path.write_text("study,donor,age,sex,region,consent\n", encoding="utf-8")
    with pytest.raises(InputError, match="lacks the columns diagnosis and consent_date") as caught:
        table.open_table(path)
    assert "study, donor, age, sex, region, diagnosis, consent, consent_date" in caught.value.hint
    path.write_text(",".join([*GOOD, "Age "]) + "\n", encoding="utf-8")
    with pytest.raises(InputError, match="has the column age 2 times"):
        table.open_table(path)


@pytest.mark.parametrize("content", ["", "\n\n", '"study'])
def test_a_table_without_a_header_is_an_error(tmp_path: Path, content: str) -> None:
    """An empty table is refused with what is expected."""
    (tmp_path / "t.csv").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match="empty or its first row cannot be read"):
        table.open_table(tmp_path / "t.csv")


def test_a_table_without_rows_is_empty(tmp_path: Path) -> None:
    """A header alone is a table of no studies."""
    assert rows_of(write(tmp_path / "t.csv")) == []


def test_unknown_columns_are_named_by_letter(tmp_path: Path) -> None:
    """A column that is not used is noted by its letter, since its name may be a person's."""
    opened = table.open_table(write(tmp_path / "t.csv", {"Joana Puig": "x"}))
    assert opened.findings == (Finding("TABLE_COLUMN_UNKNOWN", "column I"),)


@pytest.mark.parametrize(
    ("heading", "column"),
    [("licence", "license"), ("Llicència", "license"), ("clinical_use_end", "clinical_use_ended"),
     ("Fecha de nacimiento", "birth_date"), ("lateralidad", "laterality"), ("Donat per", "given_by")],
)  # fmt: skip
def test_a_heading_in_another_spelling_is_read(tmp_path: Path, heading: str, column: str) -> None:
    """A donor's licence under `licence` was a note, and the study got the archive's."""
    value = {"license": "CC0-1.0", "clinical_use_ended": "no", "birth_date": "1979-01-01"}.get(column, "")
    (row,) = rows_of(write(tmp_path / "t.csv", {heading: value}))
    assert row.raw[column] == value
    assert row.findings == ()


def test_a_whole_table_in_catalan(tmp_path: Path) -> None:
    """All eight columns by their Catalan names, separated by semicolons."""
    path = tmp_path / "t.csv"
    path.write_text(
        "Estudi;Donant;Edat;Sexe;Regió;Diagnòstic;Consentiment;Data del consentiment\n" + ";".join(GOOD.values()) + "\n"
    )
    (row,) = rows_of(path)
    assert (row.study, row.consent, row.age.code, row.findings) == ("1.2.3", "given", "045Y", ())


@pytest.mark.parametrize("heading", ["licens", "licenses", "clinical_use_endd", "given_bye", "scopes", "lateralty"])
def test_a_heading_that_is_nearly_right_is_refused(tmp_path: Path, heading: str) -> None:
    """It is a known column misspelled, or something else: nobody but the owner can say."""
    with pytest.raises(InputError, match=rf"nearly \w+: '{heading}' \(column I\)"):
        table.open_table(write(tmp_path / "t.csv", {heading: "x"}))


def test_two_spellings_of_one_column_are_refused(tmp_path: Path) -> None:
    """`license` and `licence` in one table: which one holds cannot be told."""
    with pytest.raises(InputError, match=r"has the column license 2 times \(columns I and J\)"):
        table.open_table(write(tmp_path / "t.csv", {"license": "CC0-1.0", "licence": "CC-BY-4.0"}))


@pytest.mark.parametrize("heading", ["study_date", "patient_name", "StudyDescription", "notes", "accession", "weight"])
def test_other_headings_are_ignored_and_noted(tmp_path: Path, heading: str) -> None:
    """What resembles nothing is no column of ours."""
    opened = table.open_table(write(tmp_path / "t.csv", {heading: "x"}))
    assert opened.findings == (Finding("TABLE_COLUMN_UNKNOWN", "column I"),)


def test_characters_that_nobody_sees_are_not_read(tmp_path: Path) -> None:
    """A zero-width space pasted before a UID, a no-break space, decomposed accents."""
    odd = {"study": "\u200b1.2.3\ufeff", "donor": "D\u00a01", "region": "to\u0301rax"}
    (row,) = rows_of(write(tmp_path / "t.csv", odd))
    assert (row.study, row.donor, row.region.group, row.findings) == ("1.2.3", "D 1", "chest", ())


def test_headers_in_any_spelling(tmp_path: Path) -> None:
    """Capitals, spaces, hyphens and quotes in a header do not matter."""
    path = write(tmp_path / "t.csv", {})
    text = path.read_text(encoding="utf-8").replace("consent_date", " Consent-Date ").replace("age", '"AGE"')
    path.write_text(text, encoding="utf-8")
    assert rows_of(path)[0].findings == ()


def test_a_study_named_twice_with_different_values_is_refused(tmp_path: Path) -> None:
    """Both rows are refused, and the second says which column differs."""
    first, second, other = rows_of(write(tmp_path / "t.csv", {"age": "45"}, {"age": "46", "sex": "M"}, {"study": "9"}))
    assert found(first) == {("TABLE_STUDY_CONFLICT", "study")}
    assert found(second) == {("TABLE_STUDY_CONFLICT", name) for name in ("study", "age", "sex")}
    assert first.refused
    assert second.refused
    assert not other.refused


def test_a_study_named_twice_with_the_same_values_counts_once(tmp_path: Path) -> None:
    """An equal second row is only noted."""
    first, second = rows_of(write(tmp_path / "t.csv", {}, {}))
    assert found(first) == set()
    assert found(second) == {("TABLE_STUDY_REPEATED", "study")}
    assert not second.refused


def test_lost_leading_zeros_show(tmp_path: Path) -> None:
    """A number shorter than the zero-filled ones of its column has lost its zeros."""
    long, short, word = rows_of(
        write(
            tmp_path / "t.csv",
            {"study": "1", "donor": "0012"},
            {"study": "2", "donor": "7"},
            {"study": "3", "donor": "x"},
        )
    )
    assert (found(long), found(word)) == (set(), set())
    assert found(short) == {("TABLE_ZEROS_LOST", "donor")}


def test_m_in_a_column_with_h_is_refused(tmp_path: Path) -> None:
    """In a table of hombre and mujer, M is not read as male, wherever the H stands."""
    m, h = rows_of(write(tmp_path / "t.csv", {"sex": "M"}, {"study": "9", "sex": "H"}))
    assert found(m) == {("SEX_AMBIGUOUS", "sex")}
    assert h.sex.code == "M"


def test_a_row_of_another_shape_is_refused_whole(tmp_path: Path) -> None:
    """A row with a cell too many or too few, or a stray quote, is refused and the next one read."""
    path = write(tmp_path / "t.csv", {}, {"study": "2"}, {"study": "3"}, {"study": "4"})
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[1] += ",surplus"
    lines[2] = lines[2].rsplit(",", 2)[0]
    lines[3] = '"x"y' + lines[3]
    path.write_text("\n".join(lines), encoding="utf-8")
    rows = rows_of(path)
    assert [found(row) for row in rows] == [{("TABLE_ROW_BROKEN", "")}] * 3 + [set()]
    assert [row.row for row in rows] == [2, 3, 4, 5]


def test_the_rows_of_some_studies(tmp_path: Path) -> None:
    """Studies are found by name without coding the rest, and a conflict is seen all the same."""
    opened = table.open_table(write(tmp_path / "t.csv", {}, {"study": "2"}, {"study": "3"}, {"age": "46"}))
    some = opened.rows_of(frozenset({"1.2.3", "3", "absent"}))
    assert sorted(some) == ["1.2.3", "3"]
    assert some["1.2.3"].refused
    assert not some["3"].refused


def test_the_same_rows_from_xlsx_and_parquet(tmp_path: Path) -> None:
    """CSV, XLSX with typed cells, and Parquet give the same records."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    (from_csv,) = rows_of(write(tmp_path / "t.csv", {}))
    book = openpyxl.Workbook()
    assert book.active is not None
    book.active.append(list(GOOD))
    book.active.append([*list(GOOD.values())[:2], 45, *list(GOOD.values())[3:7], date(2024, 5, 4)])
    book.save(tmp_path / "t.xlsx")
    typed = {
        **{name: [value] for name, value in GOOD.items()},
        "age": [45],
        "consent_date": [date(2024, 5, 4)],
    }
    pq.write_table(pa.table(typed), tmp_path / "t.parquet")
    assert rows_of(tmp_path / "t.xlsx") == [from_csv]
    assert rows_of(tmp_path / "t.parquet") == [from_csv]


def test_a_table_can_cross_to_another_process(tmp_path: Path) -> None:
    """An opened table reads the same after pickling, conflicts included."""
    opened = table.open_table(write(tmp_path / "t.csv", {}, {"age": "46"}))
    again: table.StudiesTable = pickle.loads(pickle.dumps(opened))
    assert list(again.rows()) == list(opened.rows())


SECRET = "Zxq7Wv"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.lists(st.lists(st.sampled_from([SECRET, "", "45", f"{SECRET}\n", f'"{SECRET}', "1;2"]), max_size=10)))
def test_no_finding_and_no_repr_shows_a_cell(tmp_path: Path, cells: list[list[str]]) -> None:
    """Whatever a table holds, its findings, its errors and its records' reprs hold none of it."""
    text = io.StringIO()
    csv.writer(text).writerows([list(GOOD), *cells])
    path = tmp_path / "t.csv"
    path.write_text(text.getvalue(), encoding="utf-8")
    opened = table.open_table(path)
    for row in opened.rows():
        shown = f"{row!r}{row.findings!r}{row.age!r}{row.sex!r}{row.region!r}{row.diagnosis!r}"
        assert SECRET not in shown
        assert row.findings


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(tmp_path: Path, content: bytes) -> None:
    """Any bytes after a good header are rows with findings, or an error for the user."""
    path = tmp_path / "t.csv"
    path.write_bytes(",".join(GOOD).encode() + b"\n" + content)
    for row in rows_of(path):
        assert row.row > 1
    path.write_bytes(content)
    with pytest.raises(InputError):
        table.open_table(path)


def test_a_large_table_streams(tmp_path: Path) -> None:
    """A table of 8,000 rows is read with less memory than a tenth of its records would take."""
    rng = random.Random(1)
    path = write(tmp_path / "t.csv", *({"study": f"1.2.{i}.{rng.randrange(10**9)}"} for i in range(8_000)))
    list(table.open_table(path).rows())[:1]
    tracemalloc.start()
    try:
        assert sum(1 for _ in table.open_table(path).rows()) == 8_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2_500_000


def test_the_report_of_a_table_of_raw_values(tmp_path: Path) -> None:
    """Each distinct value of age, sex, region and diagnosis is shown once with its code or the reason."""
    path = tmp_path / "values.csv"
    path.write_text("Region;Sex;notes\nmà;H\ngenol;M;x\nmà;H\n", encoding="utf-8")
    report = table.vocabulary(path)
    assert [list(entry) for entry in report] == [["field", "raw", "code", "meaning", "reason"]] * 4
    assert [(entry["field"], entry["raw"], entry["code"]) for entry in report] == [
        ("sex", "H", "M"),
        ("sex", "M", None),
        ("region", "mà", "85562004"),
        ("region", "genol", None),
    ]
    assert report[3]["reason"] == "not in the reviewed table of terms"


def test_a_report_without_a_vocabulary_is_an_error(tmp_path: Path) -> None:
    """A table with none of the four columns says which it needs."""
    (tmp_path / "t.csv").write_text("name\nx\n", encoding="utf-8")
    with pytest.raises(InputError, match="none of the columns age, sex, region, diagnosis"):
        table.vocabulary(tmp_path / "t.csv")
