"""`[packs] pixels`: what is stored compressed decodes to the same pixels, and passes every check."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pydicom
import pytest

from curate.deid import pseudonyms
from curate.deid.records import StudyContext
from curate.deid.rewrite import rewrite_parsed
from curate.deid.verify import verify
from curate.dicom.io import reader
from curate.keys.derivation import Keys
from curate.pixels.lossless import SYNTAXES
from curate.policies import Policy
from curate.steps.check import check
from curate.steps.intake import intake
from curate.steps.intake.lossless import stored
from curate.steps.release import release
from tests import synth
from tests.corpus import corpus
from tests.steps.archives import donation, make_archive

KEYS = Keys.from_secret(bytes(32))
CONTEXT = StudyContext(KEYS, pseudonyms.donor_id(KEYS, "1"), 0, "20000101")


def _pixels(data: bytes) -> np.ndarray:
    return pydicom.dcmread(io.BytesIO(data)).pixel_array


def _real(modality: str, count: int) -> list[bytes]:
    root = corpus()
    with (root / "MANIFEST.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["Modality"] == modality]
    native = [row for row in rows if row["transfer_syntax"].endswith("Little Endian") and row["pixel_decode"] == "ok"]
    return [(root / row["shared_path"]).read_bytes() for row in native[:count]]


def _both(data: bytes, pixels: str) -> tuple[bytes, bytes, str]:
    """The clean instance as it is, as it is stored, and its transfer syntax."""
    plain = rewrite_parsed(reader.parse(data), CONTEXT, Policy())
    packed = stored(plain, pixels)
    return b"".join(plain.chunks), b"".join(packed.chunks), packed.transfer_syntax


@pytest.mark.parametrize("pixels", SYNTAXES)
@pytest.mark.parametrize(
    ("allocated", "kept", "signed"), [(8, 8, 0), (16, 12, 0), (16, 12, 1), (16, 16, 1), (16, 10, 0)]
)
def test_grey_pixels_decode_to_the_same_values(pixels: str, allocated: int, kept: int, signed: int) -> None:
    """Of any depth and sign, in one or several frames; the checker passes the result, which is smaller."""
    for frames in (1, 3):
        dataset = synth.load_instance(0, 0, 0, 0, rows=40, columns=36)
        low, high = (-(1 << kept - 1), (1 << kept - 1) - 1) if signed else (0, (1 << kept) - 1)
        slope = np.linspace(low, high, frames * 40 * 36).astype(f"<{'iu'[not signed]}{allocated // 8}")
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = allocated, kept, kept - 1
        dataset.PixelRepresentation, dataset.PixelData = signed, slope.tobytes()
        if frames > 1:
            dataset.NumberOfFrames = frames
        plain, packed, syntax = _both(synth.to_bytes(dataset), pixels)
        assert syntax == SYNTAXES[pixels]
        assert len(packed) < len(plain)
        assert np.array_equal(_pixels(packed), _pixels(plain))
        assert not verify(packed, Policy())


def test_what_does_not_get_smaller_stays_as_it_is() -> None:
    """Noise, colour, and what is compressed already are stored as they came."""
    dataset = synth.load_instance(0, 0, 0, 0, rows=16, columns=16)
    dataset.BitsStored, dataset.HighBit = 16, 15
    dataset.PixelData = np.random.default_rng(1).integers(0, 1 << 16, 256).astype("<u2").tobytes()
    plain, packed, _ = _both(synth.to_bytes(dataset), "jpeg-ls")
    assert packed == plain
    assert _both(synth.instance_bytes(0, 0, 0, 0), "as-is")[2] == "1.2.840.10008.1.2.1"


@pytest.mark.parametrize("pixels", SYNTAXES)
def test_real_images_decode_to_the_same_values(pixels: str) -> None:
    """Real CT and MR slices: the same pixels, fewer bytes, and nothing to object to."""
    chosen = _real("CT", 6) + _real("MR", 6)
    assert chosen
    found = 0
    for data in chosen:
        plain, packed, syntax = _both(data, pixels)
        if syntax == SYNTAXES[pixels]:
            found += 1
            assert np.array_equal(_pixels(packed), _pixels(plain))
            assert not verify(packed, Policy())
    assert found


@pytest.mark.parametrize("pixels", SYNTAXES)
def test_an_archive_of_compressed_pixels_passes_every_check(tmp_path: Path, pixels: str) -> None:
    """Intake follows the policy, the manifest states the syntax, check finds nothing."""
    root = make_archive(tmp_path / "archive")
    config = root / "archive.toml"
    config.write_text(config.read_text().replace('# pixels = "as-is"', f'pixels = "{pixels}"'))
    source, table = donation(tmp_path / "donated", studies=1)
    intake(root, [source], table, deidentify=True, workers=1)
    cut = release(root)
    rows = pq.read_table(cut.path / "manifest" / "instances.parquet").to_pylist()
    assert {row["transfer_syntax"] for row in rows} == {SYNTAXES[pixels]}
    found = [finding for result in check(cut.path, workers=1) for finding in result.findings]
    assert {finding.rule for finding in found} <= {"TRUST_CONFIRMED"}
