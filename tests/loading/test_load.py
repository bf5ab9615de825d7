"""`curate.load` gives the version asked for, whole and undamaged, or says clearly why not."""

from __future__ import annotations

import copy
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from curate import contract
from curate.core.errors import CurateError, DamagedError, HubError, InputError
from tests.hub.small_release import seal
from tests.loading.archive import INSTANCES
from tests.loading.client import Client
from tests.loading.recut import recut, writable

READ = """
    found = load(name, config, version=version, streaming=streaming)
    rows = list(found)
    result = [type(found).__name__, len(rows), str(found.info.version), rows[0].get("release_version")]
"""
CACHED = 'load_dataset(name, revision="v1.0.0", split="train")'


@pytest.mark.parametrize("streaming", [False, True])
def test_each_version_gives_its_own_rows(client: Client, streaming: bool) -> None:
    """By number or tag, the newest by default, every config has the rows of its version."""
    kind = "IterableDataset" if streaming else "Dataset"
    for version, expected, studies in (("1.0.0", "1.0.0", 3), ("v1.1.0", "1.1.0", 4), (None, "1.1.0", 4)):
        values = {"name": client.name, "version": version, "streaming": streaming}
        assert client.run(READ, config="studies", **values) == [kind, studies, expected, expected]
        assert client.run(READ, config="images", **values) == [kind, INSTANCES[expected], expected, None]
        assert client.run(READ, config="previews", **values)[2] == expected


def test_a_folder_hub_gives_the_same(client: Client, folder_hub: Path, first: Path) -> None:
    """A folder hub resolves the version, and a release's folder is one."""
    values = {"config": "studies", "streaming": False}
    assert client.run(READ, name=str(folder_hub), version="v1.0.0", **values)[1:] == [3, "1.0.0", "1.0.0"]
    assert client.run(READ, name=folder_hub.as_uri(), version=None, **values)[1:] == [4, "1.1.0", "1.1.0"]
    assert client.run(READ, name=str(first), version=None, **values)[1:] == [3, "1.0.0", "1.0.0"]
    with pytest.raises(HubError, match=r"holds version 1\.0\.0, not 1\.1\.0"):
        client.run(READ, name=str(first), version="1.1.0", **values)


def test_it_returns_what_load_dataset_returns(client: Client) -> None:
    """Without a split a dictionary of them, with options the columns asked for."""
    text = """
        one = load(name, "series", split=None)
        other = load_dataset(name, "series", revision="v1.1.0")
        some = load(name, "studies", columns=["study_id", "sex"])
        result = [type(one) is type(other), one["train"].features == other["train"].features,
                  list(one["train"]) == list(other["train"]), some.column_names]
    """
    assert client.run(text, name=client.name) == [True, True, True, ["study_id", "sex"]]


@pytest.mark.parametrize("status", [503, 429, 500])
@pytest.mark.parametrize("what", ["refs", r"HEAD .*/resolve/"])
def test_a_hub_that_fails_never_turns_a_version_into_another(client: Client, status: int, what: str) -> None:
    """With 1.0.0 in the cache, `load_dataset` gives it as v1.1.0; `load` refuses, wherever the hub fails."""
    client.run(CACHED, name=client.name)
    client.hub.fail(what, nth=None, status=status)
    client.hub.fail(r"HEAD .*/resolve/", nth=None, status=status)
    trap = 'result = load_dataset(name, revision="v1.1.0", split="train")[0]["release_version"]'
    assert client.run(trap, name=client.name) == "1.0.0"  # else this test shows nothing
    with pytest.raises(HubError) as refusal:
        client.run('load(name, version="1.1.0")', name=client.name)
    assert refusal.value.hint
    client.hub.heal()
    assert client.run(READ, name=client.name, config="studies", version="1.1.0", streaming=False)[1] == 4


def test_a_builder_out_of_the_clients_cache_is_refused(client: Client) -> None:
    """The last look before rows are read: a builder of another version, or of no files, is not taken."""
    text = """
        from curate.loading import datasets_client as library
        from curate.loading.load import _compare
        wanted = source.find(name, "1.1.0")
        _compare(library.builder_of(wanted, "studies", True, {}), wanted, "studies")
        _compare(datasets.load_dataset_builder(name, "studies", revision="v1.0.0"), wanted, "studies")
    """
    with pytest.raises(HubError, match=r"offers studies 1\.0\.0 out of its cache where 1\.1\.0"):
        client.run(text, name=client.name)


def test_a_short_answer_is_not_taken(client: Client) -> None:
    """Fewer bytes than were asked for are an error, not an end."""
    with pytest.raises(HubError, match="the connection failed"):
        client.run("source.find(name).read('CITATION.cff', 10, 1_000_000)", name=client.name)


def test_what_is_not_there_or_not_allowed_is_said(client: Client, folder_hub: Path) -> None:
    """A missing version names those that are there; a gated repository says what to accept; no traceback."""
    with pytest.raises(HubError, match=r"no version 7\.0\.0; it has 1\.0\.0, 1\.1\.0"):
        client.run('load(name, version="7.0.0")', name=client.name)
    with pytest.raises(HubError, match="not on the hub, or not for this login"):
        client.run('load("org/nothing-here")')
    with pytest.raises(InputError, match="no config 'image'"):
        client.run('load(name, "image")', name=client.name)
    with pytest.raises(InputError, match="no rows in references"):
        client.run('load(name, "references", version="1.0.0")', name=client.name)
    with pytest.raises(InputError, match="is not there"):
        client.run('load("./nothing/here")')
    with pytest.raises(InputError, match="not a version"):
        client.run('load(name, version="latest")', name=str(folder_hub))
    client.hub.repos[client.name].gated = "manual"
    token, client.hub.token = client.hub.token, "of another"
    try:
        with pytest.raises(HubError, match="gated: its terms must be accepted") as refusal:
            client.run("load(name)", name=client.name)
        assert "hf auth login" in refusal.value.hint
    finally:
        client.hub.token = token


def test_a_damaged_download_is_fetched_again(client: Client, second: Path) -> None:
    """One corrupted byte on the way is noticed and asked for again; what stays damaged is refused."""
    truth = pq.read_table(second / "manifest" / "series.parquet").to_pylist()
    whole = "result = [row['SeriesInstanceUID'] for row in load(name, 'series')]"
    client.hub.fail("storage", nth=1, corrupt_byte=300)
    assert client.run(whole, name=client.name) == [row["SeriesInstanceUID"] for row in truth]
    client.hub.fail("storage", nth=None, corrupt_byte=300)
    with pytest.raises(HubError, match="arrives otherwise than it was published"):
        client.run("load(name, 'instances')", name=client.name)


def test_a_damaged_cache_is_mended(client: Client) -> None:
    """What a plain `load_dataset` took damaged into the client's cache is found, and fetched again."""
    position = client.run(
        """
        from huggingface_hub import hf_hub_download
        path = hf_hub_download(name, "manifest/studies.parquet", repo_type="dataset", revision="v1.1.0")
        data = open(path, "rb").read()
        result = data.index(b"2.25.")
        """,
        name=client.name,
    )
    damaged = """
        import os
        from huggingface_hub import hf_hub_download
        path = hf_hub_download(name, "manifest/studies.parquet", repo_type="dataset", revision="v1.1.0")
        path = os.path.realpath(path)
        data = bytearray(open(path, "rb").read()); data[position + 6] ^= 1
        os.remove(path); open(path, "wb").write(data)
        plain = load_dataset(name, revision="v1.1.0", split="train")["study_id"]
        ours = load(name, version="1.1.0")["study_id"]
        result = [list(plain), list(ours)]
    """
    plain, ours = client.run(damaged, name=client.name, position=position)
    fresh = client.run("result = list(load(name, version='1.1.0')['study_id'])", name=client.name)
    assert ours == fresh
    del plain


def test_a_damaged_image_is_refused_while_it_streams(client: Client) -> None:
    """A corrupted byte within an image's bytes stops the stream with the instance's id."""
    client.run("result = next(iter(load(name, 'images', streaming=True)))['SOPInstanceUID']", name=client.name)
    client.hub.fail(r"GET .*packs/", nth=None, corrupt_byte=9_000)
    with pytest.raises(HubError, match=r"Instance 2\.25\.\d+ arrived otherwise"):
        client.run("list(load(name, 'images', streaming=True, labels=False))", name=client.name)


def test_a_damaged_preview_is_never_streamed(client: Client, second: Path) -> None:
    """Shards of previews are compared before their rows are given: one bad download is fetched again, two refused."""
    text = """
        import hashlib, io
        rows = list(load(name, "previews", version="1.1.0", streaming=True))
        result = [[row["SeriesInstanceUID"], list(row["image"].size)] for row in rows]
    """
    whole = client.run(text, name=client.name)
    assert len(whole) == 5
    client.hub.fail(r"GET /object/.*previews", corrupt_byte=500)
    client.hub.repos["org/other"] = copy.deepcopy(client.hub.repos[client.name])
    client.hub.repos["org/other"].name = "org/other"
    assert client.run(text, name="org/other") == whole
    client.hub.fail(r"GET /object/.*previews", corrupt_byte=500, nth=None)
    client.hub.repos["org/third"] = copy.deepcopy(client.hub.repos["org/other"])
    client.hub.repos["org/third"].name = "org/third"
    with pytest.raises(HubError, match="arrives otherwise"):
        client.run(text, name="org/third")


@pytest.mark.parametrize("streaming", [False, True])
def test_labels_are_those_of_the_study(client: Client, second: Path, streaming: bool) -> None:
    """Each image bears fold, age band, sex, region and diagnosis of its study, with their types."""
    text = """
        found = load(name, "images", labels=True, streaming=streaming)
        result = [[{k: v for k, v in row.items() if k != "dicom"} for row in found],
                  {k: str(v) for k, v in found.features.items()}, len(next(iter(found))["dicom"]["bytes"])]
    """
    rows, features, size = client.run(text, name=client.name, streaming=streaming)
    studies = {row["study_id"]: row for row in pq.read_table(second / "manifest/studies.parquet").to_pylist()}
    assert len(rows) == INSTANCES["1.1.0"]
    assert size > 1000
    for row in rows:
        names = set(row) - {"SeriesInstanceUID", "SOPInstanceUID"}
        assert {"fold", "age_low_years", "sex", "region_group", "diagnosis_code"} <= names
        assert {name: row[name] for name in names} == {name: studies[row["study_id"]][name] for name in names}
    assert features["fold"] == "Value('int8')"
    assert features["region_codes"] == "List(Value('string'))"


def test_labels_copy_no_image(client: Client, tmp_path: Path) -> None:
    """Joining labels to loaded images writes no second copy of them into the cache."""
    text = """
        from pathlib import Path
        def size():
            return sum(p.stat().st_size for p in Path(datasets.config.HF_DATASETS_CACHE).rglob("*.arrow"))
        load(name, "images")
        before = size()
        load(name, "images", labels=True)[0]
        result = size() - before
    """
    assert client.run(text, name=client.name) < 20_000


def test_a_version_that_was_cut_again_says_so(client: Client, second: Path, tmp_path: Path) -> None:
    """After a withdrawal an older version still loads, without the study, and with a warning."""
    client.run("load(name)", name=str(second))
    assert client.warnings == []
    where = recut(second, tmp_path / "again" / second.name)
    found = client.run("result = len(load(name))", name=str(where))
    assert found == 3
    assert len(client.warnings) == 1
    assert "1.1.0 was cut again without the studies that were withdrawn up to 1.2.0" in client.warnings[0]


def test_a_release_that_contradicts_itself_is_refused(client: Client, second: Path, tmp_path: Path) -> None:
    """Rows of another version under a tag are refused, and so is a file that is not the released one."""
    wrong = writable(second, tmp_path / "wrong" / second.name)
    for name in ("studies", "instances"):
        path = wrong / "manifest" / f"{name}.parquet"
        rows = [row | {"release_version": "9.9.9"} for row in pq.read_table(path).to_pylist()]
        contract.write_table(name, path, [contract.to_arrow(name, rows)])
    with pytest.raises(DamagedError, match="is not what was released"):
        client.run("load(name, 'instances')", name=str(wrong))
    seal(wrong, "1.1.0")
    with pytest.raises(HubError, match=r"rows of version 9\.9\.9 as 1\.1\.0"):
        client.run("load(name)", name=str(wrong))


def test_the_endpoint_must_be_set_in_time(client: Client) -> None:
    """A hub that is named after `datasets` was imported is refused instead of asked half."""
    text = """
        import os
        before = os.environ["HF_ENDPOINT"]
        os.environ["HF_ENDPOINT"] = before.replace("127.0.0.1", "localhost")
        try:
            load(name)
        finally:
            os.environ["HF_ENDPOINT"] = before
    """
    with pytest.raises(CurateError, match="HF_ENDPOINT was set after"):
        client.run(text, name=client.name)
