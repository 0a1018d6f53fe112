"""Rules give the right verdicts and no others on runs of real training, and docs/reports.md holds their table."""

from pathlib import Path

import pytest

from tests.conftest import ROOT, needs_torch
from tests.reports import real_runs

needs_breeds = pytest.mark.skipif(not real_runs.BREEDS.is_dir(), reason="needs the breeds beside the project")


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("features")


@needs_breeds
@needs_torch
@pytest.mark.long
@pytest.mark.parametrize("name", real_runs.RUNS)
def test_real_runs_get_the_right_verdicts_and_no_others(name: str, tmp_path: Path, features: Path) -> None:
    rules = real_runs.found(real_runs.make(name, tmp_path, features))
    assert set(rules) == set(real_runs.RUNS[name].rules), rules


def test_the_table_of_real_runs_is_that_of_the_code() -> None:
    text = (ROOT / "docs" / "reports.md").read_text()
    inside = text.partition("<!-- runs -->\n")[2].partition("<!-- /runs -->")[0]
    assert inside.strip() == real_runs.table()
