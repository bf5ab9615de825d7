from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from curate.describe import markup


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a <b>c</b>", r"a \<b\>c\</b\>"),
        ("a | b", r"a \| b"),
        ("[x](y)", r"\[x\](y)"),
        ("*a* `b` ~c~", r"\*a\* \`b\` \~c\~"),
        ("age_low_years _x_", r"age_low_years \_x\_"),
        ("- item", r"\- item"),
        ("1. item", r"1\. item"),
        ("1.2.0", "1.2.0"),
        ("---", r"\---"),
        ("# head", r"\# head"),
        ("&lt;", r"\&lt;"),
        ("two\nlines\x00", "two lines"),
        ("\u202eevil", "evil"),
    ],
)
def test_escape_shows_text_as_it_stands(text: str, expected: str) -> None:
    """Markdown's and HTML's marks, list markers and hidden direction marks lose their force."""
    assert markup.escape(text) == expected


@given(st.dictionaries(st.text("abc", min_size=1), st.text(st.characters(codec="utf-8"))))
def test_yaml_comes_back_as_it_went_in(document: dict[str, str]) -> None:
    """Whatever a value holds, YAML reads the same value back, and no line of it ends the front matter."""
    clean = {key: markup.plain(value) for key, value in document.items()}
    text = markup.dump_yaml(clean)
    assert yaml.safe_load(text) == clean
    assert "\n---" not in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("org/name", True),
        ("a-b/c.d_e", True),
        ("name", False),
        ('o/n"', False),
        ("a/b/c", False),
        ("", False),
    ],
)
def test_repository_names(text: str, expected: bool) -> None:
    """Only ORG/NAME goes into code and addresses."""
    assert markup.is_repository(text) is expected
