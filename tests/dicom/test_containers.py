"""Zip and tar: what they hold comes out as it went in, and what is hostile costs what its size allows."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from curate.core.findings import rules
from curate.donation import sources, zip_files
from tests.fuzz.containers import HOSTILE

NAMES = ("a.dcm", "f/" * 60 + "b.dcm", "núria/ç.dcm", "x" * 180 + ".dcm", "d/" + "y" * 99)


def _found(path: Path) -> list[sources.SourceFile]:
    return list(sources.find([path], path.parent / f"unpacked-{path.name}"))


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("packed", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_a_tar_gives_what_the_standard_library_put_in(
    form: int, packed: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    """Names of any length and alphabet, sizes around a block, in all of its formats and compressions."""
    raw, put = io.BytesIO(), {}
    with tarfile.open(fileobj=raw, mode="w", format=form) as container:
        for number, name in enumerate(NAMES):
            if form == tarfile.USTAR_FORMAT and len(name) > 150:
                continue
            put[name] = bytes([number]) * (510 + number)
            info = tarfile.TarInfo(name)
            info.size = len(put[name])
            container.addfile(info, io.BytesIO(put[name]))
        container.addfile(_named("folder", tarfile.DIRTYPE))
    path = tmp_path / "a.tar"
    path.write_bytes(packed(raw.getvalue()))
    found = _found(path)
    assert {"/".join((*file.folders, file.name)): file.read() for file in found} == put
    assert not any(file.rule for file in found)


def _named(name: str, kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    return info


def test_a_cut_tar_is_told(tmp_path: Path) -> None:
    """In a header, in a member, before its first: what came before is there, and the rest is not lost in silence."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as container:
        for name in ("1", "2"):
            info = tarfile.TarInfo(name)
            info.size = 1000
            container.addfile(info, io.BytesIO(bytes(1000)))
    for length, whole in ((0, 0), (300, 0), (1200, 0), (1536 + 100, 1), (1536 + 700, 1)):
        path = tmp_path / f"{length}.tar"
        path.write_bytes(raw.getvalue()[:length])
        assert [file.rule for file in _found(path)] == [""] * whole + ["CONTAINER_DAMAGED"]
    path.write_bytes(raw.getvalue()[:1536] + b"garbage, " * 100)
    assert [file.rule for file in _found(path)] == ["", "CONTAINER_DAMAGED"]


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, 9, 93, 97])
def test_a_zip_of_another_method_is_told_by_name(method: int, tmp_path: Path) -> None:
    """Its other members come in; Deflate64, which Windows writes, has a word of its own."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as container:
        container.writestr("first", b"1" * 50)
        container.writestr("second", b"2" * 50)
    data = bytearray(path.read_bytes())
    for signature, at in ((b"PK\3\4", 8), (b"PK\1\2", 10)):
        struct.pack_into("<H", data, data.find(signature) + at, method)
    path.write_bytes(data)
    refused, taken = _found(path)
    assert refused.rule == ("CONTAINER_DEFLATE64" if method == 9 else "CONTAINER_METHOD")
    assert taken.read() == b"2" * 50
    assert "Deflate" in rules()[refused.rule].next


def test_an_encrypted_zip_says_so(tmp_path: Path) -> None:
    """By the flag of a member, whatever the method of the encryption."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as container:
        container.writestr("first", b"1" * 50)
    data = bytearray(path.read_bytes())
    for signature, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.find(signature) + at] |= 1
    path.write_bytes(data)
    assert [file.rule for file in _found(path)] == ["CONTAINER_ENCRYPTED"]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_container_ends_soon(name: str, tmp_path: Path) -> None:
    """By a rule's code, and what was unpacked stays within the bound."""
    path = tmp_path / name.replace(" ", "-")
    path.write_bytes(HOSTILE[name]())
    started = time.process_time()
    found = _found(path)
    assert time.process_time() - started < 10 + 2 * path.stat().st_size / 1e6
    assert {file.rule for file in found} - {""} <= set(rules())
    assert any(file.rule for file in found)
    assert sum(file.size for file in found) <= zip_files.room(path)


def test_a_list_longer_than_its_file_is_not_read(tmp_path: Path) -> None:
    """Each entry of a zip's directory becomes an object many times its size; so it is looked at first."""
    path = tmp_path / "a.zip"
    entry = b"PK\1\2" + bytes(42)
    count = 80_000
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, count & 0xFFFF, count & 0xFFFF, len(entry) * count, 0, 0)
    path.write_bytes(b"PK\3\4" + entry * count + end)
    assert [file.rule for file in _found(path)] == ["CONTAINER_BOMB"]
