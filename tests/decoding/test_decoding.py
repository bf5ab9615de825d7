"""The decoder process: the same pixels as pydicom's, nothing in reach of it, and a death that is told."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID

from curate import decoding
from curate.decoding import client, streams
from tests.fuzz import decoders

GREY: dict[str, Any] = {
    "rows": 64,
    "columns": 64,
    "samples_per_pixel": 1,
    "number_of_frames": 1,
    "bits_allocated": 16,
    "bits_stored": 12,
    "pixel_representation": 0,
    "photometric_interpretation": "MONOCHROME2",
}
RLE, JPEG_LS, J2K = streams.RLE, "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90"


def noise(rows: int = 64, columns: int = 64) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 4096, (rows, columns)).astype("<u2")


def runs(side: int = 512) -> np.ndarray:
    """Noise in pairs: an RLE frame of it is all short runs, which take long to decode."""
    return np.repeat(noise(side, side // 2), 2, axis=1)


def jpeg(side: int = 64, mode: str = "L") -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.tile(np.arange(side, dtype=np.uint8), (side, 1))).convert(mode).save(out, "JPEG")
    return out.getvalue()


@pytest.mark.parametrize("syntax", [RLE, JPEG_LS, J2K])
def test_what_is_coded_without_loss_comes_back(syntax: str) -> None:
    """A frame through the encoder and the decoder of the process is the same, as pydicom in this process says."""
    frame = noise()
    coded = decoding.encoded(frame, syntax, GREY)
    assert np.array_equal(decoding.decoded(coded, syntax, GREY), frame)
    expected, _ = get_decoder(UID(syntax)).as_array(encapsulate([coded]), index=0, **GREY)
    assert np.array_equal(expected, frame)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_jpeg_is_decoded_as_pydicom_does(mode: str) -> None:
    """Grey and YBR: the pixels are those of pydicom's decoders in this process."""
    samples = len(mode)
    options = GREY | {"bits_allocated": 8, "bits_stored": 8, "samples_per_pixel": samples}
    if samples == 3:
        options |= {"photometric_interpretation": "YBR_FULL_422", "planar_configuration": 0}
    coded = jpeg(mode=mode)
    for raw in (False, True):
        expected, _ = get_decoder(UID(streams.JPEG_BASELINE)).as_array(
            encapsulate([coded]), index=0, raw=raw, **options
        )
        assert np.array_equal(decoding.decoded(coded, streams.JPEG_BASELINE, options, raw=raw), expected)


@pytest.mark.parametrize("syntax", [RLE, JPEG_LS, J2K, streams.JPEG_BASELINE])
@pytest.mark.parametrize("other", [{"rows": 63}, {"columns": 65}, {"samples_per_pixel": 3, "planar_configuration": 0}])
def test_no_decoder_sees_a_frame_whose_header_says_otherwise(syntax: str, other: dict[str, int]) -> None:
    """Size and components of the stream's own header are the data set's, or the frame is refused before decoding."""
    options, frame = GREY, noise()
    coded = jpeg() if syntax == streams.JPEG_BASELINE else decoding.encoded(frame, syntax, options)
    if syntax == streams.JPEG_BASELINE:
        options = options | {"bits_allocated": 8, "bits_stored": 8}
    decoding.decoded(coded, syntax, options)
    if syntax == RLE and "samples_per_pixel" not in other:
        pytest.skip("the header of an RLE frame counts bytes of a pixel, and no pixels")
    with pytest.raises(decoding.UndecodableError, match="HeaderDisagrees"):
        decoding.decoded(coded, syntax, options | other)


def test_precision_and_tiles_are_bounded_before_decoding() -> None:
    """More bits than are allocated, or more tiles than the standard allows, reach no decoder."""
    coded = decoding.encoded(noise(), J2K, GREY)
    with pytest.raises(decoding.UndecodableError, match="HeaderDisagrees"):
        decoding.decoded(coded, J2K, GREY | {"bits_allocated": 8, "bits_stored": 8})
    tiny = bytearray(coded)
    tiny[24:32] = (1).to_bytes(4) * 2  # tiles of one pixel: 4,096 are allowed
    assert streams.header(bytes(tiny), J2K) == streams.Header(64, 64, 1, 12, 4096)
    tiny[8:16] = (1 << 20).to_bytes(4) * 2
    with pytest.raises(decoding.UndecodableError, match="HeaderDisagrees"):
        streams.agree(bytes(tiny), J2K, rows=1 << 20, columns=1 << 20, samples=1, allocated=16)


@pytest.mark.parametrize("syntax", [JPEG_LS, J2K, RLE, streams.JPEG_BASELINE])
def test_every_cut_of_a_frame_is_an_answer(syntax: str) -> None:
    """A frame that ends anywhere in its header is refused, never anything else."""
    coded = jpeg() if syntax == streams.JPEG_BASELINE else decoding.encoded(noise(), syntax, GREY)
    for size in range(0, 120, 3):
        with pytest.raises(decoding.UndecodableError):
            streams.agree(coded[:size], syntax, rows=64, columns=64, samples=1, allocated=16)
            raise decoding.UndecodableError  # the header was whole


def test_a_frame_that_takes_too_long_is_a_death_and_the_next_one_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process ends at its limit of time; another takes its place."""
    big = GREY | {"rows": 512, "columns": 512}
    slow = decoding.encoded(runs(), RLE, big)
    quick = decoding.encoded(noise(), JPEG_LS, GREY)
    with monkeypatch.context() as patched:
        patched.setenv("CURATE_DECODER_SECONDS", "0.02")
        with pytest.raises(decoding.DecoderDiedError):
            decoding.decoded(slow, RLE, big)
    assert np.array_equal(decoding.decoded(quick, JPEG_LS, GREY), noise())
    assert decoding.decoded(slow, RLE, big).shape == (512, 512)


def test_a_decoder_that_is_killed_is_asked_once_more() -> None:
    """What an earlier frame broke is not laid to a later one: the second try is in a fresh process."""
    big = GREY | {"rows": 512, "columns": 512}
    slow = decoding.encoded(runs(), RLE, big)
    first = client._running()._popen
    threading.Timer(0.05, first.kill).start()
    assert np.array_equal(decoding.decoded(slow, RLE, big), runs())
    first.wait(10)
    assert first.returncode == -signal.SIGKILL
    assert client._running()._popen.pid != first.pid


def test_memory_is_bounded() -> None:
    """A decoder that asks for more than its frame needs gets none of it, and goes on."""
    coded = decoding.encoded(noise(), JPEG_LS, GREY)
    plain = {"do": "decode", "syntax": JPEG_LS, "options": GREY, "raw": False, "precision": 12, "seconds": 5}
    with pytest.raises(decoding.UndecodableError):
        client.ask({**plain, "options": {**GREY, "rows": 60_000, "columns": 60_000}, "memory": 1 << 20}, coded)
    assert np.array_equal(decoding.decoded(coded, JPEG_LS, GREY), noise())


_CONFINED = """
import json, os, socket, sys, signal, ctypes
from curate.decoding import codecs, confine
codecs.warm_up()
held = confine.confine()
tries = {
    "open": lambda: open("/etc/hostname"),
    "write": lambda: open("/dev/shm/curate-test", "w"),
    "socket": lambda: socket.socket(),
    "fork": lambda: os.fork(),
    "exec": lambda: os.execv("/bin/true", ["true"]),
    "kill": lambda: os.kill(os.getppid(), 0),
    "list": lambda: os.listdir("/"),
    "limits": lambda: __import__("resource").prlimit(os.getppid(), 7),
    "executable": lambda: __import__("mmap").mmap(-1, 4096, prot=7),
}
done = {}
for name, attempt in tries.items():
    try:
        attempt()
        done[name] = True
    except BaseException as error:
        done[name] = False
os.write(1, json.dumps({"held": held, "done": done}).encode())
os._exit(0)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have limits of resources alone")
def test_the_process_reaches_nothing() -> None:
    """Confined as a decoder is, code can open no file and no socket, start or signal no process, run no new code."""
    done = subprocess.run([sys.executable, "-c", _CONFINED], capture_output=True, check=True)
    said = json.loads(done.stdout)
    if not said["held"]["seccomp"]:
        pytest.skip("this kernel or machine has no seccomp")
    assert said["held"]["limits"]
    assert said["done"] == dict.fromkeys(said["done"], False)


def test_the_process_knows_no_secret_and_no_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither its environment nor its command line holds a token, a passphrase, or where it was started."""
    for name in ("HF_TOKEN", "ZENODO_TOKEN", "CURATE_PASSPHRASE", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "secretsecret")
    client.close()
    process = client._running()._popen
    proc = Path(f"/proc/{process.pid}")
    if not (proc / "environ").exists():
        pytest.skip("no /proc here")
    for part in ("environ", "cmdline"):
        assert b"secretsecret" not in (proc / part).read_bytes()
    assert (proc / "cwd").readlink() == Path("/")
    assert len(list((proc / "fd").iterdir())) == 3


def test_the_process_ends_with_who_asked() -> None:
    """A coordinator that is killed leaves no decoder behind."""
    program = (
        "from curate.decoding import client; import time;"
        "print(client._running()._popen.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as asker:
        assert asker.stdout is not None
        decoder = int(asker.stdout.readline())
        asker.kill()
    until = time.monotonic() + 30
    process = Path(f"/proc/{decoder}/exe")
    while process.exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert not process.exists()


@pytest.mark.parametrize("decoder", decoders.FAMILIES)
def test_damaged_frames_give_pixels_or_a_coded_error(decoder: str) -> None:
    """Damage to a coded frame ends in pixels of the stated size, in an error of ours, or in a death that is told."""
    if not decoders.seeds(decoder):
        pytest.skip("the corpus is not here, and no encoder of ours writes this")
    tally = decoders.fuzz(decoder, float(os.environ.get("CURATE_FUZZ_SECONDS", "3")) / 5, 1)
    assert tally.frames
    assert tally.failures == []


def test_a_picture_is_read_apart() -> None:
    """A PNG tells its size and entries; one that is larger, or something else, is none."""
    out = io.BytesIO()
    Image.fromarray(np.zeros((20, 30), np.uint8)).save(out, "PNG")
    assert decoding.png_of(out.getvalue(), 192)["dimensions"] == [30, 20]
    for data in (jpeg(), out.getvalue()[:40], b""):
        with pytest.raises(decoding.UndecodableError):
            decoding.png_of(data, 192)
    with pytest.raises(decoding.UndecodableError):
        decoding.png_of(out.getvalue(), 19)
