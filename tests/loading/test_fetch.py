"""`curate fetch` writes exactly the chosen DICOM files, verified, and what one needs to cite them."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pydicom
import pytest
import yaml
from typer.testing import CliRunner

from curate.cli.main import app
from curate.core.digests import sha256_file
from curate.core.errors import CurateError, DamagedError, HubError, InputError
from curate.hub.folder.store import write_refs
from curate.loading import ranges
from curate.loading.fetch import Fetched, fetch
from tests.hub.small_release import seal
from tests.loading.archive import SLICES
from tests.loading.client import Client
from tests.loading.recut import recut, withdrawn, writable

CHEST = "region_group = 'chest' AND Modality = 'CT'"
FETCH = """
    from dataclasses import asdict
    result = asdict(fetch(name, to, where=where, version=version))
"""


def fetched(client: Client, to: Path, where: str | None = CHEST, version: str | None = None) -> dict[str, Any]:
    """What a fetch from the client's repository says."""
    found: dict[str, Any] = client.run(FETCH, name=client.name, to=str(to), where=where, version=version)
    return found


def truth(release: Path, where: str | None = CHEST) -> dict[str, bytes]:
    """SOPInstanceUID and digest of the chosen instances, worked out without our SQL."""
    tables = {
        n: pq.read_table(release / f"manifest/{n}.parquet").to_pylist() for n in ("studies", "series", "instances")
    }
    chest = {row["study_id"] for row in tables["studies"] if row["region_group"] == "chest"}
    ct = {row["SeriesInstanceUID"] for row in tables["series"] if row["Modality"] == "CT"}
    return {
        row["SOPInstanceUID"]: row["sha256"]
        for row in tables["instances"]
        if where is None or (row["study_id"] in chest and row["SeriesInstanceUID"] in ct)
    }


def on_disk(folder: Path) -> dict[str, bytes]:
    """SOPInstanceUID by name and digest of the DICOM files."""
    return {path.stem: hashlib.sha256(path.read_bytes()).digest() for path in folder.rglob("*.dcm")}


def test_the_chosen_instances_arrive_by_range_requests(client: Client, second: Path, tmp_path: Path) -> None:
    """Files lie as study/series/instance with the published bytes, and nothing but those bytes was asked for."""
    wanted = truth(second)
    assert len(wanted) == 3 * SLICES
    result = fetched(client, tmp_path / "to")
    assert on_disk(tmp_path / "to") == wanted
    assert (result["instances"], result["fetched"], result["studies"]) == (len(wanted), len(wanted), 3)
    asked = [r for r in client.hub.requests if "packs/" in r.target and r.method == "GET" and r.sent]
    assert all(request.range for request in asked)
    assert result["requests"] == len(asked) < len(wanted)
    assert result["fetched_bytes"] <= sum(r.sent for r in asked) <= result["fetched_bytes"] * 1.05
    for path in (tmp_path / "to").rglob("*.dcm"):
        found = pydicom.dcmread(path, stop_before_pixels=True)
        assert path.relative_to(tmp_path / "to").parts == (
            found.StudyInstanceUID,
            found.SeriesInstanceUID,
            f"{found.SOPInstanceUID}.dcm",
        )


def test_an_instance_alone_is_one_request_of_its_bytes(client: Client, second: Path, tmp_path: Path) -> None:
    """One wanted instance costs one request of exactly its size."""
    row = pq.read_table(second / "manifest/instances.parquet").to_pylist()[5]
    result = fetched(client, tmp_path / "to", f"SOPInstanceUID = '{row['SOPInstanceUID']}'")
    assert (result["requests"], result["fetched_bytes"]) == (1, row["size_bytes"])
    assert [r.sent for r in client.hub.requests if "packs/" in r.target and r.sent] == [row["size_bytes"]]


def test_citation_licences_and_rows_are_of_the_subset(client: Client, second: Path, tmp_path: Path) -> None:
    """CITATION.cff names version, digest, condition and licence; LICENSES and manifest hold what is used."""
    result = fetched(client, tmp_path / "to")
    folder = tmp_path / "to"
    cited = yaml.safe_load((folder / "CITATION.cff").read_text())
    assert (cited["version"], cited["license"]) == ("1.1.0", "CC-BY-4.0")
    assert f"3 of 4 studies ({3 * SLICES} instances), chosen by: {CHEST}" in cited["abstract"]
    digest = hashlib.sha256((second / "release.json").read_bytes()).hexdigest()
    assert cited["identifiers"][-1]["value"] == f"sha256:{digest}"
    assert result["release_sha256"] == digest
    assert sorted(p.name for p in (folder / "LICENSES").iterdir()) == ["CC-BY-4.0.txt", "TERMS.md"]
    assert (folder / "LICENSES/CC-BY-4.0.txt").read_bytes() == (second / "LICENSES/CC-BY-4.0.txt").read_bytes()
    instances = pq.read_table(folder / "manifest/instances.parquet")
    assert set(instances["SOPInstanceUID"].to_pylist()) == set(truth(second))
    assert pq.read_table(folder / "manifest/studies.parquet").num_rows == 3
    assert json.loads((folder / "selection.json").read_text())["complete"] is True


def test_an_interrupted_fetch_goes_on(client: Client, second: Path, tmp_path: Path) -> None:
    """After a failure in the middle the same call transfers what is missing and damaged, and no more."""
    to = tmp_path / "to"
    client.hub.fail(r"GET .*packs/", nth=range(5, 40), status=500)  # one of three gets through
    with pytest.raises(HubError) as told:
        fetched(client, to)
    assert told.value.hint
    client.hub.heal()
    before = on_disk(to)
    assert 0 < len(before) < 3 * SLICES
    assert json.loads((to / "selection.json").read_text())["complete"] is False
    damaged = next(iter(to.rglob("*.dcm")))
    damaged.write_bytes(damaged.read_bytes()[:-2] + b"xx")
    result = fetched(client, to)
    assert on_disk(to) == truth(second)
    assert (result["kept"], result["fetched"]) == (len(before) - 1, 3 * SLICES - len(before) + 1)
    assert not list(to.rglob(".*.part"))
    assert fetched(client, to)["fetched"] == 0


def test_a_corrupt_byte_is_noticed(client: Client, second: Path, tmp_path: Path) -> None:
    """A damaged span is asked for again; what stays damaged is refused and leaves no file."""
    client.hub.fail(r"GET .*packs/", nth=None, corrupt_byte=700)
    with pytest.raises(HubError, match=r"Instance 2\.25\.\d+ arrives otherwise than it was published"):
        fetched(client, tmp_path / "never")
    assert on_disk(tmp_path / "never").items() <= truth(second).items()
    client.hub.heal()
    client.hub.fail(r"GET /[^/]*/?.*packs/", nth=1, corrupt_byte=700)
    fetched(client, tmp_path / "once")
    assert on_disk(tmp_path / "once") == truth(second)


def test_flat_and_dry_run(second: Path, tmp_path: Path) -> None:
    """Flat has no folders; a dry run counts and writes nothing."""
    told = fetch(second, tmp_path / "to", where=CHEST, flat=True, dry_run=True)
    assert not (tmp_path / "to").exists()
    result = fetch(second, tmp_path / "to", where=CHEST, flat=True)
    assert asdict(result) == asdict(told)
    assert {path.parent for path in (tmp_path / "to").rglob("*.dcm")} == {tmp_path / "to"}
    assert on_disk(tmp_path / "to") == truth(second)


def test_a_large_instance_comes_in_pieces(second: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An instance above the size of a request is written piece by piece, and verified."""
    monkeypatch.setattr(ranges, "REQUEST_BYTES", 1000)
    result = fetch(second, tmp_path / "to", where=CHEST)
    assert on_disk(tmp_path / "to") == truth(second)
    assert result.requests >= 3 * SLICES * 3


def hub_of(root: Path, *releases: Path) -> Path:
    """A folder hub of release folders that lie below `root` under their tags."""
    write_refs(root, {release.name: sha256_file(release / "release.json") for release in releases})
    return root


def test_what_is_withdrawn_is_neither_fetched_nor_kept(first: Path, second: Path, tmp_path: Path) -> None:
    """After a withdrawal, the older version's fetch leaves the study out and deletes it from the folder."""
    hub = tmp_path / "hub"
    writable(first, hub / "v1.0.0")
    before = hub_of(hub, hub / "v1.0.0")
    gone = {hashlib.sha256(digest).digest() for digest in withdrawn(first)[1]}
    had = fetch(before, tmp_path / "to", version="1.0.0")
    assert (had.revoked, had.deleted, had.instances) == (0, 0, 3 * SLICES)
    newest = recut(first, hub / "v1.0.1", later="1.0.1")
    seal(newest, "1.0.1")
    after = hub_of(hub, hub / "v1.0.0", newest)
    with pytest.raises(InputError, match=r"this selection of version 1\.0\.0, not of 1\.0\.1") as told:
        fetch(after, tmp_path / "to")
    assert "without what was withdrawn since: add --version 1.0.0" in told.value.hint
    again = fetch(after, tmp_path / "to", version="1.0.0")
    assert (again.revoked, again.deleted, again.instances, again.fetched) == (SLICES, SLICES, 2 * SLICES, 0)
    left = {hashlib.sha256(digest).digest() for digest in on_disk(tmp_path / "to").values()}
    assert not left & gone
    assert len(left) == 2 * SLICES
    assert pq.read_table(tmp_path / "to" / "manifest" / "studies.parquet").num_rows == 2


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("nope = 3", "nope"),
        ("1 = 1; DROP TABLE studies", "more than one statement"),
        ("Modality = 'CT' LIMIT 3", "modifier"),
        ("Modality = 'CT') OR (1 = 1", "syntax error"),
        ("study_id IN (SELECT study_id FROM read_csv('/etc/passwd'))", "disabled"),
        ("study_id IN (SELECT content FROM read_text('{other}'))", "disabled"),
        ("study_id IN (SELECT study_id FROM 'https://127.0.0.1/x.parquet')", "disabled"),
        ("EXISTS (SELECT * FROM glob('/*'))", "disabled"),
        ("study_id IN (SELECT x FROM outside)", "outside"),
        ("count(*) > 1", "aggregate"),
        ("Modality", "BOOL"),
        ("", ""),
        ("Modality = 'XX'", "no instance"),
    ],
)
def test_a_condition_reads_the_manifest_and_nothing_else(second: Path, tmp_path: Path, where: str, said: str) -> None:
    """One expression over the tables; files, network, settings and other statements are refused, clearly."""
    outside = [1]  # must not be seen from within
    other = tmp_path / "other.txt"
    other.write_text("x")
    with pytest.raises(InputError) as told:
        fetch(second, tmp_path / "to", where=where.replace("{other}", str(other)))
    assert said.casefold() in str(told.value).casefold()
    assert "\n" not in f"{told.value}{told.value.hint}"
    assert told.value.hint
    assert not (tmp_path / "to").exists()
    assert outside == [1]


def test_conditions_may_join_and_ask(second: Path, tmp_path: Path) -> None:
    """Columns of all three tables in any case, lists, and subqueries over the tables."""
    for where in (
        "modality = 'CT' and list_contains(modalities, 'CT') and slice_index = 0",
        "slice_index = 0 AND SeriesInstanceUID IN (SELECT SeriesInstanceUID FROM series WHERE Modality = 'CT')",
        "slice_index = 0 AND study_size_bytes > 0 AND series_instance_count = 8 AND KVP BETWEEN 100 AND 140",
    ):
        assert fetch(second, tmp_path / "to", where=where, dry_run=True).instances == 3, where


def test_a_folder_that_holds_something_else_is_left_alone(second: Path, tmp_path: Path) -> None:
    """A folder with other files, or of another selection, is refused untouched."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="was not made by"):
        fetch(second, tmp_path / "mine", where=CHEST)
    fetch(second, tmp_path / "to", where=CHEST)
    with pytest.raises(InputError, match="holds another selection"):
        fetch(second, tmp_path / "to", where="Modality = 'MR'")


def test_a_damaged_pack_on_disk_is_refused(second: Path, tmp_path: Path) -> None:
    """A pack whose bytes changed on disk stops the fetch with the instance's id."""
    bad = writable(second, tmp_path / "bad")
    row = pq.read_table(bad / "manifest/instances.parquet").to_pylist()[0]
    with (bad / row["pack"]).open("r+b") as file:
        file.seek(row["offset_bytes"] + 500)
        file.write(b"?!")
    with pytest.raises(DamagedError, match=row["SOPInstanceUID"]):
        fetch(bad, tmp_path / "to")


def test_a_hostile_manifest_writes_nowhere_else(second: Path, tmp_path: Path) -> None:
    """Ids that are paths are refused before anything is written."""
    bad = writable(second, tmp_path / "bad")
    path = bad / "manifest/instances.parquet"
    table = pq.read_table(path)
    rows = [row | {"SOPInstanceUID": f"../../{n}"} for n, row in enumerate(table.to_pylist())]
    pq.write_table(type(table).from_pylist(rows, schema=table.schema), path)
    seal(bad, "1.1.0")
    with pytest.raises(CurateError, match="SOPInstanceUID is not in order"):
        fetch(bad, tmp_path / "to")
    assert not (tmp_path / "to").exists()


def test_the_command_says_what_it_did(second: Path, tmp_path: Path) -> None:
    """`curate fetch --json` prints the record; an error is one message and exit 2."""
    command = [
        sys.executable,
        "-m",
        "curate",
        "fetch",
        str(second),
        "--to",
        str(tmp_path / "to"),
        "--where",
        CHEST,
    ]

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, *more], capture_output=True, text=True, env=dict(os.environ), check=False)

    done = run("--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert set(said) == set(Fetched.__dataclass_fields__)
    assert said["instances"] == 3 * SLICES
    wrong = run("--where", "nope = 1", "--to", str(tmp_path / "other"))
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "nope" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_the_commands_text_names_what_to_know(second: Path, tmp_path: Path) -> None:
    """Without `--json` it prints counts, licences, and where the citation is."""
    to = str(tmp_path / "to")
    for _ in range(2):
        done = CliRunner().invoke(app, ["fetch", str(second), "--to", to, "--where", CHEST, "--quiet"])
        assert done.exit_code == 0, done.output
    assert f"Have {3 * SLICES} instances of 3 series and 3 studies" in done.stdout
    assert f"there already: {3 * SLICES}" in done.stdout
    assert f"Licences: CC-BY-4.0 ({3 * SLICES})" in done.stdout
