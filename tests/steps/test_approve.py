"""Approvals are signatures on exact bytes, and publishing asks for as many as the policy does."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from curate.archive.repository import opened
from curate.attestation import approvals, release_attestations
from curate.attestation.release_attestations import FOLDER
from curate.core.digests import sha256_file
from curate.core.errors import HubError, InputError, RefusedError
from curate.releases.attest import attest_review
from curate.steps.approve import approve
from curate.steps.audit import audit
from curate.steps.intake import intake
from curate.steps.keys import new_key, rotate_key, show_key
from curate.steps.publish import publish
from curate.steps.reject import reject
from curate.steps.release import release
from curate.steps.sheet import sheet
from curate.steps.withdraw import withdraw
from curate.transparency import signed_note, signing_keys
from tests import synth
from tests.hub.s3_server import S3Server
from tests.hub.server import HubServer
from tests.hub.test_s3 import bucket  # noqa: F401 (a fixture)
from tests.regenerate_golden import answers
from tests.steps.archives import curate, curate_json, donation, files_of, make_archive

ANNA, JOAN = "Anna Puig", "Joan Roca"


@pytest.fixture(scope="module")
def taken_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive with three studies taken in, and a folder of reviewers' keys beside it."""
    folder = tmp_path_factory.mktemp("approve")
    root = make_archive(folder / "archive", approvals=1, hub=(folder / "hub").as_uri())
    source, table = donation(folder / "donated", studies=3, instances=1)
    intake(root, [source], table, deidentify=True, workers=1)
    for name in (ANNA, JOAN):
        new_key(name, folder / f"{name}.key")
    return folder


@pytest.fixture
def place(taken_in: Path, tmp_path: Path) -> Path:
    """A copy of it, with a hub of its own."""
    shutil.copytree(taken_in, tmp_path / "work")
    config = tmp_path / "work" / "archive" / "archive.toml"
    config.write_text(config.read_text().replace((taken_in / "hub").as_uri(), (tmp_path / "work/hub").as_uri()))
    return tmp_path / "work"


def _policy(place: Path, text: str) -> None:
    config = place / "archive" / "archive.toml"
    config.write_text(config.read_text().replace("required = 1", text))


def _public(place: Path, name: str) -> str:
    return show_key(place / f"{name}.key").public


def _approve(place: Path, name: str = ANNA) -> approvals.Approval:
    return approve(place / "archive", "1.0.0", name, place / f"{name}.key")


def _refused(place: Path) -> str:
    with pytest.raises(RefusedError) as caught:
        publish(place / "archive", "1.0.0")
    assert caught.value.hint
    return caught.value.message


def _codes(*references: Path, key: str = "") -> set[str]:
    return {f.rule for r in audit([*references], key) for f in r.findings if f.severity == "error"}


def test_publishing_waits_for_a_signature_and_anybody_can_verify_it(place: Path) -> None:
    """Without an approval nothing is published; with it the hub carries the signature, and an audit counts it."""
    root = place / "archive"
    cut = release(root)
    assert _refused(place) == "Release 1.0.0 has 0 of 1 approvals."
    assert _codes(cut.path) == {"ATTESTATION_APPROVALS_LACKING"}
    said = _approve(place)
    assert (said.release, said.reviewer, said.policy) == (cut.digest, ANNA, said.policy)
    publish(root, "1.0.0")
    found = release_attestations.read_approvals(place / "hub/v1.0.0")
    assert found is not None
    assert [approvals.opened(entry) for entry in found] == [said]
    assert _codes(place / "hub", key=show_key(root).public) == set()
    with pytest.raises(RefusedError, match="published already"):
        _approve(place, JOAN)


def test_twice_is_the_same_as_once(place: Path) -> None:
    """A second run changes no byte of the release and adds no event."""
    root = place / "archive"
    release(root)
    first = _approve(place)
    before = files_of(root / "releases")
    assert _approve(place) == first
    assert files_of(root / "releases") == before
    with opened(root, write=False) as archive:
        assert len(list(archive.ledger.events("approved"))) == 1


def test_bytes_that_changed_since_are_not_approved(place: Path) -> None:
    """A cut that replaces the approved one, or a byte that somebody changed in it, needs another approval."""
    root = place / "archive"
    cut = release(root)
    _approve(place)
    sealed = cut.path / "release.json"
    good = sealed.read_text()
    sealed.write_text(good.replace("Test archive", "Best archive"))
    assert _refused(place) == "Release 1.0.0 has 0 of 1 approvals; its bytes changed after an approval."
    sealed.write_text(good)
    withdraw(root, synth.uid(0, 0))
    assert release(root).version == "1.0.0"
    assert _refused(place) == "Release 1.0.0 has 0 of 1 approvals; its bytes changed after an approval."
    _approve(place)
    publish(root, "1.0.0")


def test_an_approval_goes_on_for_a_version_that_a_withdrawal_cut_again(place: Path) -> None:
    """After a purge the hub still shows who approved the version, its audit passes, and no opening is left."""
    root = place / "archive"
    first = release(root)
    _approve(place)
    publish(root, "1.0.0")
    sheets = sheet(root, "1.0.0")
    assert sheets[0].release == first.digest
    withdraw(root, synth.uid(1, 0))
    second = release(root)
    publish(root, second.version)  # one that only removes needs no approval
    assert _codes(place / "hub", key=show_key(root).public) == set()
    assert len(release_attestations.read_approvals(place / "hub/v1.0.0") or []) == 1
    publish(root, "1.0.0", (place / "other").as_uri())


def test_an_archive_cannot_name_in_replaces_what_was_not_approved(place: Path) -> None:
    """Of a version cut again, one digest must have all approvals: half of them on it and half on it before won't do."""
    root = place / "archive"
    _policy(place, "required = 2")
    release(root)
    for name in (ANNA, JOAN):
        _approve(place, name)
    publish(root, "1.0.0")
    withdraw(root, synth.uid(1, 0))
    folder = root / "releases" / "1.0.0"
    key = show_key(root).public
    assert _codes(folder, key=key) == set()
    given = release_attestations.read_approvals(folder) or []
    (anna,) = [entry for entry in given if entry.public.name == signed_note.key_name(ANNA)]
    with opened(root, write=True) as archive:
        now = sha256_file(folder / "release.json")
        said = approvals.opened(anna)
        assert said is not None
        assert said.release != now
        forged = approvals.signed(replace(said, release=now), signing_keys.read(place / f"{ANNA}.key").signer())
        others = [entry for entry in given if entry is not anna]
        attest_review(archive, folder, [*others, replace(anna, note=forged)], ("", b""), ("", b""))
    assert _codes(folder, key=key) == {"ATTESTATION_APPROVALS_LACKING"}


def test_a_policy_may_ask_for_several_named_reviewers(place: Path) -> None:
    """Only keys that the policy names count, each once, also after they were rotated."""
    _policy(place, f'required = 2\nreviewers = ["{_public(place, ANNA)}", "{_public(place, JOAN)}"]')
    new_key("Eva Mas", place / "Eva Mas.key")
    release(place / "archive")
    with pytest.raises(RefusedError, match="not one that this archive names") as caught:
        _approve(place, "Eva Mas")
    assert _public(place, "Eva Mas") in caught.value.hint
    _approve(place)
    rotate_key(place / f"{ANNA}.key")
    _approve(place)
    assert _refused(place) == "Release 1.0.0 has 1 of 2 approvals."
    _approve(place, JOAN)
    publish(place / "archive", "1.0.0")
    assert _codes(place / "hub") == set()


def test_who_cut_a_release_does_not_approve_it_under_four_eyes(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The account that cut it is mapped to its person, whose approval is refused."""
    monkeypatch.setenv("LOGNAME", "apuig")
    config = place / "archive" / "archive.toml"
    config.write_text(config.read_text().replace("\n[packs]", f'apuig = "{ANNA}"\n[packs]'))
    _policy(place, "required = 1\nfour_eyes = true")
    release(place / "archive")
    with pytest.raises(RefusedError, match="other eyes"):
        _approve(place)
    _approve(place, JOAN)
    publish(place / "archive", "1.0.0")


def test_a_policy_that_changes_after_the_cut_asks_for_another_cut(place: Path) -> None:
    """What the release's checkpoint states and what the archive asks for are the same when it is published."""
    release(place / "archive")
    _approve(place)
    _policy(place, "required = 2")
    assert _refused(place).startswith("The approval policy changed since release 1.0.0 was cut")


def test_a_rejection_holds_until_its_reviewer_approves(place: Path) -> None:
    """The reason is shown to the maintainer, its text never leaves the archive, and other approvals do not help."""
    root = place / "archive"
    cut = release(root)
    reject(root, "1.0.0", ANNA, "pixels", "letters in a corner")
    reject(root, "1.0.0", ANNA, "PIXELS", "letters in a corner")
    _approve(place, JOAN)
    assert _refused(place) == "Release 1.0.0 was rejected by Anna Puig (PIXELS)."
    with pytest.raises(RefusedError) as stopped:
        publish(root, "1.0.0")
    for command in ("ledger", "withdraw", "release"):  # how to go on, as it is typed
        assert f"curate {command} {root}" in stopped.value.hint
    assert release(root).rejected == ("Anna Puig: PIXELS (letters in a corner)",)
    told = curate("ledger", root).stdout
    assert told.count("rejected") == 1
    assert "letters in a corner" in told
    assert not any(b"letters in a corner" in data for data in files_of(cut.path).values())
    with pytest.raises(InputError, match="is no reason"):
        reject(root, "1.0.0", ANNA, "BAD")
    _approve(place)
    publish(root, "1.0.0")


@pytest.fixture
def papers(place: Path) -> tuple[Path, Path]:
    """Sheet and decisions of a release, all answered."""
    release(place / "archive")
    made = place / "sheet.json", place / "decisions.json"
    sheet(place / "archive", "1.0.0", *made)
    answers(*made, by=ANNA)
    return made


def _with(place: Path, papers: tuple[Path, Path]) -> approvals.Approval:
    key = place / f"{ANNA}.key"
    return approve(place / "archive", "1.0.0", ANNA, key, sheet=papers[0], decisions=papers[1])


def test_sheet_and_decisions_are_signed_and_published(place: Path, papers: tuple[Path, Path]) -> None:
    """They lie beside the release under the digests that the note bears; altering one is found."""
    said = _with(place, papers)
    publish(place / "archive", "1.0.0")
    beside = place / "hub/v1.0.0" / FOLDER
    assert (beside / f"sheets/{said.sheet}.json").read_bytes() == papers[0].read_bytes()
    assert (beside / f"decisions/{said.decisions}.json").read_bytes() == papers[1].read_bytes()
    assert _codes(place / "hub") == set()
    copy = shutil.copytree(place / "hub/v1.0.0", place / "copy")
    path = copy / FOLDER / f"sheets/{said.sheet}.json"
    path.chmod(0o644)
    path.write_text(path.read_text().replace('"yes"', '"no"'))
    assert _codes(copy) == {"ATTESTATION_FILE_CHANGED"}


def _edit(path: Path, change: Callable[[dict], object]) -> None:  # type: ignore[type-arg]
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("paper", "change", "message"),
    [
        (0, lambda s: s["questions"][1].update(answer=""), "Question 2 of .* is not answered"),
        (0, lambda s: s["questions"][4].update(answer="no"), "Question 5 of .* is answered no"),
        (0, lambda s: s["questions"][0].update(evidence={}), "shows other evidence"),
        (0, lambda s: s["counts"].update(held=7), "shows other evidence"),
        (0, lambda s: s.update(release="00" * 32), "of other bytes"),
        (0, lambda s: s.update(questions=s["questions"][1:]), "does not hold the five questions"),
        (0, lambda s: s.update(more=1), "a Sheet of another form"),
        (0, lambda s: s.update(format="x"), "not of the format"),
        (1, lambda d: d["series"].pop(), "1 series of the sample unopened"),
        (1, lambda d: d["series"][0].update(opened=False), "1 series of the sample unopened"),
        (1, lambda d: d["series"][0].update(by=""), "does not say who opened 1 series"),
        (1, lambda d: d["series"][0].update(opened="yes"), "a SeriesDecision of another form"),
        (1, lambda d: d.update(release="00" * 32), "of other bytes"),
    ],
)
def test_a_sheet_or_decisions_that_do_not_fit_are_refused(
    place: Path, papers: tuple[Path, Path], paper: int, change: Callable[[object], object], message: str
) -> None:
    """Unanswered, refused, altered or of another release: the message says what, and nothing is signed."""
    _edit(papers[paper], change)
    with pytest.raises(InputError, match=message) as caught:
        _with(place, papers)
    assert caught.value.hint
    assert release_attestations.read_approvals(place / "archive/releases/1.0.0") == []


def test_findings_are_decided_each_or_by_code(place: Path, papers: tuple[Path, Path]) -> None:
    """A finding that came with a study is decided by name, or with * for all; undecided or refused it stops."""
    evidence = place / "archive/releases/1.0.0/manifest/evidence.parquet"
    studies = [study for study, _ in _with_warnings(evidence)]
    release_digest = json.loads(papers[1].read_text())["release"]
    from curate.attestation.evidence import refuse_undecided
    from curate.attestation.review_sheets import read_decisions

    def judge() -> None:
        refuse_undecided(read_decisions(papers[1]), evidence.parents[1], release_digest, 300, papers[1])

    with pytest.raises(InputError, match="leaves 3 findings undecided"):
        judge()
    entry = {"code": "PIXELS_TEXT_LIKELY", "study_id": "*", "decision": "accept", "by": ANNA, "reason": ""}
    _edit(papers[1], lambda d: d["findings"].append(entry))
    judge()
    _edit(papers[1], lambda d: d["findings"].append(entry | {"study_id": studies[0], "decision": "refuse"}))
    with pytest.raises(InputError, match=r"refuses PIXELS_TEXT_LIKELY of study 2\.25\.") as refused:
        judge()
    root = evidence.parents[3]
    assert f"curate reject {root} 1.0.0 --as NAME --reason CODE" in refused.value.hint
    assert f"curate withdraw {root} {studies[0]}; then cuts anew: curate release {root}" in refused.value.hint
    _edit(papers[1], lambda d: d["findings"][-1].update(decision="maybe"))
    with pytest.raises(InputError, match="accept, refuse, or empty"):
        judge()


def _with_warnings(path: Path) -> list[tuple[str, str]]:
    """Give each study of a release a finding, as an intake would."""
    import pyarrow.parquet as pq

    from curate import contract
    from curate.core.digests import canonical_json

    rows = pq.read_table(path).to_pylist()
    for row in rows:
        row["payload"] = canonical_json(json.loads(row["payload"]) | {"warnings": {"PIXELS_TEXT_LIKELY": 1}})
    path.unlink()
    contract.write_table("evidence", path, [contract.to_arrow("evidence", rows)])
    return [(row["study_id"], row["payload"]) for row in rows]


def test_the_plain_way_on_the_command_line(place: Path, tmp_path: Path) -> None:
    """A reviewer makes a key once, then approves by name; before that the message says how."""
    root, home = place / "archive", {"XDG_CONFIG_HOME": str(tmp_path / "home")}
    curate("release", root, "--quiet")
    told = curate("approve", root, "1.0.0", "--as", ANNA, code=2, **home).stderr
    assert "curate key new --as 'Anna Puig'" in told
    assert curate("key", "new", "--as", ANNA, **home).stdout.startswith("anna-puig+")
    assert "exists already" in curate("key", "new", "--as", ANNA, code=2, **home).stderr
    assert "is the key of anna-puig" in curate(
        "approve", root, "1.0.0", "--as", JOAN, "--key", place / f"{ANNA}.key", code=2
    ).stderr.replace("\n", " ")
    curate("sheet", root, "1.0.0", "--out", place / "sheet.json", "--decisions", place / "decisions.json")
    assert "exists already" in curate("sheet", root, "1.0.0", "--out", place / "sheet.json", code=2).stderr
    assert "Anna Puig approves 1.0.0" in curate("approve", root, "1.0.0", "--as", ANNA, **home).stdout
    curate("publish", root, "1.0.0", "--quiet")
    public = curate_json("key", "show", root)["public"]
    assert "finds nothing wrong" in curate("audit", place / "hub", "--key", public, "--quiet").stdout
    other = curate_json("key", "show", place / f"{JOAN}.key")["public"]
    assert "ATTESTATION_KEY_UNKNOWN" in curate("audit", place / "hub", "--key", other, code=1).stdout
    rotated = curate_json("key", "rotate", root)
    assert rotated["before"] == [public]
    assert "finds nothing wrong" in curate("audit", place / "hub", "--key", public, "--quiet").stdout
    events = curate_json("ledger", root)
    assert [e["kind"] for e in events["events"]][-3:] == ["approved", "published", "key_rotated"]
    assert events["findings"] == []


def test_the_hugging_face_hub_is_audited(place: Path, hub: HubServer) -> None:
    """Published through the real client, purged after a withdrawal: each version's audit passes from the hub."""
    root, target = place / "archive", "hf://org/approved"
    release(root)
    _approve(place)
    publish(root, "1.0.0", target)
    withdraw(root, synth.uid(1, 0))
    release(root)
    publish(root, "1.0.1", target)
    results = audit([target], show_key(root).public)
    assert {f.rule for r in results for f in r.findings} == set()
    assert {r.name: r.looked_at for r in results}["growth"] == 1
    assert {r.name: r.looked_at for r in audit([target], version="1.0.0")}["signature"] == 1


def test_a_bucket_is_audited(place: Path, bucket: S3Server) -> None:  # noqa: F811
    """The same of a bucket, whose purge keeps no sheet of before."""
    root, target = place / "archive", "s3://scans/public"
    release(root)
    _approve(place)
    publish(root, "1.0.0", target)
    withdraw(root, synth.uid(1, 0))
    release(root)
    publish(root, "1.0.1", target)
    assert {f.rule for r in audit([target]) for f in r.findings} == {"ATTESTATION_KEY_NOT_GIVEN"}


def test_an_older_version_under_a_newer_tag_is_refused(place: Path) -> None:
    """A hub that serves a sound release under another version's tag is found out."""
    root = place / "archive"
    release(root)
    _approve(place)
    publish(root, "1.0.0")
    shutil.copytree(place / "hub/v1.0.0", place / "hub/v1.1.0")
    refs = place / "hub/refs.json"
    content = json.loads(refs.read_text())
    content["tags"]["v1.1.0"] = content["tags"]["v1.0.0"]
    refs.write_text(json.dumps(content))
    with pytest.raises(HubError, match=r"holds version 1.0.0 under v1.1.0"):
        audit([place / "hub"])
    with pytest.raises(InputError, match="neither a release nor a hub's folder"):
        audit([place])
