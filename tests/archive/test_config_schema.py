"""The schema of `archive.toml` that editors use says what the code takes, and refuses what the code refuses."""

from __future__ import annotations

import json
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest
from jsonschema import Draft7Validator

from curate import licenses
from curate.archive import config, config_schema
from curate.core.errors import InputError
from curate.core.records import ArchiveInfo
from curate.metadata.table import OPTIONAL, REQUIRED, open_table
from curate.policies import Policy, PrivacyPolicy
from curate.steps.keys import new_key
from tests.archive.test_state import MINIMAL
from tests.steps.archives import curate, make_archive

SCHEMA = Draft7Validator(config_schema.schema())
FRESH = config.fresh(ArchiveInfo("T", "P", "CC0-1.0"), "file:///hub", 1)


def _accepts(text: str) -> bool:
    return SCHEMA.is_valid(tomllib.loads(text))


def test_every_key_that_the_code_knows_is_in_it() -> None:
    """Each table and key, with words on it; and no others."""
    Draft7Validator.check_schema(SCHEMA.schema)
    tables = SCHEMA.schema["properties"]
    known = {name: set(keys) for name, keys in config.KEYS.items()}
    known |= {"profile": {one.name for one in fields(Policy)}, "privacy": {one.name for one in fields(PrivacyPolicy)}}
    assert {name: set(table["properties"]) for name, table in tables.items()} == known | {"people": set()}
    assert tuple(tables) == config.TABLES
    keys = [(name, key, entry) for name, table in tables.items() for key, entry in table["properties"].items()]
    silent = [(name, key) for name, key, entry in keys if "description" not in entry]
    assert silent == [("privacy", "population")]  # [archive] has it


def _with(name: str, value: object) -> str:
    """The least file, with one key more."""
    table, _, key = name.partition(".")
    return MINIMAL + (f"[{table}]\n" if table != "archive" else "") + f"{key} = {value}\n"


def _with_every_key() -> str:
    """A new archive's file in which the keys that are commented out are set, less what is not of its value."""
    lines = [line.removeprefix("# ") if " = " in line else line for line in FRESH.splitlines()]
    kept = (line for line in lines if not line.startswith(("reviewers", "responsible")))
    return "\n".join(kept)


@pytest.mark.parametrize(
    "text",
    [
        MINIMAL,
        FRESH,
        _with_every_key(),
        *(MINIMAL.replace("CC0-1.0", name) for name in (*licenses.catalogue(), "cc0-1.0", "odBL-1.0")),
        MINIMAL + "[privacy]\nlargest_suppressed_share = 1\nk = 2\n",
        MINIMAL + '[people]\njdoe = "Joan"\n',
    ],
)
def test_what_the_code_takes_is_valid(text: str) -> None:
    """A file that `config` reads validates."""
    config.parse(text)
    assert _accepts(text), [error.message for error in SCHEMA.iter_errors(tomllib.loads(text))]


@pytest.mark.parametrize(
    "text",
    [
        "[other]\n" + MINIMAL,
        MINIMAL + 'colour = "red"\n',
        MINIMAL.replace('title = "T"\n', ""),
        MINIMAL.replace('"T"', '""'),
        MINIMAL.replace("CC0-1.0", "MIT"),
        MINIMAL.replace("CC0-1.0", "CC0-1x0"),
        MINIMAL + 'population = "people"\n',
        *(
            _with(name, value)
            for name, (low, high) in config.BOUNDS.items()
            for value in (low - 1, high + 1, '"1"', "true")
        ),
        *(_with(name, '"nothing"') for name in config.CHOICES),
        *(MINIMAL + f"[profile]\n{one.name} = 1\n" for one in fields(Policy)),
        MINIMAL + "[privacy]\nk = 1\n",
        MINIMAL + "[privacy]\nk = 1001\n",
        MINIMAL + '[privacy]\naccess = "closed"\n',
        MINIMAL + "[privacy]\nlargest_suppressed_share = 1.1\n",
        MINIMAL + '[privacy]\ngive_up_first = ["age", "age"]\n',
        MINIMAL + '[privacy]\ngive_up_first = [""]\n',
        MINIMAL + '[governance]\ndata_use = ["DUO:1"]\n',
        MINIMAL + '[approval]\nreviewers = ["Anna"]\n',
        MINIMAL + "[people]\njdoe = 3\n",
    ],
)
def test_what_the_code_refuses_is_not_valid(text: str) -> None:
    """Unknown names, wrong types, values out of range: both refuse."""
    with pytest.raises(InputError):
        config.parse(text)
    assert not _accepts(text)


def test_a_reviewers_key_is_valid(tmp_path: Path) -> None:
    """As `curate key show` prints it."""
    key = new_key("Anna Puig", tmp_path / "anna.key").public
    text = MINIMAL + f'[approval]\nreviewers = ["{key}"]\n'
    assert config.parse(text).approval.reviewers == (key,)
    assert _accepts(text)


def test_editors_find_it_beside_the_file(tmp_path: Path) -> None:
    """The first line of a new archive's file names the schema that `init` writes there."""
    archive = make_archive(tmp_path / "archive")
    first = (archive / config.NAME).read_text().splitlines()[0]
    assert json.loads((archive / first.removeprefix("#:schema ")).read_text()) == SCHEMA.schema


def test_the_example_is_one(tmp_path: Path) -> None:
    """`init --example`: a table of which each row is coded without a finding, and a file that code and schema take."""
    said = curate("init", tmp_path / "sample", "--example").stdout
    assert sorted(path.name for path in (tmp_path / "sample").iterdir()) == sorted(
        (config.NAME, config.SCHEMA_NAME, "studies.csv")
    )
    assert "curate vocabulary" in said
    assert config.read(tmp_path / "sample").info.publisher == "Hospital X"
    assert _accepts((tmp_path / "sample" / config.NAME).read_text())
    table = open_table(tmp_path / "sample" / "studies.csv")
    assert set(REQUIRED) <= set(table.columns) <= {*REQUIRED, *OPTIONAL}
    rows = list(table.rows())
    assert len(rows) == 4 and not table.findings
    assert [row.findings for row in rows] == [()] * 4
    curate("init", tmp_path / "sample", "--example", code=2)
    assert "--example" in curate("init", tmp_path / "other", code=2).stderr
