"""Volumes for a training loop: labelled, sharded, and torch stays unimported unless it is asked for."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from curate.attestation.trust import UntrustedError
from curate.core.errors import InputError
from curate.loading.iterate import volumes
from curate.transparency import signing_keys
from tests.loading.archive import SLICES
from tests.loading.client import Client

CT = "regular_volume AND Modality = 'CT'"


def test_each_series_is_a_labelled_volume(second: Path) -> None:
    """Every chosen series comes once, as an array in HU with its study's labels; a second pass gives the same."""
    studies = {row["study_id"]: row for row in pq.read_table(second / "manifest/studies.parquet").to_pylist()}
    found = volumes(second, where=CT)
    rows = list(found)
    assert len(rows) == len(found) == 3
    for row, again in zip(rows, found, strict=True):
        assert (row["array"].shape, row["unit"]) == ((SLICES, 32, 24), "HU")
        assert np.allclose(row["spacing_mm"], (2.5, 0.683594, 0.683594))
        for name in ("fold", "sex", "region_group", "diagnosis_code", "age_low_years"):
            assert row[name] == studies[row["study_id"]][name]
        assert np.array_equal(row["array"], again["array"])
    assert "torch" not in sys.modules


def test_shards_share_out_the_series(second: Path) -> None:
    """Shards are disjoint and together complete, and survive the way to a worker process."""
    found = volumes(second, where=CT, labels=False)
    parts = [[row["SeriesInstanceUID"] for row in pickle.loads(pickle.dumps(found.shard(n, 2)))] for n in (0, 1)]
    assert [len(part) for part in parts] == [2, 1]
    assert set(parts[0]) | set(parts[1]) == {row["SeriesInstanceUID"] for row in found}


def test_what_forms_no_volume_is_said(second: Path) -> None:
    """A series without geometry is refused with its id and the condition that leaves it out."""
    with pytest.raises(InputError, match=r"Series 2\.25\.\d+: This is a segmentation") as told:
        list(volumes(second, where="Modality = 'SEG'"))
    assert "regular_volume" in told.value.hint
    with pytest.raises(InputError, match="No series fulfils"):
        volumes(second, where="Modality = 'PT'")


def test_volumes_stream_from_the_hub(client: Client) -> None:
    """From the hub each volume arrives by few range requests of its own bytes."""
    text = """
        from curate.loading.iterate import volumes
        found = volumes(name, where="regular_volume AND Modality = 'CT'")
        result = [next(iter(found))["array"].shape, "torch" in sys.modules]
    """
    client.run("load(name, 'studies')", name=client.name)
    client.hub.forget()
    assert client.run(text, name=client.name) == [[SLICES, 32, 24], False]
    asked = [r for r in client.hub.requests if "packs/" in r.target and r.sent]
    assert len(asked) == 1


def test_a_dataloader_shares_the_series_out(second: Path) -> None:
    """PyTorch's DataLoader gives each series once, whatever the number of workers."""
    torch = pytest.importorskip("torch")
    found = volumes(second, where=CT, torch=True)
    for workers in (0, 2):
        loader = torch.utils.data.DataLoader(found, batch_size=None, num_workers=workers)
        rows = list(loader)
        assert len({row["SeriesInstanceUID"] for row in rows}) == len(rows) == 3
        assert all(isinstance(row["array"], torch.Tensor) for row in rows)


TORCH = """
import numpy
class Tensor:
    def __init__(self, array): self.array = array
def from_numpy(array): return Tensor(array)
tensor = as_tensor = from_numpy
"""
TORCH_DATA = """
class IterableDataset:
    pass
class Info:
    id, num_workers = 1, 2
info = None
def get_worker_info():
    return info
"""


def test_the_torch_path_without_torch(second: Path, tmp_path: Path) -> None:
    """With a stand-in of the few names that are used: an IterableDataset of tensors, shared out to workers."""
    for name, text in (("", TORCH), ("utils", ""), ("utils/data", TORCH_DATA)):
        folder = tmp_path / "torch" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "__init__.py").write_text(text)
    program = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
from curate.loading.iterate import volumes
found = volumes({str(second)!r}, where={CT!r}, torch=True)
import torch, torch.utils.data as data
assert isinstance(found, data.IterableDataset)
rows = list(found)
assert len(rows) == 3 and all(type(row["array"]) is torch.Tensor for row in rows)
data.info = data.Info
print(len(rows), len(list(found)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout.split() == ["3", "1"], done.stderr


def test_a_pass_goes_on_past_what_forms_no_volume_if_asked(second: Path) -> None:
    """With `skip` each series that cannot be read is left out with a warning that names it; nothing else is."""
    chosen = "Modality = 'SEG' OR (Modality = 'CT' AND regular_volume)"
    with pytest.raises(InputError):
        list(volumes(second, where=chosen))
    with pytest.warns(UserWarning, match=r"Left out: Series 2\.25\.\d+: This is a segmentation"):
        found = list(volumes(second, where=chosen, unreadable="skip"))
    assert {row["SeriesInstanceUID"] for row in found} == {
        row["SeriesInstanceUID"] for row in volumes(second, where=CT)
    }
    with pytest.raises(InputError, match="unreadable cannot be 'ignore'"):
        volumes(second, where=CT, unreadable="ignore")  # type: ignore[arg-type]


def test_a_key_that_is_given_must_have_signed(second: Path, tmp_path: Path) -> None:
    """`volumes(key=)` is `load(key=)`: another key than the archive's is refused."""
    other = signing_keys.make(tmp_path / "other.key", "hospital/scans").public
    with pytest.raises(UntrustedError) as refusal:
        volumes(second, where=CT, key=str(other))
    assert refusal.value.rule in ("TRUST_OTHER_KEY", "TRUST_NOT_SIGNED")
