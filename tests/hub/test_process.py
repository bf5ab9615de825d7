"""The hub as a process, for trying things by hand."""

from __future__ import annotations

import subprocess
import sys
import urllib.request


def test_the_hub_runs_as_a_process() -> None:
    """`python -m tests.hub` prints the lines that point a client at it, and answers."""
    with subprocess.Popen([sys.executable, "-m", "tests.hub"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        lines = dict(process.stdout.readline().removeprefix("export ").strip().split("=", 1) for _ in range(3))
        request = urllib.request.Request(f"{lines['HF_ENDPOINT']}/api/whoami-v2")
        request.add_header("Authorization", f"Bearer {lines['HF_TOKEN']}")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        assert b"tester" in opener.open(request, timeout=10).read()
        process.terminate()
