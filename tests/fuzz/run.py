"""Damaged files against the reader, rewriter, checker, scanner and facts: no crash, no hang."""

from __future__ import annotations

import faulthandler
import io
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import cache

from curate.core.findings import rules
from curate.dicom.attributes import facts
from curate.dicom.model import MalformedError
from curate.donation.header_scan import scan
from tests.fuzz.mutate import mutated
from tests.planter import bases, plant, system
from tests.planter.raw import write
from tests.planter.tokens import Source

SECONDS_A_FILE = 5.0
SECONDS_A_MEGABYTE = 2.0
FACTS = ("Modality", "PixelSpacing", "RadiopharmaceuticalInformationSequence.RadionuclideTotalDose")


@dataclass(slots=True)
class Tally:
    """What happened to the damaged files."""

    files: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[str, bytes]] = field(default_factory=list)


@cache
def seeds() -> tuple[bytes, ...]:
    """Real files, files of our own, planted ones, and what the rewriter makes of them."""
    made = [write(draft) for draft in bases.drafts()]
    source = Source(5)
    for draft in bases.drafts()[::4]:
        for layer, chosen in list(plant.places(draft).items())[::13]:
            if len(chosen) < 300:
                made.append(plant.one_layer(draft, layer, chosen, source).data)
    made += [done for data in made[:24] if (done := system.attack(data).released) is not None]
    real = sorted(path for path in bases.CORPUS.rglob("*") if path.is_file() and path.stat().st_size < 60_000)
    return tuple(made + [path.read_bytes() for path in real[::4]])


def one(data: bytes) -> str:
    """What becomes of one file; anything but a release or a rule's code is raised."""
    found = scan(io.BytesIO(data), len(data), system.KEYS)
    assert found.rule == "" or found.rule in rules(), found.rule
    try:
        facts(data, FACTS)
    except MalformedError as error:
        assert error.rule in rules(), error.rule
    outcome = system.attack(data)
    assert system.refused_by_code(outcome), outcome.refusal
    noticed = system.noticed(data)
    if outcome.released is None:
        assert noticed, outcome.refusal
        return outcome.refusal
    assert not system.noticed(outcome.released), system.objections(outcome.released)
    assert noticed or system.unchanged(data)
    return "released"


def fuzz(seconds: float, seed: int) -> Tally:
    """Damage files for so many seconds; each failure is kept with its bytes."""
    pick, tally = random.Random(seed), Tally()
    pool = seeds()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        data = mutated(pick, pick.choice(pool), pick.choice(pool))
        limit = SECONDS_A_FILE + SECONDS_A_MEGABYTE * len(data) / 1e6
        faulthandler.dump_traceback_later(10 * limit, exit=True)
        started = time.perf_counter()
        try:
            tally.outcomes[one(data)] += 1
            if time.perf_counter() - started > limit:
                tally.failures.append(("too slow", data))
        except Exception as error:
            tally.failures.append((f"{type(error).__name__}: {error}", data))
        finally:
            faulthandler.cancel_dump_traceback_later()
        tally.files += 1
    return tally
