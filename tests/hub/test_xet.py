"""The same publishing over the real Xet client, which stores in a folder of this machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.hub.server import HubServer
from tests.hub.small_release import make_release, pack_of, tree_of

PUBLISH = """
from pathlib import Path
from curate.core.errors import CurateError
from curate.hub import open_target
from curate.hub.retry import Patience
for release in {releases}:
    try:
        done = open_target("hf://org/scans", patience=Patience(sleep=lambda _: None)).publish(Path(release))
        print("PUBLISHED", done.tag, done.sent_files)
    except CurateError as error:
        print("REFUSED", error)
"""


def test_xet_uploads_become_one_commit(hub: HubServer, run_python: Callable[..., str], tmp_path: Path) -> None:
    """Packs go as Xet's chunks, the commit names their digests, a changed pack is refused."""
    hub.xet = tmp_path / "xet"
    hub.xet.mkdir()
    first = make_release(tmp_path / "r1", size=300_000)
    second = make_release(tmp_path / "r2", "1.1.0", (1, 2, 3, 4), size=300_000)
    broken = make_release(tmp_path / "r3", "1.2.0", (1, 5), size=300_000)
    pack = broken / pack_of(broken, 5)
    pack.write_bytes(bytes(pack.stat().st_size))
    said = run_python(PUBLISH.format(releases=[str(path) for path in (first, second, broken)]), HF_HUB_DISABLE_XET="0")
    assert [line.split(" ")[0] for line in said.splitlines()] == ["PUBLISHED", "PUBLISHED", "REFUSED"]
    assert "does not have the digest" in said.splitlines()[2]
    repo = hub.repo("org/scans")
    for tag, release in (("v1.0.0", first), ("v1.1.0", second)):
        large = {path: entry.sha256 for path, entry in repo.commit(tag).tree.items() if entry.sha256}
        assert large == {path: sha for path, sha in tree_of(release).items() if path.endswith(".parquet")}
    assert set(repo.tags) == {"v1.0.0", "v1.1.0"}
    assert len(repo.history()) == 3
    assert hub.calls()["lfs-batch"] == 0
    assert sum(path.stat().st_size for path in hub.xet.rglob("default.*")) > 0
