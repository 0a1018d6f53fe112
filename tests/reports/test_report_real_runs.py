"""Rules give the right verdicts and no others on runs of real training."""

from pathlib import Path

import pytest

from tests.conftest import needs_torch
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
