"""`byoc report s3://...`: a report on the files below a prefix. Only the files that the report reads are downloaded."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from launch.aws.reports import fetch as fetching
from launch.aws.reports.fetch import fetch
from launch.aws.session import Session
from launch.aws.settings import Settings
from tests.aws.driver import BUCKET, Driver, beside
from tests.reports.made import healthy, metrics
from tests.sagemaker.hosting import archive

RECORDS = "".join(json.dumps(one) + "\n" for one in healthy()).encode()
MODEL = {"classes": ["cat", "dog"], "backbone": "timm/tf_efficientnet_lite0"}


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    with beside(tmp_path_factory.mktemp("prefixes")) as found:
        yield found


def put(driver: Driver, files: dict[str, bytes]) -> None:
    for key, body in files.items():
        driver.emulator.client("s3").put_object(Bucket=BUCKET, Key=key, Body=body)


def reported(driver: Driver, uri: str) -> tuple[str, dict[str, Any]]:
    printed = driver.run("report", uri).stdout
    file = re.search(r"^facts: (.*)$", printed, re.M)
    assert file is not None
    return printed, json.loads((driver.folder / file[1]).read_text())


def profiler(folder: Path) -> dict[str, bytes]:
    """Return a host's system metrics as the profiler writes them to S3."""
    metrics(folder, [50] * 100, [60] * 100)
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.json")}


def test_a_jobs_prefix_gives_its_records_and_its_profiler_output_and_no_other_file(
    driver: Driver, tmp_path: Path
) -> None:
    files = {f"one/{name}": body for name, body in profiler(tmp_path / "made").items()}
    files |= {"one/output/output.tar.gz": archive({"records.jsonl": RECORDS}), "one/big/photo.jpg": b"x" * 1000}
    put(driver, files)
    folder = tmp_path / "fetched"
    folder.mkdir()
    with driver._here():
        found = fetch(Session(Settings(region="us-east-1")), f"s3://{BUCKET}/one/", folder)
    assert found.missing == () and found.files == 2
    names = {path.name for path in folder.rglob("*") if path.is_file()}
    assert names == {"output.tar.gz", "1700000000.algo-1.json"}
    printed, facts = reported(driver, f"s3://{BUCKET}/one/")
    assert "95.8 % of the test photos" in printed and "page: report-one.html" in printed
    assert facts["source"] == f"s3://{BUCKET}/one/"
    assert any(chart["title"] == "algo-1: GPU use" for section in facts["sections"] for chart in section["charts"])
    assert "byoc-report-" not in json.dumps(facts), "the name of a temporary folder is shown"


def test_an_archive_may_be_named_itself(driver: Driver) -> None:
    put(driver, {"two/output/output.tar.gz": archive({"records.jsonl": RECORDS})})
    printed, _ = reported(driver, f"s3://{BUCKET}/two/output/output.tar.gz")
    assert "95.8 % of the test photos" in printed


def test_where_there_are_several_jobs_they_are_named(driver: Driver) -> None:
    put(driver, {f"many/{name}/output/output.tar.gz": archive({"records.jsonl": RECORDS}) for name in ("a", "b")})
    said = driver.run("report", f"s3://{BUCKET}/many/", status=1).stderr
    assert "holds the output of 2 jobs (a/output, b/output, ...); name the prefix of one of them" in said


def test_a_prefix_with_nothing_known_is_refused(driver: Driver) -> None:
    put(driver, {"none/photo.jpg": b"x"})
    for place in ("none/", "nothing/"):
        said = driver.run("report", f"s3://{BUCKET}/{place}", status=1).stderr
        assert "holds no output.tar.gz with records" in said


def test_a_key_that_climbs_out_of_the_folder_is_left_alone(driver: Driver, tmp_path: Path) -> None:
    [body] = profiler(tmp_path / "made").values()
    put(driver, {"climb/profiler-output/../../../../evil.json": body, "climb/profiler-output/good.json": body})
    folder = tmp_path / "deep" / "er" / "fetched"
    folder.mkdir(parents=True)
    with driver._here():
        fetch(Session(Settings(region="us-east-1")), f"s3://{BUCKET}/climb/", folder)
    assert [path.name for path in tmp_path.rglob("*.json") if "made" not in path.parts] == ["good.json"]


def test_a_file_beyond_the_limit_is_not_downloaded_and_that_is_said(
    driver: Driver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "LARGEST", 100)
    put(driver, {"large/output/output.tar.gz": archive({"records.jsonl": RECORDS})})
    with driver._here():
        found = fetch(Session(Settings(region="us-east-1")), f"s3://{BUCKET}/large/", tmp_path)
    assert found.files == 0 and "output/output.tar.gz was not downloaded" in found.missing[0]


def test_without_records_the_model_says_what_it_is_and_only_its_beginning_is_read(
    driver: Driver, tmp_path: Path
) -> None:
    put(
        driver,
        {
            "model/output/model.tar.gz": archive(
                {"model.json": json.dumps(MODEL).encode(), "model.safetensors": b"x" * 10}
            ),
            "odd/output/model.tar.gz": b"this is no archive",
        },
    )
    with driver._here():
        session = Session(Settings(region="us-east-1"))
        assert fetch(session, f"s3://{BUCKET}/model/", tmp_path).files == 1
        assert json.loads((tmp_path / "model.json").read_text()) == MODEL
        (tmp_path / "odd").mkdir()
        assert fetch(session, f"s3://{BUCKET}/odd/", tmp_path / "odd").files == 0
