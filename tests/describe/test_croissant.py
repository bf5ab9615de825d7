from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlcroissant
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate import contract
from curate.core.errors import InputError
from curate.core.findings import rules
from curate.core.records import FileEntry, ReleaseSummary
from curate.describe import croissant, croissant_check, layout

Built = tuple[Path, ReleaseSummary]
pytestmark = [  # mlcroissant 1.1.1 still uses what rdflib 7 and pandas 3 have renamed
    pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The inplace keyword"),
]


def check(summary: ReleaseSummary, document: Any, **changes: Any) -> set[tuple[str, str]]:
    given: dict[str, Any] = {
        "version": summary.version,
        "files": summary.files,
        "table_rows": summary.table_rows,
        "license_ids": summary.license_counts,
    }
    text = document if isinstance(document, str) else json.dumps(document)
    return {(f.rule, f.tag) for f in croissant_check.check_croissant(text, **given | changes)}


def plain(value: Any) -> Any:
    """A value as mlcroissant gives it, without its bytes for text and numbers of numpy."""
    if isinstance(value, list):
        return [plain(v) for v in value]
    return value.item() if hasattr(value, "item") else value


def test_mlcroissant_finds_nothing_to_complain_of(dataset: mlcroissant.Dataset) -> None:
    """The format's own validator gives neither an error nor a warning."""
    assert dataset.metadata.ctx.issues.errors == dataset.metadata.ctx.issues.warnings == set()
    assert dataset.metadata.ctx.is_v1_1()
    assert dataset.metadata.version == "1.2.0"


@pytest.fixture(scope="module")
def dataset(built: Built) -> mlcroissant.Dataset:
    """The release as mlcroissant reads it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the marks above come too late for this fixture
        return mlcroissant.Dataset(jsonld=built[0] / "croissant.json")


@pytest.mark.parametrize("name", contract.MANIFEST_TABLES)
def test_mlcroissant_loads_every_table_with_its_values(built: Built, dataset: mlcroissant.Dataset, name: str) -> None:
    """Each record set gives, column by column, what the Parquet file holds."""
    root, summary = built
    rows = pq.read_table(root / "manifest" / f"{name}.parquet").to_pylist()
    found = list(dataset.records(name))
    assert len(found) == len(rows) == summary.table_rows[name]
    for record, row in zip(found, rows, strict=True):
        assert set(record) == {f"{name}/{column}" for column in row}
        for column, value in row.items():
            expected = value.encode() if isinstance(value, str) else value
            if isinstance(value, list):
                expected = [v.encode() if isinstance(v, str) else v for v in value]
            assert plain(record[f"{name}/{column}"]) == expected, column


def test_mlcroissant_loads_the_images_and_previews(built: Built, dataset: mlcroissant.Dataset) -> None:
    """The packs' record set gives each instance's bytes unchanged, the previews' gives pictures."""
    root, _ = built
    packs = sorted((root / "packs").rglob("*.parquet"))
    rows = [row for pack in packs for row in pq.read_table(pack).to_pylist()]
    found = list(dataset.records("images"))
    assert [r["images/dicom"]["images/dicom/bytes"] for r in found] == [r["dicom"]["bytes"] for r in rows]
    assert [p["previews/image"].size for p in dataset.records("previews")] == [(8, 6)] * 2


def test_croissant_of_the_release_passes_its_check(built: Built) -> None:
    """What is written is what check asks for."""
    root, summary = built
    assert check(summary, (root / "croissant.json").read_text(encoding="utf-8")) == set()


def _entry(document: Any, name: str) -> Any:
    return next(e for e in document["distribution"] if e["@id"] == name)


def _field(document: Any, name: str) -> Any:
    fields = [f for r in document["recordSet"] for f in r["field"]]
    parts = [p for f in fields for p in f.get("subField", ())]
    return next(f for f in [*fields, *parts] if f["@id"] == name)


STUDIES = "manifest/studies.parquet"
WRONG: dict[str, tuple[Callable[[Any], Any], set[tuple[str, str]]]] = {
    # the six that the format's own validator accepts
    "sha256": (lambda d: _entry(d, STUDIES).update(sha256="0" * 64), {("CROISSANT_DIGEST", STUDIES)}),
    "missing file": (
        lambda d: _entry(d, STUDIES).update(contentUrl="manifest/gone.parquet"),
        {("CROISSANT_FILE_MISSING", STUDIES)},
    ),
    "column": (
        lambda d: _field(d, "studies/sex")["source"]["extract"].update(column="gender"),
        {("CROISSANT_COLUMN", "studies/sex")},
    ),
    "type": (
        lambda d: _field(d, "studies/fold").update(dataType="sc:Text"),
        {("CROISSANT_TYPE", "studies/fold")},
    ),
    "licence": (lambda d: d.update(license="foo"), {("CROISSANT_LICENSE", "license")}),
    "version": (lambda d: d.update(version="1.1.0"), {("CROISSANT_VERSION", "")}),
    # and others
    "count": (lambda d: d["recordSet"][0].update(numberOfItems=3), {("CROISSANT_COUNT", "studies")}),
    "count as text": (
        lambda d: d["recordSet"][0].update(numberOfItems="2"),
        {("CROISSANT_COUNT", "studies")},
    ),
    "size": (lambda d: _entry(d, STUDIES).update(contentSize="1 B"), {("CROISSANT_SIZE", STUDIES)}),
    "another file's bytes": (
        lambda d: _entry(d, STUDIES).update(contentUrl="manifest/series.parquet"),
        {(f"CROISSANT_{c}", "manifest/series.parquet") for c in ("DIGEST", "SIZE", "FILE_MISSING")},
    ),
    "file twice": (
        lambda d: d["distribution"].append(_entry(d, STUDIES)),
        {("CROISSANT_MALFORMED", "distribution")},
    ),
    "file left out": (
        lambda d: d["distribution"].remove(_entry(d, STUDIES)),
        {("CROISSANT_FILE_UNLISTED", STUDIES)},
    ),
    "set's glob": (
        lambda d: _entry(d, "images-files").update(includes="**"),
        {("CROISSANT_FILE_SET", "images-files")},
    ),
    "set left out": (
        lambda d: d["distribution"].remove(_entry(d, "images-files")),
        {("CROISSANT_FILE_SET", "images-files")},
    ),
    "licence too few": (lambda d: d["license"].pop(), {("CROISSANT_LICENSE", "license")}),
    "record set left out": (lambda d: d["recordSet"].pop(), {("CROISSANT_RECORD_SET", "recordSet")}),
    "key": (
        lambda d: d["recordSet"][0].update(key={"@id": "studies/sex"}),
        {("CROISSANT_RECORD_SET", "studies")},
    ),
    "column left out": (
        lambda d: d["recordSet"][0]["field"].pop(0),
        {("CROISSANT_COLUMN", "studies/study_id")},
    ),
    "column made up": (
        lambda d: d["recordSet"][0]["field"].append({"@id": "studies/name", "@type": "cr:Field"}),
        {("CROISSANT_COLUMN", "studies")},
    ),
    "array": (
        lambda d: _field(d, "studies/modalities").pop("isArray"),
        {("CROISSANT_TYPE", "studies/modalities")},
    ),
    "source": (
        lambda d: _field(d, "studies/sex")["source"].update(fileObject={"@id": "manifest/series.parquet"}),
        {("CROISSANT_SOURCE", "studies/sex")},
    ),
    "part of the media": (
        lambda d: _field(d, "images/dicom/bytes")["source"]["transform"].update(jsonPath="path"),
        {("CROISSANT_SOURCE", "images/dicom/bytes")},
    ),
    "constant": (lambda d: _field(d, "studies/sex").update(value="F"), {("CROISSANT_SOURCE", "studies/sex")}),
    "context": (lambda d: d["@context"].update(sha256="cr:note"), {("CROISSANT_MALFORMED", "@context")}),
    "conformsTo": (
        lambda d: d.update(conformsTo="http://mlcommons.org/croissant/1.0"),
        {("CROISSANT_MALFORMED", "conformsTo")},
    ),
}


@pytest.mark.parametrize(("change", "expected"), WRONG.values(), ids=WRONG)
def test_a_croissant_that_says_something_else_is_refused(
    built: Built, change: Callable[[Any], Any], expected: set[tuple[str, str]]
) -> None:
    """Each false statement has its code, and brings no other finding with it."""
    root, summary = built
    document = json.loads((root / "croissant.json").read_text(encoding="utf-8"))
    change(document)
    assert check(summary, document) == expected


@pytest.mark.parametrize("name", list(WRONG)[:6])
def test_the_formats_own_validator_does_not_see_it(built: Built, name: str, tmp_path: Path) -> None:
    """The format's own validator accepts each of the six, which is why check looks itself."""
    document = json.loads((built[0] / "croissant.json").read_text(encoding="utf-8"))
    WRONG[name][0](document)
    (tmp_path / "croissant.json").write_text(json.dumps(document), encoding="utf-8")
    mlcroissant.Dataset(jsonld=tmp_path / "croissant.json")


def test_facts_of_the_release_that_differ_are_found_too(built: Built) -> None:
    """A release whose table, licence or pack changed after the description was written does not pass."""
    root, summary = built
    text = (root / "croissant.json").read_text(encoding="utf-8")
    rows = dict(summary.table_rows) | {"series": 7}
    assert check(summary, text, table_rows=rows) == {("CROISSANT_COUNT", "series")}
    assert check(summary, text, license_ids=["CC0-1.0"]) == {("CROISSANT_LICENSE", "license")}
    packs = layout.files_of("images", summary.files)
    files = [f for f in summary.files if f != packs[0]]
    assert check(summary, text, files=files) == {("CROISSANT_FILE_MISSING", "distribution")}
    more = [*summary.files, FileEntry("packs/ff/f.parquet", 1, "0" * 64)]
    assert check(summary, text, files=more) == {("CROISSANT_FILE_UNLISTED", "packs/ff/f.parquet")}


def test_a_key_that_appears_twice_is_refused(built: Built) -> None:
    """Readers differ in which of two equal keys they take, so a document that has them states nothing."""
    text = (built[0] / "croissant.json").read_text(encoding="utf-8")
    doubled = text.replace('"version": "1.2.0"', '"version": "9.9.9", "version": "1.2.0"', 1)
    assert check(built[1], doubled) == {("CROISSANT_MALFORMED", "")}


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["cr:FileSet", "studies"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["@id", "@type", "distribution", "recordSet", "field", "subField", "source", "license", "key"]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=25,
)


@given(_JSON)
def test_any_document_is_read_or_refused(document: Any) -> None:
    """No document crashes the check; what comes out are findings with rules."""
    files = (FileEntry(STUDIES, 1, "0" * 64), FileEntry("packs/00/0.parquet", 1, "0" * 64))
    found = croissant_check.check_croissant(
        json.dumps(document), version="1.0.0", files=files, table_rows={"studies": 1}, license_ids=["CC0-1.0"]
    )
    assert found and all(f.rule in rules() for f in found)


@pytest.mark.parametrize("text", ["", "[]", "nul", "[" * 100_000])
def test_what_is_no_document_is_refused(built: Built, text: str) -> None:
    """Broken JSON, however broken, is one finding."""
    assert check(built[1], text) == {("CROISSANT_MALFORMED", "")}


def test_terms_of_use_and_rai_properties_are_stated(built: Built) -> None:
    """DUO codes stand as defined terms, RAI properties under their names; unknown ones are refused."""
    _, summary = built
    document = croissant.croissant(summary)
    assert [t["termCode"] for t in document["usageInfo"]] == ["DUO_0000042", "DUO_0000046"]
    assert document["usageInfo"][0]["name"] == "general research use"
    assert document["rai:dataBiases"] == "One hospital."
    assert document["rai:personalSensitiveInformation"] == "None: test material."
    with pytest.raises(InputError, match="not a DUO code"):
        croissant.croissant(replace(summary, data_use=("DUO:1",)))
    with pytest.raises(InputError, match="not an RAI property"):
        croissant.croissant(replace(summary, responsible={"sha256": "x"}))


def test_a_large_release_lists_the_set_and_not_its_files(built: Built) -> None:
    """Beyond the limit croissant.json stays small, and the check asks for no more."""
    _, summary = built
    many = tuple(
        FileEntry(f"packs/{n % 256:02x}/{n:064x}.parquet", 1, f"{n:064x}")
        for n in range(croissant.MAX_FILE_OBJECTS + 1)
    )
    large = replace(summary, files=(*many, *(f for f in summary.files if not f.path.startswith("packs/"))))
    text = croissant.croissant_json(large)
    assert len(text) < 200_000
    assert check(large, text) == set()


def test_croissant_is_the_same_bytes_whatever_the_order_of_its_input(built: Built) -> None:
    """Neither the order of files nor of licences shows."""
    _, summary = built
    turned = replace(summary, files=summary.files[::-1], license_counts=dict(reversed(summary.license_counts.items())))
    assert croissant.croissant_json(turned) == croissant.croissant_json(summary)


def test_every_type_of_the_contract_has_a_croissant_type() -> None:
    """A column of a new type would stop here, and not at a release."""
    for name in layout.TABLES:
        for column in contract.table(name).columns:
            assert column.type in croissant.TYPES or column.type.startswith("struct"), column


def test_release_module_describes_every_table(built: Built) -> None:
    """The release under test has all tables of the contract, so that nothing above is empty."""
    assert set(built[1].table_rows) == set(layout.TABLES)
