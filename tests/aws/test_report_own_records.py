"""`byoc report` shows what a real job on a local SageMaker recorded about its machine, although byoc turns SageMaker's profiler off."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.aws.driver import Driver, with_real_programs

# These settings make a job take seconds. Most of that time goes into imports.
SET = [f"--set={one}" for one in ("weights=random", "epochs=1", "batch-size=4", "precision=fp32")]
ON = ["--on", "sagemaker", "--yes", "--sender", "boto3", "--backbone", "timm/test_efficientnet", *SET]


def machines(driver: Driver, job: str) -> dict[str, Any]:
    """Return the section "Time and system" of the report on a job."""
    driver.run("report", job)
    facts = json.loads((driver.folder / f"report-{job}.json").read_text())
    found: dict[str, Any] = next(one for one in facts["sections"] if one["id"] == "time")
    return found


@pytest.mark.slow
def test_the_report_on_a_job_and_on_a_search_shows_how_busy_the_host_was(tiny: Path, tmp_path: Path) -> None:
    with with_real_programs(tmp_path) as driver:
        driver.run("train", "--data", str(tiny), "--name", "one", *ON)
        assert driver.describe("one")["ProfilerConfig"] == {"DisableProfiler": True}
        search = ["--strategy", "Grid", "--choice", "lr=0.001,0.01"]
        driver.run("tune", "--data", str(tiny), "--name", "two", *ON, *search)
        sections = {job: machines(driver, job) for job in ("one", "two")}
    for job, section in sections.items():
        assert "algo-1: CPU use, mean of the cores" in {chart["title"] for chart in section["charts"]}, job
        assert "algo-1: Memory in use" in {chart["title"] for chart in section["charts"]}, job
        assert not [one for one in section["missing"] if "No system metrics" in one], job
