"""`python -m tests.hub`: the hub as a process; prints the shell lines that point a client at it."""

from __future__ import annotations

import sys
import tempfile
import threading
from pathlib import Path

from tests.hub.server import HubServer

with HubServer() as hub, tempfile.TemporaryDirectory() as home:
    sys.stdout.write("".join(f"export {k}={v}\n" for k, v in hub.environment(Path(home)).items()))
    sys.stdout.flush()
    threading.Event().wait()
