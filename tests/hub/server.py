"""A hub on 127.0.0.1 that the real clients talk to, and that fails on order.

`with HubServer() as hub:` serves the API on `hub.url` and large objects on another origin,
`hub.storage_url`. Point a client at it by `hub.environment()`. State is open to look at:
`hub.repo("org/name").tags`, `.tree("v1.0.0")`, `hub.requests`, `hub.bytes_of("packs/")`.
"""

from __future__ import annotations

from pathlib import Path

from tests.hub.endpoints import ROUTES, STORAGE_ROUTES
from tests.hub.http import FaultyServer
from tests.hub.store import Repo

TOKEN = "hf_TestTokenOfTheHubServer"


class HubServer(FaultyServer):
    """The hub; everything that a test sets or asks is a plain attribute."""

    def __init__(self, *, token: str = TOKEN, latency: float = 0.0) -> None:
        super().__init__(ROUTES, STORAGE_ROUTES, latency=latency)
        self.url, self.storage_url = self.urls
        self.token = token
        self.user, self.organizations = "tester", ["org"]
        self.expired = self.read_only = False
        self.verify_uploads = True
        self.xet: Path | None = None
        self.multipart_above, self.part_size, self.page_size = 5_000_000, 2_000_000, 1000
        self.repos: dict[str, Repo] = {}
        self.parts: dict[tuple[str, int], bytes] = {}
        self.leaked_logins = 0

    def repo(self, name: str) -> Repo:
        """The repository `org/name`."""
        return self.repos[name]

    def environment(self, home: Path) -> dict[str, str]:
        """Variables that point a process's clients here, with their caches under `home`."""
        return {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_TOKEN": self.token,
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_UPDATE_DOWNLOAD_COUNTS": "0",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }
