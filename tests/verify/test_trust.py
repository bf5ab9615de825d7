"""Who made a release: the key that is pinned at its first use, and what is refused from then on."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

import curate
from curate.attestation import pinned_keys, release_attestations
from curate.attestation.trust import UntrustedError
from curate.cli import reviewer
from curate.cli.main import run
from curate.core.digests import canonical_json, sha256_file
from curate.core.errors import HubError, InputError
from curate.core.findings import has_errors
from curate.hub import open_target
from curate.steps.check import check
from curate.transparency import signing_keys
from tests.verify.histories import History
from tests.verify.hostile import GOLDEN, reseal, rewrite

PERSONS = "persons"


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """The golden release as one of persons, signed again by the archive's key: the one who made it holds it."""
    folder = tmp_path / "original"
    shutil.copytree(GOLDEN, folder, copy_function=shutil.copyfile)
    return signed(folder, signing_keys.make(tmp_path / "log.key", "curate/golden-release"), population=PERSONS)


def signed(folder: Path, key: signing_keys.KeyFile, **changed: object) -> Path:
    """A release under an archive's signature, without approvals asked for."""
    reseal(folder, **changed)
    point, said = release_attestations.read_checkpoint(folder)
    release_attestations.write_keys(folder, key)
    release_attestations.write_approvals(folder, [])
    from dataclasses import replace

    said = replace(said, release=sha256_file(folder / "release.json"), approval=replace(said.approval, required=0))
    point = replace(point, origin=key.public.name)
    release_attestations.write_checkpoint(folder, point, said, key.signer())
    return folder


def copied(release: Path, to: Path) -> Path:
    """A copy of a release."""
    return Path(shutil.copytree(release, to))


def origin(folder: Path, **options: str) -> tuple[str, int]:
    """The rule that `check` ends with, and how many it could confirm."""
    result = check(folder, workers=1, **options)[-1]
    assert result.name == "origin"
    return result.findings[0].rule, result.looked_at


def fetched(folder: Path, to: Path, **options: str) -> int:
    """How many instances `fetch` would give."""
    return curate.fetch(folder, to, dry_run=True, **options).instances


@pytest.mark.filterwarnings("ignore::curate.loading.trusted.TrustWarning")
def test_the_second_load_of_a_forged_release_is_refused(release: Path, tmp_path: Path) -> None:
    """A release that is forged whole and sealed anew passes by itself; beside the pinned key no reader takes it."""
    assert fetched(release, tmp_path / "a") == 31
    assert origin(release) == ("TRUST_CONFIRMED", 1)
    forged = copied(release, tmp_path / "forged")
    rewrite(forged, "studies", sex=lambda _: "O")
    reseal(forged, publisher="curate", title="Golden release")
    dropped = copied(forged, tmp_path / "dropped")
    shutil.rmtree(dropped / "attestations")
    other = signed(
        copied(forged, tmp_path / "other"), signing_keys.make(tmp_path / "other.key", "curate/golden-release")
    )
    for folder, rule in ((forged, "TRUST_NOT_SIGNED"), (dropped, "TRUST_NOT_SIGNED"), (other, "TRUST_OTHER_KEY")):
        with pytest.raises(UntrustedError) as refusal:
            fetched(folder, tmp_path / "b")
        assert refusal.value.rule == rule
        assert "Do not use it; ask the archive" in refusal.value.hint
        with pytest.raises(UntrustedError):
            curate.load(folder, "studies", cache_dir=str(tmp_path / "cache"))
        with pytest.raises(UntrustedError):
            curate.verify_copy(tmp_path, str(folder))
        assert origin(folder)[0] == rule
    assert fetched(release, tmp_path / "c") == 31


def test_without_a_pin_check_says_what_it_did_not_prove(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last line names who made it, or that nobody is known to have."""
    dropped = copied(GOLDEN, tmp_path / "dropped")
    shutil.rmtree(dropped / "attestations")
    for folder, said in (
        (dropped, "Who made it: not verified; nobody has signed for it."),
        (GOLDEN, "Who made it: not verified; pin the key that the archive tells you: curate trust add curate/"),
    ):
        monkeypatch.setattr(sys, "argv", ["curate", "check", str(folder), "--workers", "1", "-q"])
        with pytest.raises(SystemExit) as end:
            run()
        assert end.value.code in (0, None)
        assert capsys.readouterr().out.strip().splitlines()[-1].startswith(said)
    assert not pinned_keys.path().exists()  # test material that comes from no hub is not pinned


@pytest.mark.filterwarnings("ignore::curate.loading.trusted.TrustWarning")
def test_a_key_that_was_given_is_asked_for(release: Path, tmp_path: Path) -> None:
    """`--key` decides at the first use already, and what it confirms is pinned."""
    other = str(signing_keys.make(tmp_path / "other.key", "curate/golden-release").public)
    assert origin(release, key=other)[0] == "TRUST_OTHER_KEY"
    assert not pinned_keys.read()
    own = str(signing_keys.read(tmp_path / "log.key").public)
    assert origin(release, key=own) == ("TRUST_CONFIRMED", 1)
    assert [(pin.name, pin.how) for pin in pinned_keys.read().values()] == [("curate/golden-release", "given")]
    assert pinned_keys.path().stat().st_mode & 0o777 == 0o600
    with pytest.raises(InputError, match="not a public key"):
        check(release, workers=1, key="nonsense")


@pytest.mark.filterwarnings("ignore::curate.loading.trusted.TrustWarning")
def test_a_rotated_heir_is_believed_and_a_second_one_is_not(release: Path, tmp_path: Path) -> None:
    """The key that took over is tied to the pinned one by a note of both; two successors are a fork."""
    fetched(release, tmp_path / "a")
    stolen = shutil.copyfile(tmp_path / "log.key", tmp_path / "stolen.key")
    stolen.chmod(0o600)
    heir = signed(copied(release, tmp_path / "heir"), signing_keys.rotate(tmp_path / "log.key"))
    assert fetched(heir, tmp_path / "b") == 31
    second = signed(copied(release, tmp_path / "second"), signing_keys.rotate(stolen))
    with pytest.raises(UntrustedError) as refusal:
        fetched(second, tmp_path / "c")
    assert refusal.value.rule == "TRUST_OTHER_KEY"


@pytest.mark.filterwarnings("ignore::curate.loading.trusted.TrustWarning")
def test_approvals_that_were_removed_are_noticed(release: Path, tmp_path: Path) -> None:
    """How many were asked for stands under the checkpoint's signature."""
    from dataclasses import replace

    fetched(release, tmp_path / "a")
    unapproved = copied(release, tmp_path / "unapproved")
    point, said = release_attestations.read_checkpoint(unapproved)
    said = replace(said, approval=replace(said.approval, required=2))
    release_attestations.write_checkpoint(unapproved, point, said, signing_keys.read(tmp_path / "log.key").signer())
    with pytest.raises(UntrustedError, match="lacks 2 of the 2 approvals"):
        fetched(unapproved, tmp_path / "b")
    golden = copied(GOLDEN, tmp_path / "golden")
    path = golden / "attestations" / "approvals.json"
    path.write_text(canonical_json({"format": "curate/approvals/v1", "approvals": []}) + "\n")
    assert origin(golden)[0] == "TRUST_NOT_SIGNED"  # the checkpoint names another approvals.json


def test_trust_is_listed_added_and_taken_away(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The three commands, and their messages where there is nothing to do."""

    def said(*words: str) -> tuple[object, str]:
        monkeypatch.setattr(sys, "argv", ["curate", "trust", *words])
        with pytest.raises(SystemExit) as end:
            run()
        got = capsys.readouterr()
        return end.value.code or 0, got.out + got.err

    key, other = (str(signing_keys.make(tmp_path / n, "hospital/ct").public) for n in ("a.key", "b.key"))
    assert "No key is pinned" in said("list")[1]
    assert "hospital/ct: pinned since" in said("add", key)[1]
    code, text = said("add", other)
    assert (code, "has another key pinned" in text) == (2, True)
    assert json.loads(said("list", "--json")[1])[0]["key"] == key
    assert "Forgot the key of hospital/ct" in said("remove", "hospital/ct")[1]
    code, text = said("remove", "hospital/ct")
    assert (code, "Pinned are: none." in text) == (2, True)
    pinned_keys.path().write_text("{}")
    code, text = said("list")
    assert (code, "is not what curate wrote" in text) == (2, True)


def test_rollback_and_fork_are_noticed(tmp_path: Path) -> None:
    """An older log offered as the newest, and a log with another past, are refused; a log that grew is not."""
    history = History(tmp_path / "archive")
    history.add(3)
    history.release()
    history.add(2)
    history.release()
    first, second = history.folders
    other = History(tmp_path / "other")
    shutil.copyfile(history.root / signing_keys.LOG_KEY, other.root / signing_keys.LOG_KEY)
    other.add(7)
    other.release()
    other.add(1)
    other.release()

    def confirmed(folder: Path, *, newest: bool) -> str:
        from curate.attestation import trust
        from curate.verify.checks import seal

        found, _ = seal.read(folder)
        assert found
        offer = trust.Offer("hub", found.content, found.digest, trust.reader(folder), "hf://org/name", newest)
        return trust.confirm(offer).state

    assert confirmed(first, newest=True) == "first"
    assert confirmed(second, newest=True) == "pinned"
    assert confirmed(first, newest=False) == "pinned"
    with pytest.raises(UntrustedError) as back:
        confirmed(first, newest=True)
    assert back.value.rule == "TRUST_ROLLBACK"
    for folder in other.folders:
        with pytest.raises(UntrustedError) as fork:
            confirmed(folder, newest=True)
        assert fork.value.rule == "TRUST_FORK"
    assert pinned_keys.read()[signing_keys.read(history.root / signing_keys.LOG_KEY).public.name].size == 5


def test_a_hub_that_serves_another_version_is_told(release: Path, tmp_path: Path) -> None:
    """`check HUB --version` compares what the tag serves with what was asked for, and with refs.json."""
    hub = tmp_path / "hub"
    open_target(hub.as_uri()).publish(release)
    assert not any(r.name == "served" and r.findings for r in check(hub, "1.0.0", workers=1))
    refs = json.loads((hub / "refs.json").read_text())
    refs["tags"]["v1.0.1"] = refs["tags"]["v1.0.0"]
    (hub / "refs.json").write_text(json.dumps(refs))
    shutil.copytree(hub / "v1.0.0", hub / "v1.0.1")
    results = check(hub, "1.0.1", workers=1)
    assert [f.rule for r in results if r.name == "served" for f in r.findings] == ["VERSION_SERVED"]
    assert any(has_errors(r.findings) for r in results)
    refs["tags"]["v1.0.0"] = "0" * 64
    (hub / "refs.json").write_text(json.dumps(refs))
    with pytest.raises(HubError, match=r"another release\.json under v1\.0\.0 than refs\.json names"):
        curate.fetch(hub, tmp_path / "to", version="1.0.0")
    assert any(r.name == "served" and r.findings for r in check(hub, "1.0.0", workers=1))


def test_audit_reads_every_files_digest(release: Path, tmp_path: Path) -> None:
    """A byte changed in a pack, which no checkpoint names, is found by its digest in release.json."""
    (pack,) = (release / "packs").rglob("*.parquet")
    sealed = {r.name: r for r in curate.audit([release])}["sealed"]
    assert (sealed.looked_at, sealed.findings) == (15, ())
    data = bytearray(pack.read_bytes())
    data[1000] ^= 1
    pack.write_bytes(data)
    found = {r.name: r for r in curate.audit([release], full=True)}["sealed"].findings
    assert [(f.rule, f.tag) for f in found] == [("FILE_DIGEST", pack.relative_to(release).as_posix())]


def test_the_archives_own_folder_needs_no_pin(tmp_path: Path) -> None:
    """Within an archive its own key is known: nothing is pinned, and another archive's key beside it is told."""
    history = History(tmp_path / "archive")
    history.add(2)
    history.release()
    from curate.attestation import trust

    assert str(trust.own_key(history.folders[0])) == history.key
    assert trust.own_key(tmp_path / "elsewhere") is None
    assert not pinned_keys.path().exists()


def test_a_signature_that_was_not_compared_is_no_pass(release: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """At the first use the last check is open; once the key is known, it has passed."""
    for mark in ("open", "pass"):
        results = check(release, workers=1)
        reviewer.print_results(results, "good", "bad", failed=False)
        (line,) = [line for line in capsys.readouterr().out.splitlines() if "has signed for it" in line]
        assert line.split()[0] == mark
