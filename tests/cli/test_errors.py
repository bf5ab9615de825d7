"""Errors as programs and persons read them."""

from __future__ import annotations

import ast
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

import curate as package
from curate.cli import anybody
from curate.core.errors import StorageError
from curate.core.findings import Finding
from curate.steps.inspect import Verdict
from tests import synth
from tests.steps.archives import curate, make_archive


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


def test_commands_in_hints_can_be_pasted(tmp_path: Path) -> None:
    """A path with a space stands quoted in a command that a message shows."""
    archive = make_archive(tmp_path / "my archive")
    told = curate("release", archive, code=2).stderr
    assert shlex.split(told.partition("curate ")[2].splitlines()[0]) == ["quarantine", str(archive)]


_ROOM = Path(package.__file__).parent
_QUOTED_BEFORE = ("place", "given")
_PLAIN = ("asked.version", "approval.version", "version", "folder.name", *_QUOTED_BEFORE)
_COMMAND = re.compile(r"\b(curate (?!met )[a-z-]+|chmod 600|less) ")


@pytest.mark.parametrize("path", sorted(_ROOM.rglob("*.py")), ids=lambda path: path.relative_to(_ROOM).as_posix())
def test_every_command_that_a_message_shows_is_quoted(path: Path) -> None:
    """What stands behind `curate VERB` in a message goes through `quoted`, unless it is a version."""
    for text in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(text, ast.JoinedStr):
            continue
        before = ""
        for part in text.values:
            if isinstance(part, ast.Constant):
                before += part.value
            elif isinstance(part, ast.FormattedValue) and _COMMAND.search(before):
                shown = ast.unparse(part.value)
                assert shown.startswith("quoted(") or shown in _PLAIN, f"{path.name}:{text.lineno}: {shown}"
