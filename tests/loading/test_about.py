"""What a reader asks first: of a folder, an archive, a folder hub, the Hub and a bucket, the same answers."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import curate
from curate.attestation.trust import UntrustedError
from curate.core.errors import DamagedError, HubError, InputError
from curate.hub import open_target
from curate.loading.trusted import TrustWarning
from curate.steps.about import data_dictionary
from curate.transparency.signed_note import Signer
from tests.hub.fixtures import pointed_at
from tests.hub.s3_server import S3Server
from tests.hub.server import HubServer
from tests.hub.small_release import tree_of
from tests.loading.conftest import REPO
from tests.steps.archives import curate as command
from tests.steps.archives import curate_json

BUCKET = "s3://scans/public"
PLACES = ("release", "archive", "folder hub", "hub", "bucket")


@pytest.fixture(scope="module")
def places(folder_hub: Path, served: HubServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The same two versions at each kind of place."""
    pytest.importorskip("botocore", reason="botocore is not installed: s3:// is not tested")
    home = tmp_path_factory.mktemp("places")
    with S3Server() as bucket, pytest.MonkeyPatch.context() as patch, pointed_at(served, home / "hf"):
        for name, value in bucket.environment(home).items():
            patch.setenv(name, value)
        for version in ("v1.0.0", "v1.1.0"):
            open_target(BUCKET).publish(folder_hub / version)
        archive = str(folder_hub.parent / "archive")
        held = (str(folder_hub / "v1.1.0"), archive, str(folder_hub), f"hf://{REPO}", BUCKET)
        yield dict(zip(PLACES, held, strict=True))


def _told(place: str, **options: str) -> dict[str, object]:
    """What `info` tells, less what is of the place and not of the release."""
    told = asdict(curate.info(place, **options))
    return {name: value for name, value in told.items() if name not in ("reference", "origin")}


@pytest.mark.filterwarnings("ignore::curate.loading.trusted.TrustWarning")
@pytest.mark.parametrize("kind", PLACES)
def test_every_place_tells_the_same(kind: str, places: dict[str, str]) -> None:
    """Information, columns, citation and versions, of the newest and of an older version."""
    place, reference = places[kind], places["folder hub"]
    assert _told(place) == _told(reference)
    assert curate.columns(place) == curate.columns(reference)
    assert asdict(curate.cite(place)) | {"reference": ""} == asdict(curate.cite(reference)) | {"reference": ""}
    assert curate.versions(place) == curate.versions(reference)
    if kind != "release":
        assert _told(place, version="v1.0.0")["version"] == curate.cite(place, version="1.0.0").version == "1.0.0"
    with pytest.raises(HubError, match=r"3\.0\.0"):
        curate.info(place, version="3.0.0")


def test_information_is_that_of_the_tables(second: Path) -> None:
    """Counts, modalities, licences and sizes agree with what the tables and files hold."""
    told = curate.info(second)
    rows = {name: pq.read_table(second / f"manifest/{name}.parquet") for name in ("studies", "series", "instances")}
    assert {name: told.counts[name] for name in rows} == {name: table.num_rows for name, table in rows.items()}
    assert told.counts["donors"] == len(set(rows["studies"]["donor_id"].to_pylist()))
    modalities = Counter(one for listed in rows["studies"]["modalities"].to_pylist() for one in listed)
    assert dict(told.modalities) == dict(sorted(modalities.items()))
    assert dict(told.licenses) == dict(Counter(rows["studies"]["license"].to_pylist()))
    sealed = {path for path in tree_of(second) if not path.startswith("attestations/") and path != "release.json"}
    assert told.files == len(sealed)
    assert told.size_bytes == sum((second / path).stat().st_size for path in sealed)
    assert (told.version, told.versions, told.population) == ("1.1.0", ("1.0.0", "1.1.0"), "test")
    assert told.release_sha256 == tree_of(second)["release.json"]
    assert told.signer in told.key and told.origin == "unkept"


@pytest.mark.parametrize("by_range", [False, True])
def test_columns_count_what_is_stated(by_range: bool, second: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """How many rows have a value, from a whole table or from its end alone."""
    if by_range:
        monkeypatch.setattr(data_dictionary, "_WHOLE_BYTES", 0)
        monkeypatch.setattr(data_dictionary, "_TAIL_BYTES", 100)  # less than any footer: it is asked for again
    found = curate.columns(second)
    counted = 0
    for name in ("studies", "series", "instances", "references"):
        table = pq.read_table(second / f"manifest/{name}.parquet")
        listed = [column for column in found if column.table == name]
        assert [column.name for column in listed] == table.schema.names
        for column in listed:
            assert (column.rows, column.verified) == (table.num_rows, not by_range)
            assert column.description and column.role
            if column.filled is not None:
                assert column.filled == table.num_rows - table[column.name].null_count
                counted += column.filled != column.rows
    assert counted > 10  # columns that nothing states are among them
    assert [c.table for c in curate.columns(second, "series")] == ["series"] * sum(c.table == "series" for c in found)
    with pytest.raises(InputError, match="No table"):
        curate.columns(second, "packs")


@pytest.mark.filterwarnings("ignore::curate.loading.trusted.TrustWarning")
def test_a_large_table_is_read_by_range(
    places: dict[str, str], served: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a large table on the Hub only its end is transferred."""
    monkeypatch.setattr(data_dictionary, "_WHOLE_BYTES", 0)
    monkeypatch.setattr(data_dictionary, "_TAIL_BYTES", 100)
    served.forget()
    curate.columns(places["hub"], "studies")
    size = (Path(places["release"]) / "manifest/studies.parquet").stat().st_size
    ranged = [one for one in served.requests if "studies.parquet" in one.target and one.sent]
    assert ranged and all(one.range for one in ranged)
    assert 100 < served.bytes_of("studies.parquet") < size


def test_citations_are_those_of_the_release(second: Path) -> None:
    """BibTeX as the card has it, CITATION.cff as it lies there, APA of the same facts."""
    cited = curate.cite(second)
    assert cited.bibtex in (second / "README.md").read_text()
    assert cited.cff == (second / "CITATION.cff").read_text()
    stated = yaml.safe_load(cited.cff)
    author, year = stated["authors"][0]["name"], str(stated["date-released"])[:4]
    assert cited.apa.startswith(f"{author}. ({year}). {stated['title']} (Version 1.1.0) [Data set].")


def test_versions_tell_what_each_changed(folder_hub: Path, tmp_path: Path) -> None:
    """Newest first; one that the hub dropped is listed as not to be had."""
    found = curate.versions(folder_hub)
    assert [(one.version, one.added, one.available) for one in found] == [("1.1.0", 1, True), ("1.0.0", 3, True)]
    assert (found[0].studies, found[0].changed, found[0].removed) == (4, 0, 0)
    hub = shutil.copytree(folder_hub, tmp_path / "hub")
    refs = json.loads((hub / "refs.json").read_text())
    del refs["tags"]["v1.0.0"]
    (hub / "refs.json").write_text(json.dumps(refs))
    assert [(one.version, one.available) for one in curate.versions(hub)] == [("1.1.0", True), ("1.0.0", False)]


def test_what_another_key_signed_is_refused(places: dict[str, str]) -> None:
    """At each kind of place and by each command."""
    other = str(Signer("somebody/else", Ed25519PrivateKey.generate()).public)
    for place in (places[kind] for kind in PLACES if kind != "archive"):  # which is judged by its own key
        for ask in (curate.info, curate.columns, curate.cite, curate.versions):
            with pytest.raises(UntrustedError, match="another"):
                ask(place, key=other)


def test_a_key_is_pinned_where_it_is_first_met(places: dict[str, str]) -> None:
    """On a hub that is not this machine's, with a warning; from then on the place is held to it."""
    with pytest.warns(TrustWarning, match="first time"):
        assert curate.info(places["bucket"]).origin == "first"
    assert curate.info(places["bucket"]).origin == "pinned"


@pytest.mark.parametrize("name", ["README.md", "CITATION.cff", "CHANGELOG.md", "manifest/series.parquet"])
def test_a_changed_text_is_told_by_none(name: str, second: Path, tmp_path: Path) -> None:
    """A file that is not what was released is refused by the command that would tell what it says."""
    copied = shutil.copytree(second, tmp_path / "v1.1.0")
    (copied / name).write_bytes((copied / name).read_bytes().replace(b"a", b"b", 1))
    ask = {"README.md": curate.info, "CITATION.cff": curate.cite, "CHANGELOG.md": curate.versions}
    with pytest.raises(DamagedError):
        ask.get(name, curate.columns)(copied)


def test_what_holds_no_release_is_refused(tmp_path: Path) -> None:
    """An empty folder, an archive without a release, a hub of texts alone."""
    (tmp_path / "archive.toml").touch()
    for place in (str(tmp_path), str(tmp_path / "nowhere"), "zenodo://", "ftp://x/y"):
        with pytest.raises(InputError):
            curate.info(place)


def test_commands_print_what_the_functions_give(second: Path, tmp_path: Path) -> None:
    """As text and as JSON; nothing in the release's folder changes."""
    before = tree_of(second)
    assert curate_json("info", second) == json.loads(json.dumps(asdict(curate.info(str(second)))))
    assert [c["name"] for c in curate_json("columns", second, "--table", "series")] == [
        c.name for c in curate.columns(second, "series")
    ]
    assert curate_json("cite", second) == asdict(curate.cite(str(second)))
    assert [one["version"] for one in curate_json("versions", second)] == ["1.1.0", "1.0.0"]
    shown = command("info", second).stdout
    assert "Loading 1.1.0" in shown and "4 donors, 4 studies" in shown and "CC-BY-4.0 4" in shown
    assert "SeriesInstanceUID" in command("columns", second).stdout
    assert command("cite", second, "--format", "cff").stdout == curate.cite(second).cff
    row = command("versions", second).stdout.splitlines()[1].split()
    assert row[:3] == ["1.1.0", curate.info(second).released, "4"]
    assert tree_of(second) == before
