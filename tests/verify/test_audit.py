"""An auditor without the archive believes what really happened, and nothing that was changed since."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate import contract
from curate.attestation import release_attestations
from curate.attestation.release_attestations import FOLDER, LEAVES, OPENINGS
from curate.core.digests import sha256_file
from curate.transparency import commitments, merkle, signing_keys
from curate.transparency.signed_note import Checkpoint, PublicKey, public_key
from curate.verify.audit import audit_releases
from tests.verify.histories import History, instances_of, seal, write_table

Draw = Callable[[Any], Any]
QUICK = settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


def errors(folders: list[Path], key: str | PublicKey = "") -> set[str]:
    """The codes of what an audit finds, notes apart."""
    trusted = public_key(key) if isinstance(key, str) and key else key or None
    results = audit_releases(folders, trusted)  # type: ignore[arg-type]
    return {f.rule for result in results for f in result.findings if f.severity == "error"}


def _live(history: History, draw: Draw) -> str:
    return str(draw(st.sampled_from(sorted(history.studies))))


def lived(root: Path, draw: Draw) -> History:
    """Any history of additions, withdrawals, other licences, rotations, and at least two releases."""
    history = History(root)
    history.add(2)
    history.release()
    for act in draw(st.lists(st.sampled_from(["add", "withdraw", "relicense", "rotate", "release"]), max_size=6)):
        if act == "add":
            history.add(draw(st.integers(1, 3)))
        elif act in ("rotate", "release"):
            getattr(history, act)()
        elif history.studies:
            getattr(history, act)(_live(history, draw))
    history.add(1)
    history.release()
    return history


@QUICK
@given(st.data())
def test_whatever_really_happened_passes(data: st.DataObject) -> None:
    """Any history passes, all versions together or each alone, under the archive's first or its newest key."""
    with tempfile.TemporaryDirectory() as folder:
        history = lived(Path(folder) / "archive", data.draw)
        first = str(_first_key(history))
        assert errors(history.folders, history.key) == set()
        assert errors(history.folders[::-1], first) == set()
        for release in history.folders:
            assert errors([release]) == set()


def _first_key(history: History) -> PublicKey:
    held = signing_keys.read(history.root / signing_keys.LOG_KEY)
    pairs = [signing_keys.succession(note) for note in held.rotations]
    return pairs[0][0] if pairs and pairs[0] else held.public


def _files(folder: Path) -> list[Path]:
    read = [folder / "release.json", *(folder / "manifest").glob("*"), *(folder / FOLDER).rglob("*")]
    return sorted(path for path in read if path.is_file())


def _flip(folder: Path, draw: Draw) -> None:
    path = draw(st.sampled_from(_files(folder)))
    data = bytearray(path.read_bytes())
    data[draw(st.integers(0, len(data) - 1))] ^= draw(st.integers(1, 255))
    _put(path, bytes(data))


def _cut_short(folder: Path, draw: Draw) -> None:
    path = draw(st.sampled_from(_files(folder)))
    _put(path, path.read_bytes()[: -draw(st.integers(1, 20))])


def _drop(folder: Path, draw: Draw) -> None:
    draw(st.sampled_from([p for p in _files(folder) if p.name != "release.json"])).unlink()


def _add(folder: Path, draw: Draw) -> None:
    (folder / FOLDER / draw(st.sampled_from(["more.json", "sheets.txt", "x"]))).write_text("{}")


def _rows(folder: Path, draw: Draw) -> None:
    """Drop, double or move a row, and seal the release anew."""
    table = draw(st.sampled_from([LEAVES, OPENINGS, "studies", "instances"]))
    path = folder / FOLDER / table if "." in table else folder / "manifest" / f"{table}.parquet"
    rows = pq.read_table(path).to_pylist()
    if not rows:  # all were withdrawn
        _cut_short(folder, draw)
        return
    at = draw(st.integers(0, len(rows) - 1))
    before = list(rows)
    changed = draw(st.sampled_from([rows[:at] + rows[at + 1 :], [*rows, rows[at]], [*rows[at + 1 :], *rows[: at + 1]]]))
    rows = changed if changed != before else rows[:-1]
    name = path.name.removesuffix(".parquet")
    if "." in table:
        _put_table(path, name, rows)
    else:
        path.unlink()
        write_table(folder, name, rows)
        sealed = json.loads((folder / "release.json").read_text())
        more = {"recut": sealed["recut"]} if "recut" in sealed else {}
        seal(folder, sealed["version"], sealed["previous"], **more)


def _put(path: Path, data: bytes) -> None:
    path.unlink()  # leaves.parquet may be linked to another version's
    path.write_bytes(data)


def _put_table(path: Path, name: str, rows: list[dict[str, Any]]) -> None:
    path.unlink()
    contract.write_table(name, path, [contract.to_arrow(name, rows)])


@QUICK
@given(st.data())
def test_nobody_changes_anything_unseen(data: st.DataObject) -> None:
    """Without the archive's key no byte, file or row of what is audited can be altered, dropped, moved or added."""
    with tempfile.TemporaryDirectory() as folder:
        history = lived(Path(folder) / "archive", data.draw)
        for tamper in data.draw(
            st.lists(st.sampled_from([_flip, _flip, _cut_short, _drop, _add, _rows]), min_size=3, max_size=6)
        ):
            copies = [Path(folder) / "copy" / each.name for each in history.folders]
            shutil.copytree(history.root / "releases", Path(folder) / "copy")
            tamper(data.draw(st.sampled_from(copies)), data.draw)
            assert errors(copies, history.key), tamper.__name__
            shutil.rmtree(Path(folder) / "copy")


class Insider:
    """The newest release in the hands of who holds the archive's key: everything is signed anew."""

    def __init__(self, history: History, folder: Path) -> None:
        self.folder, self._key = folder, signing_keys.read(history.root / signing_keys.LOG_KEY)
        self.leaves = pq.read_table(folder / FOLDER / LEAVES).to_pylist()
        self.openings = pq.read_table(folder / FOLDER / OPENINGS).to_pylist()
        self.studies = pq.read_table(folder / "manifest/studies.parquet").to_pylist()
        self.instances = pq.read_table(folder / "manifest/instances.parquet").to_pylist()

    def sign(self) -> None:
        """Make leaves, root, seal and checkpoint agree again."""
        for number, row in enumerate(self.leaves):
            row["index"] = number
        _put_table(self.folder / FOLDER / LEAVES, "leaves", self.leaves)
        _put_table(self.folder / FOLDER / OPENINGS, "openings", self.openings)
        write_table(self.folder, "studies", self.studies)
        write_table(self.folder, "instances", self.instances)
        sealed = json.loads((self.folder / "release.json").read_text())
        digest = seal(self.folder, sealed["version"], sealed["previous"])
        hashes = [commitments.leaf_hash(row["kind"], row["commitment"]) for row in self.leaves]
        said = replace(release_attestations.read_checkpoint(self.folder)[1], release=digest)
        point = Checkpoint(self._key.public.name, len(hashes), merkle.root(merkle.levels(hashes)), ())
        release_attestations.write_checkpoint(self.folder, point, said, self._key.signer())

    def indexed(self, kind: str) -> list[int]:
        """Where the openings of a kind stand."""
        return [at for at, row in enumerate(self.openings) if self.leaves[row["index"]]["kind"] == kind]


def _no_consent(inside: Insider, draw: Draw) -> set[str]:
    inside.studies.append({**inside.studies[0], "study_id": "2.25.999"})
    return {"LOG_CONSENT_MISSING"}


def _other_license(inside: Insider, draw: Draw) -> set[str]:
    draw(st.sampled_from(inside.studies))["license"] = "MIT"
    return {"LOG_CONSENT_MISSING"}


def _twice(inside: Insider, draw: Draw) -> set[str]:
    inside.studies.append(draw(st.sampled_from(inside.studies)))
    return {"LOG_CONSENT_MISSING"}


def _hidden_consent(inside: Insider, draw: Draw) -> set[str]:
    del inside.openings[draw(st.sampled_from(inside.indexed("consent")))]
    return {"LOG_CONSENT_MISSING"}


def _hidden_withdrawal(inside: Insider, draw: Draw) -> set[str]:
    del inside.openings[draw(st.sampled_from(inside.indexed("withdrawal")))]
    return {"LOG_WITHDRAWAL_UNOPENED"}


def _disguised_withdrawal(inside: Insider, draw: Draw) -> set[str]:
    at = draw(st.sampled_from(inside.indexed("withdrawal")))
    inside.leaves[inside.openings.pop(at)["index"]]["kind"] = "consent"
    return {"LOG_NOT_EXTENDED"}


def _published_again(inside: Insider, draw: Draw) -> set[str]:
    row = {**inside.instances[0], "sha256": instances_of("2.25.1")[0]}
    inside.instances.append(row)
    return {"LOG_ROW_WITHDRAWN"}


def _moved_leaf(inside: Insider, draw: Draw) -> set[str]:
    inside.leaves.insert(1, inside.leaves.pop(0))
    for row in inside.openings:
        row["index"] = {0: 1, 1: 0}.get(row["index"], row["index"])
    inside.openings.sort(key=lambda row: int(row["index"]))
    return {"LOG_NOT_EXTENDED"}


def _dropped_leaf(inside: Insider, draw: Draw) -> set[str]:
    gone = next(row for row in inside.leaves if row["index"] not in {o["index"] for o in inside.openings})
    inside.leaves.remove(gone)
    for row in inside.openings:
        row["index"] -= row["index"] > gone["index"]
    return {"LOG_NOT_EXTENDED"}


def _forgotten_predecessor(inside: Insider, draw: Draw) -> set[str]:
    sealed = json.loads((inside.folder / "release.json").read_text())
    (inside.folder / "release.json").write_text(json.dumps(sealed | {"previous": None}))
    return {"CHAIN_BROKEN"}


def _altered_opening(inside: Insider, draw: Draw) -> set[str]:
    row = inside.openings[draw(st.sampled_from(inside.indexed("withdrawal")))]
    row["opening"] = commitments.withdrawal([])
    return {"LOG_OPENING"}


FRAUDS = (
    _no_consent,
    _other_license,
    _twice,
    _hidden_consent,
    _hidden_withdrawal,
    _disguised_withdrawal,
    _published_again,
    _moved_leaf,
    _dropped_leaf,
    _altered_opening,
    _forgotten_predecessor,
)


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> History:
    """Three versions: a study of the first was withdrawn before the second."""
    history = History(tmp_path_factory.mktemp("old") / "archive")
    history.add(4)
    history.release()
    history.withdraw("2.25.1")
    history.add(2)
    history.release()
    history.add(1)
    history.release()
    return history


@pytest.mark.parametrize("fraud", FRAUDS, ids=lambda fraud: fraud.__name__.strip("_"))
def test_who_holds_the_key_cannot_cheat_either(old: History, tmp_path: Path, fraud: Any) -> None:
    """Signed anew or not: no row without consent, no withdrawal kept back, nothing rewritten."""
    copies = [tmp_path / folder.name for folder in old.folders]
    for folder, copy in zip(old.folders, copies, strict=True):
        shutil.copytree(folder, copy)
    assert errors(copies, old.key) == set()
    inside = Insider(old, copies[-1])
    expected = fraud(inside, _first_of)
    inside.sign()
    found = errors(copies, old.key)
    assert expected <= found, found


def _first_of(strategy: Any) -> Any:
    return strategy.elements[0]


def test_a_copy_that_was_not_cut_again_is_found(tmp_path: Path) -> None:
    """A version as it was before a withdrawal fails together with the next one, and passes as it was cut again."""
    history = History(tmp_path / "archive")
    history.add(3)
    history.release()
    stale = shutil.copytree(history.folder("1.0.0"), tmp_path / "stale")
    history.withdraw("2.25.2")
    history.release()
    assert errors([stale], history.key) == set()  # alone it cannot know
    assert errors([stale, history.folder("1.1.0")], history.key) == {"LOG_ROW_WITHDRAWN", "CHAIN_BROKEN"}
    assert errors(history.folders, history.key) == set()
    assert errors([stale, history.folder("1.0.0")], history.key) == set()
    assert errors([stale, stale], history.key) == set()


def test_another_archives_key_or_log_is_refused(tmp_path: Path) -> None:
    """A release of another archive passes alone, but neither under this one's key nor in its chain."""
    ours, theirs = History(tmp_path / "ours"), History(tmp_path / "theirs")
    for history, studies in ((ours, 2), (theirs, 3)):
        history.add(studies)
        history.release()
    theirs.add(1)
    theirs.release()
    assert errors([theirs.folder("1.0.0")]) == set()
    assert errors([theirs.folder("1.0.0")], ours.key) == {"ATTESTATION_KEY_UNKNOWN"}
    both = errors([ours.folder("1.0.0"), theirs.folder("1.1.0")])
    assert {"ATTESTATION_KEY_UNKNOWN", "LOG_NOT_EXTENDED", "CHAIN_BROKEN"} <= both


def test_a_key_with_two_successors_is_found(tmp_path: Path) -> None:
    """Who stole an old key cannot let it hand over to another one beside the true one."""
    history = History(tmp_path / "archive")
    history.add(1)
    history.release()
    stolen = (history.root / signing_keys.LOG_KEY).read_bytes()
    history.rotate()
    history.release()
    true = (history.root / signing_keys.LOG_KEY).read_bytes()
    (history.root / signing_keys.LOG_KEY).write_bytes(stolen)
    history.rotate()
    history.release()
    (history.root / signing_keys.LOG_KEY).write_bytes(true)
    assert errors(history.folders, history.key) == {"ATTESTATION_KEY_FORK"}


def test_a_withdrawal_leaves_no_opening_behind(tmp_path: Path) -> None:
    """After it neither the ledger's file nor any version holds the salt or text of the consent; the leaf stays."""
    history = History(tmp_path / "archive")
    history.add(2)
    history.release()
    path = history.folder("1.0.0") / FOLDER / OPENINGS
    row = next(r for r in pq.read_table(path).to_pylist() if '"2.25.1"' in r["opening"])
    leaves = sha256_file(history.folder("1.0.0") / FOLDER / LEAVES)
    ledger = list(history.root.glob("ledger.db*"))
    assert any(row["salt"] in file.read_bytes() for file in ledger)
    history.withdraw("2.25.1")
    with history._archive() as archive:
        archive.ledger.truncate()
    assert not any(row["salt"] in file.read_bytes() for file in history.root.glob("ledger.db*"))
    assert row["salt"] not in {r["salt"] for r in pq.read_table(path).to_pylist()}
    assert sha256_file(history.folder("1.0.0") / FOLDER / LEAVES) == leaves
