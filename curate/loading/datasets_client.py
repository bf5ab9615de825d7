"""What is asked of `datasets`: a builder, its cache, the rows; its failures in one clear line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import datasets
from datasets.builder import DatasetBuilder
from huggingface_hub import HfFileSystem
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

from curate.core.digests import sha256_file
from curate.core.errors import CurateError, HubError
from curate.hub.huggingface.client import seconds_to_wait
from curate.hub.protocol import RELEASE_FILE
from curate.loading import download, shards
from curate.loading import source as sources
from curate.loading.source import Source

T = TypeVar("T")
_STREAMED = ("images", "previews")  # the tables are small: they are fetched whole, and verified
_PREPARE = ("num_proc", "max_shard_size", "verification_mode")


def builder_of(source: Source, config: str, verify: bool, options: dict[str, Any]) -> DatasetBuilder:
    """The builder that `load_dataset` would use, at the source's commit, with a cache of this cut alone."""
    ours = (*_PREPARE, "keep_in_memory", "cache_dir")
    kept = {name: value for name, value in options.items() if name not in ours}
    cache = _cache(source, verify, options)
    revision = source.commit or None

    def build() -> DatasetBuilder:
        return datasets.load_dataset_builder(source.place, config, revision=revision, cache_dir=cache, **kept)

    return _told(source, config, build)


def data_files(builder: DatasetBuilder) -> list[str]:
    """The addresses of a config's files; none of a builder that the client took from its cache."""
    return [str(path) for found in (builder.config.data_files or {}).values() for path in found]


def rows_of(
    builder: DatasetBuilder,
    source: Source,
    config: str,
    split: str | None,
    streaming: bool,
    verify: bool,
    options: dict[str, Any],
) -> Any:
    """The rows as `load_dataset` gives them: streamed as they come, or out of verified files."""
    if streaming and config == "previews" and verify:
        return shards.streamed(builder, source, split)
    if streaming and config in _STREAMED:
        return _told(source, config, lambda: builder.as_streaming_dataset(split=split))

    def read() -> Any:
        _prepare(builder, source, verify, {k: v for k, v in options.items() if k in _PREPARE})
        return builder.as_dataset(split=split, in_memory=options.get("keep_in_memory"))

    found = _told(source, config, read)
    if streaming:
        parts = {name: part.to_iterable_dataset() for name, part in found.items()} if split is None else {}
        return datasets.IterableDatasetDict(parts) if split is None else found.to_iterable_dataset()
    return found


def _prepare(builder: DatasetBuilder, source: Source, verify: bool, options: dict[str, Any]) -> None:
    """Prepare the client's cache out of verified files; what is prepared already was verified then."""
    if verify and not Path(builder.cache_dir).is_dir():
        download.files(source, [path.removeprefix(source.prefix) for path in data_files(builder)])
    builder.download_and_prepare(**options)


def _cache(source: Source, verify: bool, options: dict[str, Any]) -> str:
    """A cache of this very cut: the client's own would offer another version, or a damaged copy, for it.

    A folder's data are known to the client by the folder's name alone, a repository's by the newest.
    """
    cut = source.commit or sha256_file(Path(source.place) / RELEASE_FILE)
    root = Path(options.get("cache_dir") or datasets.config.HF_DATASETS_CACHE) / "curate"
    return str(root / (cut[:32] if verify else f"{cut[:32]}-unverified"))


def _told(source: Source, config: str, call: Callable[[], T]) -> T:
    """The result of a call to `datasets`; a failure of the hub is tried again, and told in one clear line.

    Raises:
        HubError: it failed for good.
    """
    doing = f"{config} of {source.reference} {source.version} cannot be loaded"
    if source.folder is not None:
        return _translated(doing, call)
    repo = sources.connect(source.repository)
    return sources.asked(repo, f"loading {config}", lambda: _translated(doing, call))


def _translated(doing: str, call: Callable[[], T]) -> T:
    """The result of a call, or the hub's own refusal where `datasets` hides it behind a missing file."""
    try:
        return call()
    except (CurateError, TypeError, AttributeError, NotImplementedError):
        raise
    except Exception as error:
        HfFileSystem.clear_instance_cache()  # it remembers what it could not reach as missing
        if isinstance(error, HfHubHTTPError) or seconds_to_wait(error) is not None:
            raise
        if (refusal := _refusal(error)) is not None:
            raise refusal from None
        raise HubError(
            f"{doing}: {type(error).__name__}.",
            hint="Try again; if it stays, run `curate check` on the release.",
        ) from error


def _refusal(error: BaseException | None) -> HfHubHTTPError | None:
    while error is not None:
        if isinstance(error, GatedRepoError | RepositoryNotFoundError):
            return error
        error = error.__cause__ or error.__context__
    return None
