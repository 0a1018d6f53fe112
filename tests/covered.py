"""A plugin for pytest that sets the name of the running test in coverage, in this process and in those that the test starts.

tests/coverage.sh loads it. A process that a test starts reads the test's name from the environment, as pyproject.toml configures it.
"""

import json
import os
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import coverage
import pytest

_seconds: dict[str, float] = defaultdict(float)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    os.environ["COVERED_TEST"] = item.nodeid
    running = coverage.Coverage.current()
    assert running, "coverage does not run here; tests/coverage.sh sets COVERAGE_PROCESS_START"
    running.switch_context(item.nodeid)
    return (yield)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _seconds[report.nodeid] += report.duration


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Add the seconds of each test to a file with the environment's name. The workers of xdist report to the first process."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        return
    path = Path(os.environ["COVERED_INTO"]) / f"{Path(sys.prefix).name}.json"
    before = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(before | _seconds, indent=1, sort_keys=True))
