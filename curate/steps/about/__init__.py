"""`curate info`, `columns`, `cite`, `versions`: what a reader asks of a release first; nothing is fetched but texts."""

from __future__ import annotations

from curate.steps.about.citations import CITATION_STYLES, Citation, cite
from curate.steps.about.data_dictionary import ColumnInfo, columns
from curate.steps.about.release_info import ReleaseInfo, info
from curate.steps.about.version_list import VersionInfo, versions

__all__ = [
    "CITATION_STYLES",
    "Citation",
    "ColumnInfo",
    "ReleaseInfo",
    "VersionInfo",
    "cite",
    "columns",
    "info",
    "versions",
]
