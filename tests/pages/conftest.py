"""One browser for all tests of a process."""

from collections.abc import Iterator

import pytest

from tests.pages.browser import browsing


@pytest.fixture(scope="session")
def browser() -> Iterator[object]:
    with browsing() as opened:
        yield opened
