"""The benchmarks run and write the figures that the README quotes. No test checks a time."""

import contextlib
import importlib
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import LITE, ROOT

Parts = dict[str, dict[str, Any]]


def bench(name: str, tmp_path: Path, *arguments: str | Path) -> tuple[str, Path]:
    """Run a benchmark and return what it prints and where its results are."""
    # Runs in a copy, so that the committed results are not overwritten.
    if not (tmp_path / "benchmarks").exists():
        shutil.copytree(ROOT / "benchmarks", tmp_path / "benchmarks", ignore=shutil.ignore_patterns("results"))
    command = [sys.executable, "-m", f"benchmarks.{name}", *map(str, arguments)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout, tmp_path / "benchmarks" / "results" / f"{name}.json"


def measured(name: str, tmp_path: Path, *arguments: str | Path) -> tuple[str, Parts]:
    """Run a benchmark and return what it prints and the parts that it keeps."""
    text, results = bench(name, tmp_path, *arguments)
    parts: Parts = json.loads(results.read_text())["parts"]
    return text, parts


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("train", ("--part", "features-breeds", "--features-photos", "96", "--rounds", "1")),
        ("decode", ("--photos", "2")),
    ],
)
def test_a_benchmark_writes_its_numbers_with_machine_and_date(
    samples: Path, tmp_path: Path, name: str, options: tuple[str, ...]
) -> None:
    text, parts = measured(name, tmp_path, samples / "train", *options)
    (part,) = parts.values()
    assert part["machine"]["cores"] >= 1 and part["machine"]["date"]
    assert part["figures"] and all(figure["value"] > 0 and figure["name"] in text for figure in part["figures"])


def test_the_emulators_benchmark_writes_each_figure_with_its_target(tmp_path: Path) -> None:
    text, parts = measured("emulator", tmp_path, "--only", "invocation", "--invocations", "5")
    own, added = parts["invocation"]["figures"]
    assert own["value"] > 0 and own["low"] <= own["value"] <= own["high"]
    assert added["at_most"] == 5 and added["name"].endswith(", ms") and "at most 5" in text
    assert parts["invocation"]["machine"]["date"] and parts["invocation"]["settings"]["invocations"] == 5


def test_the_kept_results_are_those_of_parts_that_still_exist() -> None:
    results = {path.stem: path for path in (ROOT / "benchmarks" / "results").glob("*.json")}
    assert results.pop("image_sizes"), "made by make image-sizes, not by a benchmark"
    for name, path in results.items():
        parts: Parts = json.loads(path.read_text())["parts"]
        assert parts.keys() <= importlib.import_module(f"benchmarks.{name}").PARTS.keys(), path
        assert all(part["machine"]["date"] and part["figures"] for part in parts.values()), path


def test_a_benchmark_that_is_stopped_ends_what_it_started() -> None:
    command = [sys.executable, "-m", "benchmarks.emulator", "--only", "invocation", "--invocations", "1000000"]
    with subprocess.Popen(command, cwd=ROOT) as process:
        try:
            started: list[psutil.Process] = []
            # The endpoint is the last to start. Before it, the emulator has started programs that end by themselves.
            while not any(map(is_endpoint, started)):
                assert process.poll() is None
                time.sleep(0.1)
                started = psutil.Process(process.pid).children(recursive=True)
            process.terminate()
            assert process.wait(timeout=300) == 143
        finally:
            process.kill()
    assert len(started) >= 2 and not psutil.wait_procs(started, timeout=300)[1]


def is_endpoint(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return any(word.endswith("/programs/serve") for word in process.cmdline())
    return False


@pytest.mark.parametrize("name", ["decode", "train", "mislabelled"])
def test_a_benchmark_whose_photos_are_absent_says_that_it_was_not_run(tmp_path: Path, name: str) -> None:
    text, results = bench(name, tmp_path, tmp_path / "absent")
    assert "not run" in text and not results.exists()


@pytest.mark.long
def test_the_copied_loop_trains_the_last_layer(tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "baseline.json"
    command = [sys.executable, "-m", "benchmarks.baseline", str(tiny), "--out", str(out), "--backbone", LITE]
    command += ["--epochs", "6", "--lr", "0.01", "--batch-size", "4"]
    subprocess.run(command, cwd=ROOT, check=True, timeout=900)
    phases = json.loads(out.read_text())
    assert [phase["phase"] for phase in phases] == ["train", "validation"] * 6
    assert phases[-2]["loss"] < phases[0]["loss"] / 2 and phases[-2]["accuracy"] == 1


@pytest.mark.long
def test_the_comparison_with_the_copied_loop_keeps_parts_that_were_not_run(samples: Path, tmp_path: Path) -> None:
    options = ("--small", samples, "--small-photos", "60", "--backbone", LITE)
    bench("train", tmp_path, samples, "--part", "growth", "--growth-sizes", "40", "--growth-backbone", LITE)
    text, parts = measured("train", tmp_path, samples, "--part", "epochs-dogs", *options)
    assert list(parts) == ["epochs-dogs", "growth"]
    for part, ratio in (("epochs-dogs", "copied loop / ours, auto"), ("growth", "photos/s, slowest size / fastest")):
        assert parts[part]["machine"]["date"]
        assert all(figure["name"] in text and figure["value"] > 0 for figure in parts[part]["figures"])
        assert ratio in [figure["name"] for figure in parts[part]["figures"] if "at_least" in figure]


@pytest.fixture
def artifacts(model: Path, tmp_path: Path) -> Path:
    shutil.copytree(model, tmp_path / "artifacts" / "lite0" / "model")
    return tmp_path / "artifacts"


START = ("--part", "start", "--rounds", "1", "--seconds", "1", "--large", "2")


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("wrk"), reason="wrk, which loads the server, is not installed")
def test_the_start_and_the_workers_memory_are_measured(samples: Path, artifacts: Path, tmp_path: Path) -> None:
    text, parts = measured("serve", tmp_path, samples / "test", *START, "--artifacts", artifacts)
    figures = parts["start"]["figures"]
    measures = ("seconds from serve to the first 200", "largest worker after photos of 12 megapixels, MB")
    assert [figure["name"] for figure in figures] == [f"lite0: {measure}" for measure in measures]
    assert all(figure["value"] > 0 and figure["name"] in text for figure in figures)
    assert figures[1]["value"] <= figures[1]["at_most"]


@pytest.mark.slow
@pytest.mark.skipif(bool(shutil.which("wrk")), reason="wrk is installed")
def test_without_wrk_the_start_is_not_measured_and_that_is_said(samples: Path, artifacts: Path, tmp_path: Path) -> None:
    text, results = bench("serve", tmp_path, samples / "test", *START, "--artifacts", artifacts)
    assert "start: not run, since wrk is not installed; apt-get install wrk" in text and not results.exists()


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("wrk"), reason="wrk, which loads the server, is not installed")
def test_our_server_alone_shows_where_the_time_of_a_request_goes(
    samples: Path, artifacts: Path, tmp_path: Path
) -> None:
    options = ("--part", "alone-lite0-224", "--rounds", "1", "--seconds", "1", "--artifacts", artifacts)
    _, parts = measured("serve", tmp_path, samples / "test", *options)
    found = {figure["name"]: figure["value"] for figure in parts["alone-lite0-224"]["figures"]}
    for role in ("front", "java", "workers"):
        assert found[f"ours, 4 clients: processor time of {role}, ms a request"] > 0
    steps = {name.split(": ")[1]: value for name, value in found.items() if name.startswith("one thread: ")}
    assert steps.pop("in turns, ms a photo") > 0 and len(steps) == 2
    (limit,) = (value for name, value in found.items() if name.startswith("limit with "))
    cores = parts["alone-lite0-224"]["machine"]["cores"]
    assert limit * sum(steps.values()) == pytest.approx(1000 * cores, rel=1e-3)  # the results have five digits


def test_servers_are_not_compared_without_their_packages(samples: Path, artifacts: Path, tmp_path: Path) -> None:
    options = ("--part", "lite0-natural", "--artifacts", artifacts, "--peers-python", tmp_path / "absent")
    text, results = bench("serve", tmp_path, samples / "test", *options)
    assert "absent is missing; make it with bash requirements/setup_peers.sh" in text and not results.exists()
