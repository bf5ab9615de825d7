"""Vendors' private headers: each field of a CSA header, each line of a protocol, and what lies around them."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from tests.dicom.vendor_blocks import csa, ge_protocol, ge_raw_header
from tests.planter.places.attributes import safe
from tests.planter.places.place import Place, Planter
from tests.planter.raw import Draft, Elem, put, text
from tests.planter.tokens import Token

SOUND = {"NumberOfImagesInMosaic": ["35"], "SliceNormalVector": ["0", "0", "1"], "B_value": ["1000"]}
BEYOND = ("PatientName", "UsedPatientWeight", "PatReinPattern", "DataFileName", "DeviceSerialNumber", "Private_Field")
PROTOCOL = "### ASCCONV BEGIN ###\nsSliceArray.lSize\t = \t35\n{}\n### ASCCONV END ###\n"
_CSA, _SERIES, _XA = (0x00290010, 0x10), (0x00290010, 0x20), (0x00210010, 0x19)
_GE, _RAW = (0x00250010, 0x1B), (0x00430010, 0x2A)


_DATA = Path(__file__).resolve().parents[3] / "curate" / "deid" / "data"


@cache
def _known() -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = json.loads((_DATA / "vendor_fields.json").read_text())["entries"]
    return found


@cache
def _listed() -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads((_DATA / "vendor.json").read_text())["entries"]
    return found


def _block(where: tuple[int, int], creator: str, make: Callable[[str], bytes], said: Callable[[Token], str]) -> Planter:
    """A planter that puts a block in which a text stands."""

    def plant(draft: Draft, token: Token) -> tuple[bytes, ...]:
        put(draft.items, text(where[0], "LO", creator))
        raw = make(said(token))
        put(draft.items, Elem(where[0] & 0xFFFF0000 | 0x1000 | where[1], "OB", raw + bytes(len(raw) % 2)))
        return (said(token).encode(),)

    return plant


SAID: tuple[tuple[str, Callable[[Token], str]], ...] = (
    ("text", lambda token: token.text),
    ("digits", lambda token: token.digits),
    ("date", lambda token: token.date),
)


def vendor_places(draft: Draft) -> Iterator[Place]:
    """One file a block, since a data set has one of a kind; each private attribute of the list by its VRs."""
    for entry in _listed():
        tag = int(entry["group"], 16) << 16 | 0x1000 | int(entry["element"], 16)
        for vr in ("LO", "UN", "DS", "FD", "OB", "US", "PN", "SQ"):
            yield Place(f"vendor-safe-{vr}", f"vendor/safe {tag:08X}/{vr}", safe(tag, entry["creator"], vr))
    for kind, name, where, creator, make in _places():
        for form, said in SAID:
            yield Place(
                f"vendor-{kind}-{name}-{form}", f"vendor/{kind}/{name}/{form}", _block(where, creator, make, said)
            )


def _places() -> Iterator[tuple[str, str, tuple[int, int], str, Callable[[str], bytes]]]:
    siemens = "SIEMENS CSA HEADER"
    yield "csa", "all fields", _CSA, siemens, _in_all
    yield "csa", "second values", _CSA, siemens, _in_second
    yield "csa", "padding", _CSA, siemens, lambda said: csa(SOUND, padding=said.encode())
    yield "csa", "after the end", _CSA, siemens, lambda said: csa(SOUND, after=said.encode())
    yield "csa", "older form", _SERIES, siemens, lambda said: csa({**SOUND, "CoilString": [said]}, marked=False)
    yield "csa", "protocol", _SERIES, siemens, lambda said: csa({"MrPhoenixProtocol": [_around(said)]})
    yield "protocol", "lines", _XA, "SIEMENS MR SDS 01", lambda said: PROTOCOL.format(_lines(said)).encode()
    yield (
        "protocol",
        "keys",
        _XA,
        "SIEMENS MR SDS 01",
        lambda said: PROTOCOL.format(f"sPat.{said} = 3\n{said}[1] = 4").encode(),
    )
    yield "protocol", "around", _XA, "SIEMENS MR SDS 01", lambda said: _around(said).encode()
    yield "ge", "lines", _GE, "GEMS_SERS_01", lambda said: ge_protocol(_ge_lines(said).encode(), level=0)
    yield "ge", "name of the file", _GE, "GEMS_SERS_01", lambda said: ge_protocol(b'NOSLC "15"\n', name=said.encode())
    yield "ge", "after the end", _GE, "GEMS_SERS_01", lambda said: ge_protocol(b'NOSLC "15"\n') + said.encode()
    yield "ge", "second member", _GE, "GEMS_SERS_01", _second_member
    yield "ge", "raw header", _RAW, "GEMS_PARM_01", lambda said: ge_raw_header(version=26, fill=said.encode())


def _in_all(said: str) -> bytes:
    names = [entry["name"] for entry in _known()["csa"] if entry["name"] not in SOUND]
    return csa({**SOUND, **{name: [said] for name in (*names, *BEYOND)}})


def _in_second(said: str) -> bytes:
    return csa({entry["name"]: ["1", said] for entry in _known()["csa"]})


def _around(said: str) -> str:
    inner = PROTOCOL.format(f'# {said}\ntProtocolName = "{said}"\nsSliceArray.ucMode = 4 # {said}')
    return f'<XProtocol> {{ <ParamString."PatientName"> {{ "{said}" }} }} {inner} {said}'


def _lines(said: str) -> str:
    keys = [entry["key"].replace("[]", "[0]") for entry in _known()["protocol"] if entry["key"] != "sSliceArray.lSize"]
    forms = ("{}", '"{}"', '""{}""', "1 {}", "-{}")
    return "\n".join(f"{key} = {forms[place % len(forms)].format(said)}" for place, key in enumerate(keys))


def _ge_lines(said: str) -> str:
    lines = [f'{entry["key"]} "{said}"' for entry in _known()["ge"] if entry["key"] != "NOSLC"]
    return "\n".join([f'SEDESC "{said}"', f'COIL "{said}"', f'{said} "1"', 'NOSLC "15"', *lines, f'IOPT "EPI, {said}"'])


def _second_member(said: str) -> bytes:
    hidden = zlib.compressobj(0, wbits=31)
    raw = ge_protocol(b'NOSLC "15"\n')[4:] + hidden.compress(said.encode()) + hidden.flush()
    return struct.pack("<I", len(raw)) + raw
