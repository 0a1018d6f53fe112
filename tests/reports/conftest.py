"""Reports are made on the host: no image holds their code."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.places import INSIDE

collect_ignore_glob = ["test_*.py"] if INSIDE else []


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, one for each test file: while Playwright runs, no other test can use asyncio in this process."""
    from tests.reports.browsing import chromium  # imported late: the Docker images lack the package reports

    with chromium() as started:
        yield started
