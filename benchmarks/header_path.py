"""One process, file by file: scanning, rewriting and verifying against pydicom's plain read and write.

`python -m benchmarks.header_path [--peers FOLDER]`: public de-identifiers that are installed in a folder of
site-packages (`python -m venv peers; peers/bin/pip install dicognito deid dicom-anonymizer`) take part.
"""

from __future__ import annotations

import argparse
import datetime
import io
import logging
import site
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pydicom
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from curate.deid.records import StudyContext
from curate.deid.rewrite import rewrite
from curate.deid.verify import verify
from curate.dicom.model import MalformedError
from curate.keys.derivation import Keys
from curate.policies import Policy
from tests import synth
from tests.corpus import ROOT

Way = Callable[[bytes], object]


def pydicom_read_and_write(data: bytes) -> bytes:
    """What anybody would write first: read, save."""
    out = io.BytesIO()
    pydicom.dcmread(io.BytesIO(data), force=True).save_as(out)
    return out.getvalue()


def pydicom_read_all_values(data: bytes) -> int:
    """Read, and look at every value."""
    return sum(element.value is not None for element in pydicom.dcmread(io.BytesIO(data), force=True).iterall())


def ways(peers: bool) -> dict[str, Way]:
    """What is compared; the first one is the yardstick."""
    context = StudyContext(Keys.from_secret(bytes(32)), "Dexample", 0, "20000101")
    policy, bare = Policy(), Policy(vendor_headers="remove")
    found: dict[str, Way] = {
        "pydicom: read and write": pydicom_read_and_write,
        "pydicom: read, all values": pydicom_read_all_values,
        "curate: rewrite": lambda data: b"".join(rewrite(data, context, policy).chunks),
        "curate: rewrite, vendor headers removed": lambda data: b"".join(rewrite(data, context, bare).chunks),
        "curate: verify": lambda data: verify(data, policy),
    }
    return found | (peer_ways() if peers else {})


def peer_ways() -> dict[str, Way]:
    """Public de-identifiers that are installed, each with its own default profile, from bytes to bytes."""
    found: dict[str, Way] = {}
    for name, make in (
        ("dicognito", _dicognito),
        ("dicom-anonymizer", _dicom_anonymizer),
        ("deid", _deid),
        ("gdcm (C++), basic profile", _gdcm),
    ):
        try:
            found[name] = make()
        except ImportError:
            print(f"{name} is not installed")
    return found


def _on_datasets(anonymize: Callable[[pydicom.Dataset], object]) -> Way:
    """A peer that changes a pydicom data set in place."""

    def way(data: bytes) -> bytes:
        dataset = pydicom.dcmread(io.BytesIO(data), force=True)
        anonymize(dataset)
        out = io.BytesIO()
        dataset.save_as(out)
        return out.getvalue()

    return way


def _dicognito() -> Way:
    from dicognito.anonymizer import Anonymizer

    return _on_datasets(Anonymizer().anonymize)


def _dicom_anonymizer() -> Way:
    from dicomanonymizer import anonymize_dataset

    return _on_datasets(anonymize_dataset)


def _deid() -> Way:
    from deid.config import DeidRecipe
    from deid.dicom.parser import DicomParser

    recipe = DeidRecipe()

    def way(data: bytes) -> bytes:
        parser = DicomParser(pydicom.dcmread(io.BytesIO(data), force=True), recipe=recipe)
        parser.parse(strip_sequences=True, remove_private=True)
        out = io.BytesIO()
        parser.dicom.save_as(out)
        return out.getvalue()

    return way


def _gdcm() -> Way:
    """GDCM's own profile, what `gdcmanon --asymmetric` runs; it reads and writes files."""
    import gdcm

    folder = Path(tempfile.mkdtemp())
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "benchmark")])
    now = datetime.datetime(2026, 1, 1)
    certificate = (x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(9999))).sign(
        key, hashes.SHA256()
    )
    pem = folder / "certificate.pem"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    factory = gdcm.CryptoFactory.GetFactoryInstance()
    if factory is None:
        raise ImportError("this GDCM has no cryptography")
    provider = factory.CreateCMSProvider()
    if not provider.ParseCertificateFile(str(pem)):
        raise ImportError("GDCM does not take the certificate")
    provider.SetCipherType(gdcm.CryptographicMessageSyntax.AES256_CIPHER)
    gdcm.Global.GetInstance().LoadResourcesFiles()
    before, after = folder / "before.dcm", folder / "after.dcm"

    def way(data: bytes) -> bytes:
        before.write_bytes(data)
        reader = gdcm.Reader()
        reader.SetFileName(str(before))
        if not reader.Read():
            raise ValueError("not read")
        anonymizer = gdcm.Anonymizer()
        anonymizer.SetFile(reader.GetFile())
        anonymizer.SetCryptographicMessageSyntax(provider)
        if not anonymizer.BasicApplicationLevelConfidentialityProfile(True):
            raise ValueError("not anonymised")
        writer = gdcm.Writer()
        writer.SetFile(reader.GetFile())
        writer.SetFileName(str(after))
        writer.Write()
        return after.read_bytes()

    return way


def seconds(way: Way, files: list[bytes]) -> float:
    """Processor time for all files; the best of three rounds."""
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        for data in files:
            try:
                way(data)
            except (MalformedError, Exception):  # refused, or not readable for that way
                continue
        best = min(best, time.process_time() - start)
    return best


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", metavar="FOLDER", help="site-packages of a virtual environment")
    options = parser.parse_args()
    if options.peers:
        site.addsitedir(options.peers)
    warnings.simplefilter("ignore")
    logging.disable()
    sets = {"120 CT slices of 12 kB": [synth.instance_bytes(0, 0, 0, n, rows=64, columns=64) for n in range(120)]}
    if ROOT.is_dir():
        paths = sorted((ROOT / "neurolabusc+dcm_qa_nih").rglob("*.dcm"))[:120]
        sets["120 MR slices of the corpus"] = [path.read_bytes() for path in paths]
    print("| files | way | CPU, to pydicom's read and write |\n| --- | --- | ---: |")
    for name, files in sets.items():
        found = {way: seconds(call, files) for way, call in ways(bool(options.peers)).items()}
        yardstick = next(iter(found.values()))
        for way, taken in found.items():
            print(f"| {name} | {way} | {taken / yardstick:.2f} |")


if __name__ == "__main__":
    main()
