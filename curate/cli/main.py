"""The application, and the one place where errors become messages and exit codes."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Collection

import typer
from typer.main import get_command

from curate.cli import (
    about,
    anybody,
    comparing,
    demo,
    flags,
    hospital,
    loading,
    maintainer,
    public,
    researcher,
    reviewer,
    risk,
    shared,
    trust,
    withdrawal,
)
from curate.core import leftovers, process_setup
from curate.core.actor import TOOL
from curate.core.errors import CurateError, InputError
from curate.core.progress import on_waiting

_NAME = "curate"  # also of `python -m curate`: completion is installed under it
app = typer.Typer(
    name=_NAME,
    help="Cut and publish open releases of donated, anonymised medical images.",
    cls=flags.Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
_ANYWHERE = frozenset(("deidentify", "intake", "inspect", "unseal", "receipts", "vocabulary"))
hospital.add_to(app)
maintainer.add_to(app)
risk.add_to(app)
public.add_to(app)
reviewer.add_to(app)
trust.add_to(app)
about.add_to(app)
researcher.add_to(app)
anybody.add_to(app)
loading.add_to(app)
withdrawal.add_to(app)
comparing.add_to(app)
demo.add_to(app)


def _with_plain_flags(group: typer.Typer) -> None:
    """Let each command's help show a switch as one."""
    for command in group.registered_commands:
        command.cls = flags.Command
    for below in group.registered_groups:
        below.cls = flags.Group
        if below.typer_instance:
            _with_plain_flags(below.typer_instance)


_with_plain_flags(app)


def _version(value: bool) -> None:
    if value:
        typer.echo(TOOL)
        raise typer.Exit


@app.callback()
def options(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """Cut and publish open releases of donated, anonymised medical images."""
    del version


def _commands() -> Collection[str]:
    return get_command(app).commands  # type: ignore[attr-defined,no-any-return]


shared.commands = _commands


def run() -> None:
    """Run the command: 0 done, 1 findings that are errors, 2 refusal or usage, 3 hub."""
    warnings.simplefilter("ignore")  # libraries' warnings can quote values of a file
    process_setup.prepare()
    shared.prepare_output()
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    on_waiting(shared.note)
    try:
        _refuse_names(sys.argv[1:])
        leftovers.clear()
        if shared.as_json():  # Typer prints what is wrong with the words of a command as text only
            sys.exit(app(prog_name=_NAME, standalone_mode=False) or 0)
        app(prog_name=_NAME)
    except CurateError as error:
        shared.fail(error)
        sys.exit(error.exit_code)
    except typer.TyperException as error:
        shared.fail(InputError(error.format_message(), hint="See what the command takes: add --help."))
        sys.exit(InputError.exit_code)
    except KeyboardInterrupt:
        shared.stopped()
    except SystemExit as end:
        if end.code == shared.STOPPED:  # Typer makes an exit of Ctrl-C, without a word
            shared.stopped()
        raise
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:  # the last boundary: a traceback could show a value
        if os.environ.get("CURATE_DEBUG"):
            raise
        shared.fail(_defect(error))
        sys.exit(2)


def _refuse_names(words: list[str]) -> None:
    """Arrow and DuckDB open the tables of archives and releases at paths of UTF-8 only; donations may lie anywhere."""
    if words and words[0] not in _ANYWHERE and any("\udc80" <= c <= "\udcff" for c in "".join(words)):
        raise _no_table_there()


def _no_table_there() -> InputError:
    return InputError(
        "The name of a file or folder on the way is not UTF-8, and tables cannot be read or written there.",
        hint="Rename it, then run the same command again.",
    )


def _defect(error: Exception) -> CurateError:
    if isinstance(error, OSError) and error.strerror:
        return CurateError(f"The system refused: {error.strerror}.", hint="Mend the cause, then run it again.")
    if isinstance(error, UnicodeEncodeError) and "surrogates" in error.reason:
        return _no_table_there()
    hint = "Please report this place; CURATE_DEBUG=1 shows the details, which may hold values of a file."
    return CurateError(f"curate met a defect of its own: {type(error).__name__} in {_place(error)}.", hint=hint)


def _place(error: BaseException) -> str:
    """Module and line of our own code where an error arose."""
    place, trace = "curate", error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_globals.get("__name__", "")
        if name.startswith("curate."):
            place = f"{name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place
