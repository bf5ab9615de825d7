"""The command, also as `python -m curate`."""

import sys


def run() -> None:
    """Run the command; Ctrl-C while its modules are still being imported ends it without a traceback."""
    try:
        from curate.cli import main
    except KeyboardInterrupt:
        sys.exit(130)
    main.run()


if __name__ == "__main__":
    run()
