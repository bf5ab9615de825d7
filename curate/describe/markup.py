"""Text from people made harmless in Markdown, YAML and BibTeX; the same bytes whatever the locale."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml

_INLINE = re.compile(r"[\\`*\[\]<>#|~&$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_START = re.compile(r"^(?:[-+=](?=\s|[-+=]|$)|\d+(?=[.)](?:\s|$)))")
_BIDI = frozenset("\u200e\u200f\u061c\u2028\u2029\ufeff") | {chr(c) for c in range(0x202A, 0x202F)}
_HIDDEN = _BIDI | {chr(c) for c in range(0x2066, 0x206A)}
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)


class _Dumper(yaml.SafeDumper):
    """Block style, no aliases, long lines left whole, several lines as a literal block."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def plain(text: str) -> str:
    """Text on one line, without control characters and those that turn the direction of writing."""
    visible = "".join(
        " " if unicodedata.category(c) == "Cc" else c
        for c in unicodedata.normalize("NFC", text)
        if c not in _HIDDEN and unicodedata.category(c) != "Cs"
    )
    return " ".join(visible.split())


def escape(text: str) -> str:
    """Text that Markdown and HTML show as it stands: no link, no tag, no cell border."""
    inline = _INLINE.sub(lambda found: "\\" + found[0], plain(text))
    return _START.sub(lambda found: found[0] + "\\" if found[0].isdigit() else "\\" + found[0], inline)


def code(text: str) -> str:
    """Text as inline code."""
    return f"`{plain(text).replace('`', chr(39)).replace('|', '/')}`"


def bibtex(text: str) -> str:
    """Text inside the braces of a BibTeX field."""
    return re.sub(r"([&%$#_])", r"\\\1", re.sub(r"[\\{}~^]", " ", plain(text)))


def dump_yaml(document: Mapping[str, Any]) -> str:
    """A mapping as YAML, in its order."""
    return yaml.dump(
        dict(document),
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=False,
        width=4096,
    )


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table; its cells are escaped already."""
    return [
        f"| {' | '.join(header)} |",
        f"| {' | '.join('---' for _ in header)} |",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]


def is_repository(text: str | None) -> bool:
    """Whether text is a repository of the Hub, `ORG/NAME`."""
    return bool(text and _REPOSITORY.fullmatch(text))
