"""Where releases are published: a folder, the Hugging Face Hub, a bucket, Zenodo; the only networked room."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from curate.core.errors import InputError
from curate.hub.protocol import Popularity, Target
from curate.hub.retry import Patience


def open_target(url: str, *, patience: Patience | None = None) -> Target:
    """The target of `file:///DIR`, a plain path, `hf://ORG/NAME`, `s3://BUCKET/PREFIX` or `zenodo://`.

    Opens no connection.

    Raises:
        InputError: no such kind of target.
    """
    parts = urlsplit(url)
    if parts.scheme == "hf":
        from curate.hub.huggingface.target import HuggingFaceHub, repository_of  # its client is slow to import

        return HuggingFaceHub(repository_of(url), patience or Patience())
    if parts.scheme in ("", "file"):
        from curate.hub.folder.target import FolderHub

        folder = Path(unquote(parts.path) if parts.scheme else url)
        return FolderHub(folder.expanduser().absolute())
    if parts.scheme == "s3":
        from curate.hub.s3.target import S3Hub

        return S3Hub(parts.netloc, parts.path.strip("/"), patience or Patience())
    if parts.scheme == "zenodo":
        from curate.hub.zenodo.target import ZenodoHub

        return ZenodoHub(patience or Patience())
    raise InputError(
        f"{parts.scheme}:// is not a target that curate can publish to",
        hint="Use file:///DIR, hf://ORG/NAME, s3://BUCKET/PREFIX or zenodo://.",
    )


def popularity(url: str, *, patience: Patience | None = None) -> Popularity | None:
    """How the repository of a target is used, as its hub says; None where that kind of target counts nothing.

    Raises:
        HubError: the hub does not answer.
    """
    if urlsplit(url).scheme != "hf":
        return None
    from curate.hub.huggingface.target import HuggingFaceHub, repository_of

    return HuggingFaceHub(repository_of(url), patience or Patience()).popularity()
