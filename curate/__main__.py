"""The command, also as `python -m curate`."""

import sys


def run() -> None:
    """Run the command; Ctrl-C while its modules are still being imported ends it without a traceback."""
    if sys.platform == "win32":
        from curate.core.errors import UNSUPPORTED

        print(UNSUPPORTED, file=sys.stderr)  # noqa: T201 - no command is loaded that could print
        sys.exit(2)
    try:
        from curate.cli import main
    except KeyboardInterrupt:
        sys.exit(130)
    main.run()


if __name__ == "__main__":
    run()
