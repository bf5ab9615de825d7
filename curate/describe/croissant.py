"""croissant.json: the release as a Croissant 1.1 dataset (MLCommons), from the data dictionary.

Paths are relative, so that a release loads from the folder where it lies; digests are `release.json`'s.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from curate import contract, licenses
from curate.contract import Column
from curate.core import resources
from curate.core.errors import InputError
from curate.core.records import FileEntry, ReleaseSummary
from curate.describe import citation, layout, markup

PATH = "croissant.json"
CONFORMS_TO = ("http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0")
PARQUET = "application/x-parquet"
SEVERAL = ("images", "previews")  # tables of many files: a FileSet
MAX_FILE_OBJECTS = 2_000  # readers parse croissant.json whole, at about 1 ms an object
TYPES = {
    "string": "sc:Text",
    "bool": "sc:Boolean",
    "int8": "cr:Int8",
    "int16": "cr:Int16",
    "int32": "cr:Int32",
    "int64": "cr:Int64",
    "float64": "cr:Float64",
    "binary(32)": "sc:Text",  # Croissant 1.1 has no type of bytes; readers yield bytes for Text
    "list<string>": "sc:Text",
    "list<float64>": "cr:Float64",
}
_DUO = "http://purl.obolibrary.org/obo/DUO_"
_NAMED = {"@container": "@language"}
_JSON = {"@type": "@json"}
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", **_JSON},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": _NAMED,
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", **_JSON},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": _NAMED,
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
RAI = (
    "annotationsPerItem",
    "annotatorDemographics",
    "dataAnnotationAnalysis",
    "dataAnnotationPlatform",
    "dataAnnotationProtocol",
    "dataBiases",
    "dataCollection",
    "dataCollectionMissingData",
    "dataCollectionRawData",
    "dataCollectionType",
    "dataImputationProtocol",
    "dataLimitations",
    "dataPreprocessingProtocol",
    "dataReleaseMaintenancePlan",
    "dataSocialImpact",
    "dataUseCases",
    "machineAnnotationTools",
    "personalSensitiveInformation",
)


def croissant(summary: ReleaseSummary) -> dict[str, Any]:
    """The JSON-LD document of a release.

    Raises:
        InputError: a licence, a DUO code or an RAI property that is not known.
    """
    archive = summary.archive
    publisher = {"@type": "Organization", "name": markup.plain(archive.publisher)}
    document: dict[str, Any] = {
        "@context": CONTEXT,
        "@type": "Dataset",
        "name": markup.plain(archive.title),
        "description": _description(summary),
        "conformsTo": list(CONFORMS_TO),
        "version": summary.version,
        "datePublished": summary.released.isoformat(),
        "license": [licenses.get(i).spdx_url for i in sorted(summary.license_counts or (archive.license,))],
        "creator": publisher,
        "publisher": publisher,
        "citeAs": citation.bibtex(summary),
        "keywords": list(citation.KEYWORDS),
        "isLiveDataset": False,
    }
    if address := citation.url(summary):
        document["url"] = address
    if summary.data_use:
        document["usageInfo"] = [_term(code) for code in summary.data_use]
    document |= _responsible(summary)
    document["distribution"] = distribution(summary.files)
    document["recordSet"] = [
        record_set(name, summary.table_rows.get(name, 0))
        for name in layout.TABLES
        if layout.files_of(name, summary.files)
    ]
    return document


def croissant_json(summary: ReleaseSummary) -> str:
    """The document as the text of croissant.json."""
    return json.dumps(croissant(summary), ensure_ascii=False, indent=1) + "\n"


def _description(summary: ReleaseSummary) -> str:
    own = markup.plain(summary.archive.description)
    return " ".join(filter(None, (own, _about(summary.archive.population))))


def _about(population: str) -> str:
    who = " Test material, not studies of patients." if population == "test" else ""
    return f"De-identified DICOM studies with age band, sex, anatomical region and diagnosis category.{who}"


def description_in(stated: object, population: str) -> str:
    """The archive's own description in a document's; empty where it has none, or the document is of another form."""
    about = _about(population)
    return stated.removesuffix(about).strip() if isinstance(stated, str) and stated.endswith(about) else ""


def _term(code: str) -> dict[str, str]:
    path = resources.vocabulary_path("describe/data/duo.json")
    terms: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))["terms"]
    if code not in terms:
        raise InputError(f"{code!r} is not a DUO code", hint=f"Give one of: {', '.join(terms)}.")
    number = code.removeprefix("DUO:")
    return {
        "@type": "DefinedTerm",
        "name": terms[code],
        "termCode": f"DUO_{number}",
        "url": f"{_DUO}{number}",
    }


def _responsible(summary: ReleaseSummary) -> dict[str, str]:
    """RAI properties: what holds of every release, then what the archive states."""
    if unknown := sorted(set(summary.responsible) - set(RAI)):
        raise InputError(f"{unknown[0]!r} is not an RAI property", hint=f"Give one of: {', '.join(RAI)}.")
    stated = {
        "personalSensitiveInformation": "Age band, sex, anatomical region and diagnosis category of "
        "each study, coarsened against disclosure; identifiers are new to the archive."
        if summary.archive.population != "test"
        else "None: test material.",
        "dataPreprocessingProtocol": "Headers are de-identified by DICOM PS3.15 Annex E and an allow-list; "
        "pixel data keep their transfer syntax.",
        "dataReleaseMaintenancePlan": "Versioned releases. A withdrawn study is absent from the next version "
        "and from earlier ones that stay available; manifest/revocations.parquet lists its instances.",
    } | {name: markup.plain(text) for name, text in summary.responsible.items()}
    return {f"rai:{name}": stated[name] for name in sorted(stated)}


def distribution(files: Iterable[FileEntry]) -> list[dict[str, Any]]:
    """A FileObject for each data file, with its digest, and a FileSet for each table of many files.

    Beyond 2,000 files of a set only the set is listed: a pack's name is its digest, as `release.json` says.
    """
    held = tuple(files)
    entries = [_file_object(f) for name in contract.MANIFEST_TABLES for f in layout.files_of(name, held)]
    for name in SEVERAL:
        found = layout.files_of(name, held)
        if found:
            entries.append(_file_set(name))
        if len(found) <= MAX_FILE_OBJECTS:
            entries += [_file_object(f) for f in found]
    return entries


def _file_object(file: FileEntry) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": file.path,
        "name": file.path,
        "contentUrl": file.path,
        "contentSize": f"{file.size_bytes} B",
        "encodingFormat": PARQUET,
        "sha256": file.sha256,
    }


def _file_set(name: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": f"{name}-files",
        "name": f"{name}-files",
        "description": contract.table(name).description,
        "encodingFormat": PARQUET,
        "includes": layout.pattern(name),
    }


def record_set(name: str, rows: int) -> dict[str, Any]:
    """A table as a record set; `numberOfItems` (schema.org) is its number of rows."""
    table = contract.table(name)
    key = [{"@id": f"{name}/{column}"} for column in table.key]
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": table.description,
        "numberOfItems": rows,
        "key": key[0] if len(key) == 1 else key,
        "field": [field(name, column) for column in table.columns],
    }


def field(table: str, column: Column) -> dict[str, Any]:
    """One column as a Croissant field; a media struct as its bytes and its path, or as an image."""
    found: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": f"{table}/{column.name}",
        "name": column.name,
        "description": column.description,
    }
    if not column.type.startswith("struct"):
        found["dataType"] = TYPES[column.type]
        if column.type.startswith("list<"):
            found |= {"isArray": True, "arrayShape": "-1"}
        return found | {"source": _source(table, column.name)}
    if table == "previews":
        return found | {"dataType": "sc:ImageObject", "source": _source(table, column.name, "bytes")}
    return found | {"subField": [_part(table, column.name, part) for part in ("bytes", "path")]}


def _part(table: str, column: str, part: str) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"{table}/{column}/{part}",
        "name": part,
        "dataType": "sc:Text",
        "source": _source(table, column, part),
    }


def _source(table: str, column: str, part: str | None = None) -> dict[str, Any]:
    where = (
        {"fileSet": {"@id": f"{table}-files"}} if table in SEVERAL else {"fileObject": {"@id": layout.pattern(table)}}
    )
    source: dict[str, Any] = {**where, "extract": {"column": column}}
    if part:
        source["transform"] = {"jsonPath": part}
    return source
