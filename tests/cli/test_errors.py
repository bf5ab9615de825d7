"""Errors as programs and persons read them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from curate.cli import anybody
from curate.errors import StorageError
from curate.findings import Finding
from curate.steps.inspect import Verdict
from tests import synth
from tests.steps.archives import curate


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["check"], "Missing argument"),
        (["check", "x", "--no-such-option"], "No such option"),
        (["check", "x", "--workers", "0"], "'--workers'"),
        (["check", "x", "y"], "extra argument"),
        (["approve", "archive", "1.0.0"], "--as"),
        (["no-such-command"], "No such command"),
        (["key", "no-such-command"], "No such command"),
        (["unseal", "x", "--key", "y"], "No such option: --json"),
        (["status", "nowhere", "x"], "not a receipt"),
        (["inspect", "nowhere"], "nowhere"),
    ],
)
def test_every_error_is_one_object_where_json_is_asked_for(words: list[str], said: str) -> None:
    """A word too many, too few or unknown is told as any other error: message, hint and exit code 2."""
    done = curate(*words, "--json", code=2)
    told = json.loads(done.stdout)
    assert sorted(told) == ["error", "exit_code", "hint"]
    assert (said in told["error"], told["exit_code"], bool(told["hint"])) == (True, 2, True)
    assert told["error"] in done.stderr


def test_help_and_findings_keep_their_exit_codes_with_json(tmp_path: Path) -> None:
    """`--json` changes what is printed, not how the command ends."""
    assert "Example" in curate("check", "--help", "--json").stdout
    (tmp_path / "a.dcm").write_bytes(synth.instance_bytes(0, 0, 0, 0))
    told = json.loads(curate("inspect", tmp_path, "--json", code=1).stdout)
    assert told["with_errors"] == 1
    (tmp_path / "a.dcm").write_bytes(b"")
    assert json.loads(curate("inspect", tmp_path / "a.dcm", "--json").stdout)["files"] == 1


def test_an_error_in_the_midst_of_a_long_document_closes_it(capsys: pytest.CaptureFixture[str]) -> None:
    """`inspect --json` writes verdicts as they come: what stops it stands at the document's end."""

    def verdicts() -> Iterator[Verdict]:
        yield Verdict("1:1", "a", "instance", (Finding("FILE_UNREADABLE", "1:1"),))
        raise StorageError("Cannot unpack: the disk is full.", hint="Make room.")

    tally = anybody._Tally()
    with pytest.raises(typer.Exit):
        anybody._print_json(tally.of(verdicts()), tally, False)
    shown = capsys.readouterr()
    told = json.loads(shown.out)
    assert (len(told["verdicts"]), told["exit_code"]) == (1, 2)
    assert told["error"] == "Cannot unpack: the disk is full."
    assert "Make room." in shown.err
