"""Reports are made on the host: no image holds their code."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.places import INSIDE

collect_ignore_glob = ["test_*.py"] if INSIDE else []


@pytest.fixture(scope="module")
def started_browser() -> Iterator[Any]:
    """Chromium, one for each test file: while Playwright runs, no other test can use asyncio in this process."""
    from tests.reports.browsing import chromium  # imported late: the Docker images lack the package reports

    with chromium() as started:
        yield started


@pytest.fixture
def browser(started_browser: Any) -> Iterator[Any]:
    """The file's Chromium. Its pages are closed after each test, so that they take no time and memory from the next ones."""
    yield started_browser
    for context in started_browser.contexts:
        context.close()
