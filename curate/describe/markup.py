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
_LARGEST_YAML, _DEEPEST_YAML = 2 << 20, 20  # characters, levels
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
        for c in text
        if c not in _HIDDEN and unicodedata.category(c) != "Cs"
    )
    return " ".join(unicodedata.normalize("NFC", visible).split())


def escape(text: str) -> str:
    """Text that Markdown and HTML show as it stands: no link, no tag, no cell border."""
    inline = _INLINE.sub(lambda found: "\\" + found[0], plain(text))
    return _START.sub(lambda found: found[0] + "\\" if found[0].isdigit() else "\\" + found[0], inline)


def unescape(text: str) -> str:
    """The text that `escape` made harmless, on one line."""
    return re.sub(r"\\(.)", r"\1", text)


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


class _Loader(yaml.SafeLoader):
    """YAML as this project writes it: little nesting, and no alias, with which a few lines stand for gigabytes."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent) or self._depth > _DEEPEST_YAML:
            raise yaml.YAMLError("an alias, or nested too deeply")
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


def load_yaml(text: str | bytes) -> Any:
    """YAML that somebody else wrote.

    Raises:
        ValueError: it is none, is large, nested deeply, or has aliases.
    """
    decoded = text.decode() if isinstance(text, bytes) else text
    if len(decoded) > _LARGEST_YAML:
        raise ValueError("too large")
    try:
        return yaml.load(decoded, _Loader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, RecursionError, TypeError, AttributeError) as error:
        raise ValueError("not such YAML") from error


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
