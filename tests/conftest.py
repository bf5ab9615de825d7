"""What all tests share."""

from collections.abc import Iterator

import pytest

from tests.pages.browser import browsing

pytest_plugins = ["tests.hub.fixtures"]


@pytest.fixture(scope="session")
def browser() -> Iterator[object]:
    """One Chromium for all tests of a process."""
    with browsing() as opened:
        yield opened
