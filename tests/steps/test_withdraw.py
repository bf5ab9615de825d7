"""A withdrawal leaves no byte behind: in packs, releases, the quarantine, the receipts, and on the hub."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from curate.archive import receipts
from curate.archive.repository import opened
from curate.core import clock
from curate.core.errors import InputError
from curate.core.findings import Severity
from curate.deid import pseudonyms
from curate.hub import open_target
from curate.keys.derivation import Keys
from curate.loading.load import RecutWarning, load
from curate.steps.intake import intake
from curate.steps.publish import publish
from curate.steps.release import release
from curate.steps.status import status
from curate.steps.withdraw import withdraw
from curate.verify.release import check_release
from tests import synth
from tests.hub.server import HubServer
from tests.steps.archives import curate, curate_json, donation, files_of, make_archive


@dataclass(frozen=True)
class Held:
    """An archive of four studies, of which two are of one donor, and one without a row waits."""

    root: Path
    hub: Path
    source: Path
    table: Path

    @property
    def keys(self) -> Keys:
        """The archive's keys."""
        return Keys.from_secret(bytes.fromhex((self.root / "secret.key").read_text().strip()))

    def id_of(self, study: int) -> str:
        """The new id of a synthetic study."""
        return pseudonyms.new_uid(self.keys, synth.uid(study, 0))

    def code(self, study: int) -> str:
        """The receipt of a study."""
        listed = receipts.read(self.root / receipts.NAME, self.keys.storage)
        return next(r.code for r in listed if r.study_id == self.id_of(study))

    def instances(self, study: int, version: str = "1.0.0") -> list[dict[str, object]]:
        """A study's rows in a release."""
        path = self.root / "releases" / version / "manifest" / "instances.parquet"
        rows: list[dict[str, object]] = pq.read_table(path).to_pylist()
        return [row for row in rows if row["study_id"] == self.id_of(study)]

    def intake(self) -> None:
        """Take the donation in."""
        intake(self.root, [self.source], self.table, deidentify=True, workers=1)


@pytest.fixture
def held(tmp_path: Path) -> Held:
    """An archive with its donation taken in."""
    root = make_archive(tmp_path / "archive", hub=(tmp_path / "hub").as_uri())
    source, table = donation(tmp_path / "donated", studies=4, instances=2)
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    rows[1]["donor"] = rows[0]["donor"] = "ANNA"
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    made = Held(root, tmp_path / "hub", source, table)
    made.intake()
    return made


@pytest.fixture
def published(held: Held) -> Held:
    """The same, with 1.0.0 published."""
    release(held.root)
    publish(held.root, "1.0.0")
    return held


def _errors(folder: Path) -> list[str]:
    return [f.rule for r in check_release(folder) for f in r.findings if f.severity is Severity.ERROR]


def _places(folder: Path, *needles: str) -> list[str]:
    """Files that hold one of these texts, in their bytes or, compressed, in a table's cells."""
    found = []
    for name, data in files_of(folder).items():
        cells = str(pq.read_table(folder / name).to_pydict()) if name.endswith(".parquet") else ""
        if any(needle.encode() in data or needle in cells for needle in needles):
            found.append(name)
    return found


def _traces(held: Held, study: int) -> tuple[str, ...]:
    uids = [str(row["SOPInstanceUID"]) for row in held.instances(study)]
    return (held.id_of(study), *uids)


def _ledger_bytes(held: Held) -> list[bytes]:
    return [path.read_bytes() for path in held.root.glob("ledger.db*")]


def test_no_byte_is_left_in_packs_releases_and_receipts(published: Held) -> None:
    """After `withdraw` no pack, preview, manifest or receipt of the archive holds the study, the others do."""
    needles, others = _traces(published, 1), _traces(published, 2)
    stays = {r["SOPInstanceUID"]: r["sha256"] for r in published.instances(2)}
    assert _places(published.root / "packs", *needles)
    assert _places(published.root / "previews", *needles)
    code = published.code(1)
    with opened(published.root, write=False) as archive:
        record = archive.ledger.study(published.id_of(1))
    assert record is not None
    assert any(record.source[:32] in data for data in _ledger_bytes(published))
    done = withdraw(published.root, synth.uid(1, 0))
    assert (done.studies, done.already, done.versions) == (1, False, ("1.0.0",))
    for name in ("packs", "previews", "releases", "tmp"):
        assert not _places(published.root / name, *needles), name
    assert _places(published.root / "releases", *others)
    assert {r["SOPInstanceUID"]: r["sha256"] for r in published.instances(2)} == stays
    assert not any(record.source[:32] in data for data in _ledger_bytes(published))
    held_codes = {r.code for r in receipts.read(published.root / receipts.NAME, published.keys.storage)}
    assert code not in held_codes
    assert len(held_codes) == 3
    assert _errors(published.root / "releases" / "1.0.0") == []


def test_the_next_release_is_without_it_and_revokes_its_digests(published: Held) -> None:
    """The next version is a PATCH that passes its checks and holds each digest's hash, and nothing else."""
    digests = sorted(hashlib.sha256(r["sha256"]).digest() for r in published.instances(1))  # type: ignore[arg-type]
    needles = _traces(published, 1)
    withdraw(published.root, published.id_of(1))
    cut = release(published.root)
    assert (cut.version, cut.studies, cut.added, cut.removed) == ("1.0.1", 3, 0, 1)
    assert _errors(cut.path) == []
    assert not _places(cut.path, *needles)
    rows = pq.read_table(cut.path / "manifest" / "revocations.parquet").to_pylist()
    assert [r["sha256_of_sha256"] for r in rows] == digests
    assert {r["version"] for r in rows} == {"1.0.1"}
    assert not release(published.root).new


def test_publishing_after_a_withdrawal_purges_the_hub(published: Held) -> None:
    """Under no tag of the hub is anything of the study; the other studies' bytes are those of before."""
    needles, others = _traces(published, 1), _traces(published, 3)
    withdraw(published.root, published.id_of(1))
    release(published.root)
    assert _places(published.hub, *needles)
    assert publish(published.root, "1.0.1", dry_run=True).purged == ("v1.0.0",)
    done = publish(published.root, "1.0.1")
    assert (done.purged, done.remaining) == (("v1.0.0",), ())
    assert done.erased_files > 0
    assert not _places(published.hub, *needles)
    assert _places(published.hub / "v1.0.0", *others)
    assert _errors(published.hub / "v1.0.0") == []
    with pytest.warns(RecutWarning, match="withdrawn up to 1.0.1"):
        studies = load(published.hub, "studies", version="1.0.0")
    assert studies.num_rows == 3
    again = publish(published.root, "1.0.1")
    assert again.already
    assert again.purged == ()


def test_versions_beyond_an_age_are_dropped_instead(published: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    """By policy an old version that held a withdrawn study goes off the hub; the archive's own is cut again."""
    config = published.root / "archive.toml"
    config.write_text(config.read_text().replace("# drop_after_days = 0", "drop_after_days = 30"))
    withdraw(published.root, synth.uid(1, 0))
    later = clock.now().timestamp() + 40 * 86_400
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(int(later)))
    done = publish(published.root, release(published.root).version)
    assert (done.dropped, done.purged, done.remaining) == (("v1.0.0",), (), ())
    assert sorted(json.loads((published.hub / "refs.json").read_text())["tags"]) == ["v1.0.1"]
    assert not (published.hub / "v1.0.0").exists()
    assert (published.root / "releases" / "1.0.0").is_dir()
    withdraw(published.root, synth.uid(2, 0))
    assert publish(published.root, release(published.root).version).dropped == ()


def test_the_hugging_face_hub_is_purged(held: Held, hub: HubServer) -> None:
    """The real client moves the older tag to a version without the study, and nothing is left by looking."""
    release(held.root)
    publish(held.root, "1.0.0", "hf://org/held")
    needles = _traces(held, 1)
    withdraw(held.root, held.id_of(1))
    release(held.root)
    done = publish(held.root, "1.0.1", "hf://org/held")
    assert (done.purged, done.remaining) == (("v1.0.0",), ())
    target = open_target("hf://org/held")
    for version in ("1.0.0", "1.0.1"):
        table = pq.read_table(io.BytesIO(target.read(version, "manifest/instances.parquet")))
        assert table.num_rows == 6
        assert needles[0] not in table["study_id"].to_pylist()
        packs = [path for path in target.holds(version) if path.startswith("packs/")]
        assert not any(needles[1].encode() in target.read(version, path) for path in packs)


def test_what_was_never_published_leaves_no_revocation(held: Held) -> None:
    """Nobody has a copy, so nothing is revoked, and the unpublished cut is dropped."""
    release(held.root)
    done = withdraw(held.root, held.id_of(1))
    assert (done.versions, done.dropped) == ((), ("1.0.0",))
    cut = release(held.root)
    assert (cut.version, cut.studies, cut.removed) == ("1.0.0", 3, 0)
    assert pq.read_table(cut.path / "manifest" / "revocations.parquet").num_rows == 0


def test_the_last_study_can_be_withdrawn(tmp_path: Path) -> None:
    """A release without any study is cut, passes its checks, is published, and purges the one before."""
    root = make_archive(tmp_path / "archive", hub=(tmp_path / "hub").as_uri())
    source, table = donation(tmp_path / "donated", studies=1, instances=1)
    intake(root, [source], table, deidentify=True, workers=1)
    release(root)
    publish(root, "1.0.0")
    withdraw(root, synth.uid(0, 0))
    cut = release(root)
    assert (cut.version, cut.studies, cut.removed) == ("1.0.1", 0, 1)
    assert publish(root, "1.0.1").purged == ("v1.0.0",)
    assert _errors(tmp_path / "hub" / "v1.0.0") == _errors(cut.path) == []


def test_all_that_waits_goes_too(tmp_path: Path) -> None:
    """A study in the quarantine is withdrawn by its original id: its encrypted files are deleted."""
    root = make_archive(tmp_path / "archive")
    source, table = donation(tmp_path / "donated", studies=2, instances=1)
    table.write_text("\n".join(table.read_text().splitlines()[:-1]) + "\n")  # the second study has no row
    intake(root, [source], table, deidentify=True, workers=1)
    assert len(files_of(root / "quarantine")) == 1
    done = withdraw(root, synth.uid(1, 0))
    assert (done.studies, done.quarantined) == (1, 1)
    assert files_of(root / "quarantine") == {}
    assert curate_json("quarantine", root) == []


@pytest.mark.parametrize("name", ["ANNA", "pseudonym"])
def test_a_donor_is_withdrawn_with_all_studies(published: Held, name: str) -> None:
    """Both studies of the donor go, by the table's name or by the published one; again it changes nothing."""
    subject = pseudonyms.donor_id(published.keys, "ANNA") if name == "pseudonym" else name
    needles = (*_traces(published, 0), *_traces(published, 1))
    assert withdraw(published.root, subject).studies == 2
    assert not _places(published.root / "releases", *needles)
    assert withdraw(published.root, subject).already
    with opened(published.root, write=False) as archive:
        assert archive.ledger.anchor(pseudonyms.donor_id(published.keys, "ANNA")) is None


def test_a_receipt_withdraws_and_then_says_only_that(published: Held) -> None:
    """The holder of a receipt withdraws without a name; afterwards the receipt leads to no study."""
    code = published.code(2)
    assert status(published.root, code).state == "published"
    assert withdraw(published.root, code.lower().replace("-", " ")).studies == 1
    assert status(published.root, code).state == "withdrawn"
    assert withdraw(published.root, code).already
    with opened(published.root, write=False) as archive:
        assert archive.ledger.receipt(receipts.digest(code)) == ""


def test_a_withdrawn_study_is_refused_when_it_is_sent_again(published: Held) -> None:
    """The tombstone holds: the same files go to the quarantine, and can be withdrawn from there."""
    withdraw(published.root, synth.uid(1, 0))
    published.intake()
    (entry,) = curate_json("quarantine", published.root)
    assert list(entry["codes"]) == ["STUDY_WITHDRAWN"]
    assert withdraw(published.root, synth.uid(1, 0)).quarantined == 1
    assert curate_json("quarantine", published.root) == []


def test_an_unknown_name_is_refused_and_not_repeated(held: Held) -> None:
    """Nothing goes by that name: exit 2, and the message does not show what was typed."""
    done = curate("withdraw", held.root, "JONES^MARY", code=2)
    assert "JONES" not in done.stdout + done.stderr
    assert "typing errors" in done.stderr


def test_status_answers_in_plain_words(held: Held) -> None:
    """Waiting, then published; a mistyped or foreign receipt is an error."""
    code = held.code(0)
    assert status(held.root, code).state == "waiting"
    release(held.root)
    publish(held.root, "1.0.0")
    told = json.loads(curate("status", held.root, code, "--json").stdout)
    assert told == {"state": "published", "versions": ["1.0.0"], "reasons": []}
    with pytest.raises(InputError, match="did not give out"):
        status(held.root, receipts.new_code())
    with pytest.raises(InputError, match="mistyped"):
        status(held.root, code[:-1] + ("0" if code[-1] != "0" else "1"))


def test_status_says_why_a_study_was_refused(tmp_path: Path) -> None:
    """A study that a rule keeps back is `refused`, with the rule's own sentence."""
    root = make_archive(tmp_path / "archive")
    source, table = donation(tmp_path / "donated", studies=1, instances=1)
    intake(root, [source], table, workers=1)  # names in the headers, and no --deidentify
    keys = Keys.from_secret(bytes.fromhex((root / "secret.key").read_text().strip()))
    (code,) = [r.code for r in receipts.read(root / receipts.NAME, keys.storage)]
    found = status(root, code)
    assert found.state == "refused"
    assert found.reasons
    assert "refused" not in curate("status", root, code).stdout
    assert withdraw(root, code).quarantined == 1
    assert files_of(root / "quarantine") == {}
