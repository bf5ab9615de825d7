"""Archives of very many generated donors: records and bytes like those that intake's worker makes, with other ids."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa

from curate.archive import arrow_ipc, packs
from curate.archive.ledger_records import StudyRecord
from curate.archive.repository import Archive
from curate.archive.stores import Store
from curate.core import clock
from curate.core.actor import TOOL, who
from curate.core.digests import canonical_json, sha256_set
from curate.deid import pseudonyms
from curate.donation.study_metadata import code_study
from curate.keys.derivation import Keys
from curate.metadata.study_row import StudyRow, study_row
from curate.steps.intake.admit import process
from curate.steps.intake.tasks import SourceInstance, StudyTask
from tests import synth

KINDS = (  # modality, vendor, field strength, share, series: what the images state
    ("CT", "SIEMENS", "", 0.26, 1),
    ("CT", "GE MEDICAL SYSTEMS", "", 0.16, 2),
    ("CT", "Philips", "", 0.07, 1),
    ("MR", "SIEMENS", "1.5", 0.15, 3),
    ("MR", "SIEMENS", "3", 0.10, 3),
    ("MR", "GE MEDICAL SYSTEMS", "1.5", 0.07, 2),
    ("CR", "SIEMENS", "", 0.13, 1),
    ("CR", "Agfa-Gevaert", "", 0.055, 1),
    ("MR", "TOSHIBA", "0.35", 0.005, 2),
)
_REGIONS = ("chest", "abdomen", "head", "brain", "lumbar spine", "knee", "pelvis", "cervical spine", "neck", "shoulder")
_DIAGNOSES = (
    *("none", "C34.1", "J18.9", "R51.9", "M54.5", "G35", "C50.911", "I63.9", "K80.20", "M17.0", "S82.0", "J44.9"),
    *("N20.0", "C18.9", "I10", "R07.9", "M51.2", "K57.3", "C61", "G40.9", "J84.1", "I26.9", "C22.0", "Q04.3"),
)
_FIRST_DAY = date(2000, 1, 1)
_ADMITTED = ("instance_count", "series_count", "size_bytes", "sha256")  # what the event of an intake states
_LENGTH = 44  # of most new UIDs, and of all that are chosen here, so that one takes another's place in a file


@dataclass(frozen=True, slots=True)
class Visit:
    """One study of a donor: whose, which of theirs, how many days after the first, and what it is."""

    donor: int
    number: int
    day: int
    age: int
    sex: str
    region: str
    diagnosis: str
    kind: int
    series: int


def visits(donors: Iterable[int], *, number: int = 0) -> Iterator[Visit]:
    """A first visit of each donor (`number` 0), or a further one, 30 to 1,000 days later."""
    for donor in donors:
        person, draw = np.random.default_rng(donor), np.random.default_rng([donor, number])
        age, sex = int(np.clip(person.normal(58, 18), 0, 104)), "FM"[person.integers(2)]
        kind = int(draw.choice(len(KINDS), p=[kind[3] for kind in KINDS]))
        region, diagnosis = (str(draw.choice(names, p=_skewed(len(names)))) for names in (_REGIONS, _DIAGNOSES))
        series = KINDS[kind][4] + int(draw.random() < 0.02)
        day = int(draw.integers(30, 1000)) if number else 0
        yield Visit(donor, number, day, age + day // 365, sex, region, diagnosis, kind, series)


def _skewed(values: int) -> list[float]:
    share = 1 / np.arange(1, values + 1) ** 0.9
    return list(share / share.sum())


def admit(archive: Archive, donations: Iterable[Visit], pack: int = 500) -> int:
    """Take visits in, `pack` studies to a pack as after a release that took them together; how many."""
    models = _models(archive.secret, canonical_json(archive.config.profile))
    count, rest = 0, iter(donations)
    while group := list(itertools.islice(rest, pack)):
        made = sorted((models.study(visit) for visit in group), key=lambda study: study.study_id)
        packed = packs.store_pack(_rows(made), archive.packs)
        places = iter(packed.places)
        with archive.ledger.transaction():
            for study in made:
                record = _record(study, packs.pack_path(packed.sha256), places)
                archive.ledger.put_study(record)
                payload = {name: record.payload["facts"][name] for name in _ADMITTED}
                archive.ledger.append(clock.stamp(), "admitted", study.study_id, payload, who=who(), tool=TOOL)
        count += len(made)
    return count


@dataclass(frozen=True, slots=True)
class _Study:
    """A study with its own ids: the record that it is made like, and its instances' bytes with their ids."""

    visit: Visit
    study_id: str
    donor_id: str
    fold: int
    like: StudyRecord
    members: tuple[tuple[str, str, bytes], ...]


class _Models:
    """One study of each kind, as intake's worker admitted it."""

    def __init__(self, secret: bytes, profile: str) -> None:
        self.keys, self.profile = Keys.from_secret(secret), json.loads(profile)
        self.made: dict[tuple[int, int], tuple[StudyRecord, list[tuple[str, str, bytes]]]] = {}

    def study(self, visit: Visit) -> _Study:
        """A visit's study: the model's bytes with the ids and the day of this one."""
        kind = visit.kind, visit.series
        if kind not in self.made:
            self.made[kind] = self._model(*kind)
        like, files = self.made[kind]
        donor = pseudonyms.donor_id(self.keys, f"P{visit.donor}")
        study = _new(self.keys, f"{visit.donor}/{visit.number}")
        day = f"{_FIRST_DAY + timedelta(days=visit.day):%Y%m%d}".encode()
        members = []
        for place, (series, instance, data) in enumerate(files):
            names = [_new(self.keys, f"{visit.donor}/{visit.number}/{place}/{what}") for what in ("series", "instance")]
            old, new = (like.study_id, like.donor_id, series, instance), (study, donor, *names)
            for before, after in zip(old, new, strict=True):
                data = data.replace(before.encode(), after.encode())
            members.append((*names, data.replace(b"20000101", day)))
        return _Study(visit, study, donor, pseudonyms.fold(self.keys, donor), like, tuple(sorted(members)))

    def _model(self, kind: int, series: int) -> tuple[StudyRecord, list[tuple[str, str, bytes]]]:
        with TemporaryDirectory() as name:
            root, study = Path(name), _original(self.keys, f"{kind}/{series}")
            files = [_file(root, kind, place, study, self.keys) for place in range(series)]
            record = process(_task(root, self.keys, self.profile, study, files), self.keys).record
            assert record is not None
            made = []
            for row in arrow_ipc.from_ipc(record.instances).to_pylist():
                data = packs.read_instance(root / row["pack"], row["offset_bytes"], row["size_bytes"])
                made.append((row["SeriesInstanceUID"], row["SOPInstanceUID"], data))
        return replace(record, previews=None, payload={**record.payload, "preview_rows": 0}), made


_models = lru_cache(maxsize=1)(_Models)


def _new(keys: Keys, name: str) -> str:
    return pseudonyms.new_uid(keys, _original(keys, name))


def _original(keys: Keys, name: str) -> str:
    """A UID whose new one has the usual length."""
    uids = (synth.uid(name, attempt) for attempt in itertools.count())
    return next(uid for uid in uids if len(pseudonyms.new_uid(keys, uid)) == _LENGTH)


def _file(root: Path, kind: int, place: int, study: str, keys: Keys) -> SourceInstance:
    """One image of a series, as a scanner of that kind writes it."""
    modality, vendor, field, _, _ = KINDS[kind]
    ds = synth.load_instance(0, 0, modality=modality, rows=4, columns=4, private=False)
    ds.StudyInstanceUID, ds.SeriesInstanceUID = study, _original(keys, f"{study}/{place}/series")
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = _original(keys, f"{study}/{place}/instance")
    ds.Manufacturer, ds.SeriesNumber = vendor, place + 1
    for name in ("FrameOfReferenceUID", "ReferencedImageSequence", "PatientAge", "PatientSex", "PatientBirthDate"):
        if name in ds:
            delattr(ds, name)
    if field:
        ds.MagneticFieldStrength = field
    path = root / f"{place}.dcm"
    path.write_bytes(synth.to_bytes(ds))
    return SourceInstance(f"many:{place}", path, ds.SeriesInstanceUID, ds.SOPInstanceUID)


def _task(
    root: Path, keys: Keys, profile: Mapping[str, object], study: str, files: Sequence[SourceInstance]
) -> StudyTask:
    moment = synth.load_instance().StudyDate
    first = date(int(moment[:4]), int(moment[4:6]), int(moment[6:]))
    return StudyTask(
        packs=Store(str(root), str(root / "unfinished")),
        quarantine=Store(str(root), str(root / "unfinished")),
        study_uid=study,
        study_id=pseudonyms.new_uid(keys, study),
        donor_id=pseudonyms.donor_id(keys, "model"),
        instances=tuple(sorted(files, key=lambda each: pseudonyms.new_uid(keys, each.series_uid))),
        findings=(),
        profile=profile,
        deidentify=True,
        target_pack_bytes=32_000_000,
        at="2020-06-01T00:00:00Z",
        tool="tests",
        license="CC-BY-4.0",
        shift_us=(_FIRST_DAY - first).days * 86_400_000_000,
        study_date="20000101",
        day=0,
        row=_row("58", "F", "chest", "none"),
    )


def _row(age: str, sex: str, region: str, diagnosis: str) -> StudyRow:
    raw = {"study": "s", "donor": "d", "age": age, "sex": sex, "region": region, "diagnosis": diagnosis}
    return study_row(2, raw | {"consent": "given", "consent_date": "2020-01-31"}, iter(()), zero_filled={})


def _rows(studies: Iterable[_Study]) -> Iterator[packs.PackRow]:
    for study in studies:
        for series, instance, data in study.members:
            yield packs.PackRow(study.study_id, series, instance, data)


@lru_cache(maxsize=1 << 16)
def _coded(age: int, sex: str, region: str, diagnosis: str) -> dict[str, object]:
    return code_study(_row(str(age), sex, region, diagnosis), {})[0]


def _record(study: _Study, path: str, places: Iterator[tuple[int, int]]) -> StudyRecord:
    """The ledger's record of a study whose instances lie at the next of `places`."""
    visit, like, members = study.visit, study.like, study.members
    digests = [hashlib.sha256(data).digest() for _, _, data in members]
    coded = _coded(visit.age, visit.sex, visit.region, visit.diagnosis)
    facts = {**like.payload["facts"], "sha256": sha256_set(digests).hex()}
    ids = {"study_id": [study.study_id] * len(members), "SeriesInstanceUID": [series for series, _, _ in members]}
    stored = {"SOPInstanceUID": [instance for _, instance, _ in members], "sha256": digests}
    stored |= {"pack": [path] * len(members), "offset_bytes": [next(places)[0] for _ in members]}
    return replace(
        like,
        study_id=study.study_id,
        donor_id=study.donor_id,
        source=b"".join(sorted(digests)),
        payload={**like.payload, "fold": study.fold, "day": visit.day, "coded": coded, "facts": facts},
        series=_with(like.series, ids),
        instances=_with(like.instances, ids | stored),
    )


_table = lru_cache(maxsize=256)(arrow_ipc.from_ipc)


def _with(data: bytes, columns: Mapping[str, Sequence[object]]) -> bytes:
    table = _table(data)
    for name, values in columns.items():
        at = table.schema.get_field_index(name)
        table = table.set_column(at, table.schema.field(at), pa.array(values, table.schema.field(at).type))
    return arrow_ipc.to_ipc(table)
