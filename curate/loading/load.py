"""`curate.load`: what `load_dataset` returns, of exactly the version that was asked for."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import datasets
from datasets.builder import DatasetBuilder

from curate import contract
from curate.core.errors import HubError, InputError
from curate.loading import datasets_client, download, join, manifest_tables, trusted
from curate.loading.source import Source


class RecutWarning(UserWarning):
    """The version was cut again after a withdrawal: some of its studies are gone."""


def load(
    reference: str | Path,
    config: str = "studies",
    *,
    version: str | None = None,
    split: str | None = "train",
    streaming: bool = False,
    labels: bool = False,
    verify: bool = True,
    key: str = "",
    **options: Any,
) -> Any:
    """What `datasets.load_dataset` returns, of the version asked for (the newest without one).

    `reference` is a release's folder, a folder hub, `hf://ORG/NAME` or `ORG/NAME`; `config` one of the
    card's (`studies`, `series`, `instances`, `references`, `images`, `previews`). `labels` adds fold, age
    band, sex, region and diagnosis of the study to each row of `series`, `instances` or `images`. Every
    byte is compared with its published digest (`verify`): whole files, or each image while it streams.
    The archive's key is pinned when it is first met; `key` is its public key, or a file with it.
    `options` go to `load_dataset`: `columns`, `filters`, `cache_dir`, `num_proc` and the like.
    `HF_ENDPOINT` is honoured where it was set before `datasets` was imported, as by every client.

    Raises:
        HubError: the hub fails, is gated, has no such version, or served another one than asked for.
        InputError: no release there, or no such config.
        DamagedError: a release on disk is not what was released.
        UntrustedError: it is not signed by the key that is pinned for its archive, or given.
    """
    source = trusted.find(reference, version, key)
    if source.commit:
        _check_endpoint()
    described = download.card(source)
    _check_config(described, source, config)
    _tell_recut(source)
    builder = datasets_client.builder_of(source, config, verify, options)
    _compare(builder, source, config)
    dataset = datasets_client.rows_of(builder, source, config, split, streaming, verify, options)
    for part in dataset.values() if isinstance(dataset, dict) else [dataset]:
        _compare_rows(part, source)
    if gone := manifest_tables.not_cut_again(source):
        _tell_withdrawn(source, len(gone))
        dataset = join.without(dataset, gone)
    if streaming and verify and config == "images":
        dataset = join.checked(dataset, source)
    return _versioned(join.labelled(dataset, source) if labels else dataset, builder)


def _versioned(dataset: Any, builder: DatasetBuilder) -> Any:
    """The dataset with its version in `info`, which joining and streaming lose."""
    for part in dataset.values() if isinstance(dataset, dict) else [dataset]:
        part.info.version = builder.info.version
    return dataset


def _check_endpoint() -> None:
    """Refuse to look at one hub and load from another.

    Raises:
        InputError: `HF_ENDPOINT` was changed after `datasets` had read it.
    """
    asked = (os.environ.get("HF_ENDPOINT") or datasets.config.HF_ENDPOINT).rstrip("/")
    if asked != datasets.config.HF_ENDPOINT.rstrip("/"):
        raise InputError(
            "HF_ENDPOINT was set after `datasets` was imported, which reads it once.",
            hint="Set it before Python starts, or before the first import.",
        )


def _check_config(described: dict[str, Any], source: Source, config: str) -> None:
    listed = described.get("configs")
    held = {str(c.get("config_name")): c for c in listed if isinstance(c, dict)} if isinstance(listed, list) else {}
    if config not in held:
        empty = config in contract.CONFIGS
        raise InputError(
            f"{source.reference} {source.version} has no rows in {config}."
            if empty
            else f"{source.reference} {source.version} has no config {config!r}.",
            hint=f"It has {', '.join(held) or 'none'}.",
        )
    if (stated := str(held[config].get("version"))) != source.version:
        raise HubError(
            f"{source.reference} serves version {stated} where {source.version} was asked for.",
            hint="Tell the archive: the tag and the card differ.",
        )


def _tell_recut(source: Source) -> None:
    if later := manifest_tables.revoked_since(source):
        warnings.warn(
            f"{source.reference} {source.version} was cut again without the studies that were withdrawn up to"
            f" {later[-1]}: it has fewer rows than when it was first published.",
            RecutWarning,
            stacklevel=3,
        )


def _tell_withdrawn(source: Source, count: int) -> None:
    warnings.warn(
        f"{count} studies of {source.reference} {source.version} were withdrawn up to {source.newest} and are left"
        " out here, though the hub still serves them.",
        RecutWarning,
        stacklevel=3,
    )


def _compare(builder: DatasetBuilder, source: Source, config: str) -> None:
    """Refuse a builder that `datasets` took from its cache because the hub did not answer.

    Raises:
        HubError: it is not of this very commit, or of another version.
    """
    paths, version = datasets_client.data_files(builder), str(builder.config.version or "")
    ours = all(path.startswith(source.prefix) for path in paths)
    if not paths or not ours or version != source.version:
        raise HubError(
            f"The client offers {config} {version or 'of no version'} out of its cache"
            f" where {source.version} of {source.reference} was asked for; it was refused.",
            hint="The hub failed in between: try again.",
        )


def _compare_rows(dataset: Any, source: Source) -> None:
    """Refuse rows that say they are of another version.

    Raises:
        HubError: they do.
    """
    if not isinstance(dataset, datasets.Dataset) or "release_version" not in dataset.column_names:
        return
    found = set(dataset.unique("release_version")) - {source.version}
    if found:
        raise HubError(
            f"{source.reference} serves rows of version {min(map(str, found))} as {source.version}.",
            hint="Tell the archive: its release contradicts itself.",
        )
