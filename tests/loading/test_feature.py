"""The `Dicom` feature behaves as the library's own media features do, and `dicom` reads what it yields."""

from __future__ import annotations

import csv
import hashlib
import io
import pickle
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.pixels import get_decoder
from pydicom.uid import UID, AllTransferSyntaxes

from curate.core.errors import InputError
from curate.loading.feature import Dicom
from curate.loading.images import pixels, read_instance
from tests import corpus, synth
from tests.loading.client import Client


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two DICOM files."""
    folder = tmp_path_factory.mktemp("files")
    found = [folder / f"{number}.dcm" for number in range(2)]
    for number, path in enumerate(found):
        path.write_bytes(synth.instance_bytes(0, 0, 0, number, rows=5, columns=4))
    return found


def expected(path: Path) -> np.ndarray:
    """The stored values, by pydicom alone."""
    return pydicom.dcmread(path).pixel_array


def test_paths_and_bytes_are_encoded(files: list[Path]) -> None:
    """A column of any of them yields the same arrays."""
    for values in (
        [str(path) for path in files],
        [path.read_bytes() for path in files],
        [Dicom().encode_example(pydicom.dcmread(path)) for path in files],
        [{"bytes": path.read_bytes(), "path": "x.dcm"} for path in files],
    ):
        made = datasets.Dataset.from_dict({"dicom": values}, features=datasets.Features({"dicom": Dicom()}))
        for row, path in zip(made, files, strict=True):
            assert np.array_equal(row["dicom"], expected(path))
    with pytest.raises(InputError, match="takes a pydicom data set apart"):
        datasets.Dataset.from_dict(
            {"dicom": [pydicom.dcmread(files[0])]}, features=datasets.Features({"dicom": Dicom()})
        )
    with pytest.raises(InputError, match="A int is not stored as DICOM"):
        Dicom().encode_example(3)


@pytest.mark.parametrize("kind", ["string", "binary", "large_binary", "struct", "bytes only", "path only"])
def test_stored_columns_are_cast(files: list[Path], kind: str) -> None:
    """A column of paths, of bytes, or of a struct of either or both becomes one of arrays; nulls stay."""
    paths, contents = [str(path) for path in files], [path.read_bytes() for path in files]
    columns = {
        "string": pa.array([*paths, None]),
        "binary": pa.array([*contents, None], pa.binary()),
        "large_binary": pa.array([*contents, None], pa.large_binary()),
        "struct": pa.array([*({"path": "x", "bytes": data} for data in contents), None]),
        "bytes only": pa.array([*({"bytes": data} for data in contents), None]),
        "path only": pa.array([*({"path": path} for path in paths), None]),
    }
    made = datasets.Dataset(pa.table({"dicom": columns[kind]})).cast_column("dicom", Dicom())
    assert [row is None for row in made["dicom"]] == [False, False, True]
    for row, path in zip(made["dicom"], files, strict=False):
        assert np.array_equal(row, expected(path))
    assert made.cast_column("dicom", Dicom("bytes"))[0]["dicom"].keys() == {"bytes", "path"}


def test_it_decodes_as_array_data_set_or_bytes(files: list[Path]) -> None:
    """The parameter says what a row is; another value is refused."""
    made = datasets.Dataset.from_dict({"dicom": [path.read_bytes() for path in files]})
    assert isinstance(made.cast_column("dicom", Dicom())[0]["dicom"], np.ndarray)
    as_dataset = made.cast_column("dicom", Dicom("dataset"))
    assert isinstance(as_dataset[0]["dicom"], Dataset)
    assert read_instance(as_dataset[0]).SOPInstanceUID == read_instance(files[0]).SOPInstanceUID
    assert made.cast_column("dicom", Dicom("bytes"))[0]["dicom"]["bytes"] == files[0].read_bytes()
    with pytest.raises(InputError, match="no way to decode"):
        Dicom("pixels")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="was cast to arrays"):
        read_instance(made.cast_column("dicom", Dicom())[0])


def test_it_is_registered_and_survives_storage(files: list[Path], tmp_path: Path) -> None:
    """Features, files of Parquet and of Arrow, pickles and maps keep it, and embed the files' bytes."""
    features = datasets.Features({"dicom": Dicom("dataset")})
    assert datasets.Features.from_dict(features.to_dict()) == features
    assert pickle.loads(pickle.dumps(features)) == features
    made = datasets.Dataset.from_dict({"dicom": [str(path) for path in files]}, features=features)
    made.save_to_disk(tmp_path / "disk")
    assert datasets.load_from_disk(tmp_path / "disk").features == features
    stored = datasets.load_from_disk(tmp_path / "disk").cast_column("dicom", Dicom("bytes"))
    assert stored[0]["dicom"] == {"bytes": files[0].read_bytes(), "path": files[0].name}
    made.to_parquet(tmp_path / "one.parquet")
    again = datasets.Dataset.from_parquet(str(tmp_path / "one.parquet"), cache_dir=str(tmp_path / "cache"))
    assert again.features == features
    means = made.cast_column("dicom", Dicom()).map(lambda row: {"mean": float(row["dicom"].mean())})
    assert np.allclose(means["mean"], [expected(path).mean() for path in files])
    flat = made.cast_column("dicom", Dicom("bytes")).flatten()
    assert set(flat.column_names) == {"dicom.bytes", "dicom.path"}


def test_an_instance_without_pixels_is_none() -> None:
    """A row that holds no image decodes to None, one that is not DICOM is an error."""
    report = Path(str(get_testdata_file("reportsi.dcm"))).read_bytes()
    assert Dicom().decode_example({"bytes": report, "path": None}) is None
    with pytest.raises(InputError, match="not a DICOM file"):
        Dicom().decode_example({"bytes": b"nothing", "path": None})
    with pytest.raises(InputError, match="holds no pixels"):
        pixels(read_instance(report))
    with pytest.raises(InputError, match="no column dicom"):
        read_instance({"study_id": "2.25.1"})


@pytest.mark.parametrize("streaming", [False, True])
def test_a_release_yields_arrays(client: Client, second: Path, streaming: bool) -> None:
    """`cast_column` on what `load` returns, streamed or not, labelled or not, gives each instance's pixels."""
    text = """
        import hashlib
        found = {}
        for labels in (False, True):
            rows = load(name, "images", streaming=streaming, labels=labels)
            for row in rows.cast_column("dicom", Dicom()):
                digest = hashlib.sha256(row["dicom"].tobytes()).hexdigest()
                found.setdefault(row["SOPInstanceUID"], set()).add(digest)
        result = {uid: sorted(digests) for uid, digests in found.items()}
    """
    found = client.run(text, name=client.name, streaming=streaming)
    truth = {}
    for path in (second / "packs").rglob("*.parquet"):
        for row in pq.read_table(path).to_pylist():
            values = pydicom.dcmread(io.BytesIO(row["dicom"]["bytes"])).pixel_array
            truth[row["SOPInstanceUID"]] = [hashlib.sha256(values.tobytes()).hexdigest()]
    assert found == truth


SERVED = {
    "Implicit VR Little Endian",
    "Explicit VR Little Endian",
    "Explicit VR Big Endian",
    "Deflated Explicit VR Little Endian",
    "RLE Lossless",
    "JPEG Baseline (Process 1)",
    "JPEG Lossless, Non-Hierarchical, First-Order Prediction (Process 14 [Selection Value 1])",
    "JPEG-LS Lossless Image Compression",
    "JPEG-LS Lossy (Near-Lossless) Image Compression",
    "JPEG 2000 Image Compression (Lossless Only)",
    "JPEG 2000 Image Compression",
    "JPEG Extended (Process 2 and 4)",
}
NOT_SERVED = {  # of single images; of video (MPEG, HEVC, SMPTE) none is
    "JPEG 2000 Part 2 Multi-component Image Compression (Lossless Only)",
    "JPEG 2000 Part 2 Multi-component Image Compression",
    "JPIP HTJ2K Referenced",
    "JPIP HTJ2K Referenced Deflate",
}
LIBJPEG_TURBO = "d30242775a414c01d616447854ebe3f2b20259822894bcd6891f879bcdcbf313"  # imagecodecs 2026.10.10, jpeg8
DAMAGED = {"MR_truncated.dcm", "badVR.dcm", "nested_priv_SQ.dcm", "JPEG2000-embedded-sequence-delimiter.dcm"}


@pytest.mark.filterwarnings("ignore")
def test_every_transfer_syntax_that_decoders_serve(caplog: pytest.LogCaptureFixture) -> None:
    """Each syntax of the corpus decodes; which others have no decoder is known by name; only damaged files fail."""
    caplog.set_level(60)
    root = corpus.corpus()
    decoded, failed = set(), set()
    with (root / "MANIFEST.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["transfer_syntax"] and row["pydicom_reads"] == "yes"]
    plain = [row for row in rows if row["transfer_syntax"] == "Explicit VR Little Endian"]
    for row in [row for row in rows if row not in plain] + plain[::12]:
        data = read_instance(root / row["shared_path"])
        if "PixelData" not in data or "TransferSyntaxUID" not in data.file_meta:
            continue
        syntax = data.file_meta.TransferSyntaxUID.name
        try:
            shape = pixels(data).shape
            assert data.Rows in shape
            decoded.add(syntax)
        except InputError as told:
            assert f"cannot be decoded: transfer syntax {syntax}" in str(told)
            failed.add((syntax, Path(row["shared_path"]).name))
    assert decoded == SERVED
    assert {name for _, name in failed} <= DAMAGED
    left = {uid.name for uid in AllTransferSyntaxes if _of_images(uid) and not _is_decoded(uid)}
    assert left == NOT_SERVED


def _of_images(uid: UID) -> bool:
    """Whether a transfer syntax is one of single images."""
    return not ("MPEG" in uid.name or "HEVC" in uid.name or "SMPTE" in uid.name)


def _is_decoded(uid: UID) -> bool:
    """Whether pydicom has a decoder for it, installed."""
    try:
        found = get_decoder(uid)
    except NotImplementedError:
        return False
    return bool(found.is_available)


def test_twelve_bits_are_decoded_exactly(capfd: pytest.CaptureFixture[str]) -> None:
    """JPEG Extended of 12 bits has the values that libjpeg-turbo 3 decodes, and GDCM's complaint is not shown."""
    root = corpus.corpus()
    for name in ("JPGExtended.dcm", "JPEG-lossy.dcm"):
        (path,) = root.rglob(name)
        values = pixels(read_instance(path))
        assert (values.dtype, values.shape, values[420, 140], values[230, 120]) == (
            np.uint16,
            (1024, 256),
            244,
            95,
        )
        assert hashlib.sha256(values.tobytes()).hexdigest() == LIBJPEG_TURBO
    assert capfd.readouterr().err == ""
