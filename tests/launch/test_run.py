"""The driver, run as a user runs it: the main job from photos to answers, and its single steps."""

import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil
import pytest
from PIL import Image

from launch.samples import PHOTOGRAPHS
from launch.server import serving
from tests.conftest import LITE, byoc
from tests.processes import left
from tests.wire import post


@pytest.fixture(scope="module")
def finished(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> "tuple[Path, str]":
    out = tmp_path_factory.mktemp("run") / "out"
    cache = out.parent / "features"
    done = byoc("run", "--data", samples, "--backbone", LITE, "--trials", 3, "--out", out, "--feature-cache", cache)
    assert done.returncode == 0, done.stderr
    return out, done.stdout


@pytest.mark.slow
def test_the_main_job_writes_its_summary(finished: tuple[Path, str], samples: Path) -> None:
    summary = json.loads((finished[0] / "summary.json").read_text())
    assert summary["test_accuracy"] > 0.8 and summary["test_count"] == 126
    assert summary["best_hyperparameters"].keys() == {"backbone", "lr", "batch-size", "epochs"}
    assert len(summary["trials"]) == 3
    seconds = dict(summary["seconds"])
    total = seconds.pop("total")
    assert seconds.keys() == {"check", "tune", "train", "serve", "predict"}
    assert min(seconds.values()) > 0 and total / 2 < sum(seconds.values()) <= total + 0.03  # each value is rounded
    assert len(summary["predictions"]) == 4 and len({item["truth"] for item in summary["predictions"]}) == 4
    for item in summary["predictions"]:
        assert item["probability"] > 0.3 and Path(item["file"]).parent.name == item["truth"]
    assert (Path(summary["artifact"]) / "model.json").exists() and (Path(summary["records"]) / "records.jsonl").exists()
    report = json.loads((finished[0] / "report.json").read_text())
    assert f"{100 * summary['test_accuracy']:.1f} %" in report["headline"] and (finished[0] / "report.html").is_file()


@pytest.mark.slow
def test_every_trial_was_a_run_of_the_training_program_and_one_feature_pass_served_all(
    finished: tuple[Path, str],
) -> None:
    trials = sorted((finished[0] / "trials").glob("[0-9]*"))
    assert len(trials) == 3
    for trial in trials:
        given = json.loads((trial / "input/config/hyperparameters.json").read_text())
        assert (
            0.001 <= float(given["lr"]) <= 0.1
            and given["batch-size"] in ("64", "128")
            and given["epochs"] in ("2", "5")
        )
        assert "epoch=1 " in (trial / "log.txt").read_text()
    written = [path.stat().st_mtime_ns for path in (finished[0].parent / "features").rglob("*.safetensors")]
    second = min((trial / "input/config/hyperparameters.json").stat().st_mtime_ns for trial in trials[1:])
    assert written and max(written) < second, "a later trial computed features again"


@pytest.mark.slow
def test_the_best_trial_is_trained_again_and_its_numbers_agree(finished: tuple[Path, str]) -> None:
    summary = json.loads((finished[0] / "summary.json").read_text())
    best = max(trial["validation_accuracy"] for trial in summary["trials"])
    assert summary["trials"][0]["validation_accuracy"] == best
    document = json.loads((Path(summary["artifact"]) / "model.json").read_text())
    assert document["training"]["metrics"]["validation"]["accuracy"] == pytest.approx(best, abs=0.02)


@pytest.mark.slow
def test_the_main_job_prints_truth_beside_prediction_and_how_to_query(finished: tuple[Path, str]) -> None:
    _, text = finished
    assert "truth " in text and "95 % interval" in text and "trial 3 of 3: lr " in text
    assert "curl -H 'Content-Type: image/jpeg' --data-binary @" in text


@pytest.mark.slow
def test_a_server_of_the_artifact_gives_the_answers_that_the_summary_has(
    finished: tuple[Path, str], tmp_path: Path
) -> None:
    summary = json.loads((finished[0] / "summary.json").read_text())
    with serving(Path(summary["artifact"]), 0, tmp_path / "log.txt") as url:
        for item in summary["predictions"]:
            [first, *_] = post(url, Path(item["file"]).read_bytes()).json["predictions"]
            assert first["label"] == item["label"]
            assert first["probability"] == pytest.approx(item["probability"], abs=1e-4)


@pytest.mark.slow
def test_results_are_never_overwritten(finished: tuple[Path, str], samples: Path) -> None:
    done = byoc("train", "--data", samples, "--out", finished[0])
    assert done.returncode == 1 and "is not empty; name another folder with --out" in done.stderr


@pytest.mark.slow
def test_keep_serving_answers_until_ctrl_c_and_leaves_nothing_behind(
    samples: Path, feature_cache: Path, tmp_path: Path
) -> None:
    command: list[str | Path] = [Path(sys.executable).parent / "byoc", "run", "--data", samples, "--backbone", LITE]
    command += ["--trials", "1", "--out", tmp_path / "out", "--feature-cache", feature_cache, "--keep-serving"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert process.stdout is not None
        url = next(line.split()[-1] for line in process.stdout if line.startswith("query it:")).removesuffix(
            "/invocations"
        )
        with urllib.request.urlopen(f"{url}/ping") as answer:
            assert answer.status == 200
        family = psutil.Process(process.pid).children(recursive=True)
        assert family
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=120)
        assert process.returncode == 130
        assert not left(family)
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_no_file_name_makes_a_traceback(tiny: Path, tmp_path: Path, encoding: str) -> None:
    good = (tiny / "train" / "brick" / "000.jpg").read_bytes()
    for split, name in itertools.product(
        ("train", "test"), (b"caf\xe9", "Zoë\u3042".encode(), b"a\nepoch=1 b", b"\x1b[2J")
    ):
        for end, content in ((b".jpg", good + name), (b"-.jpg", b"not a photo")):
            path = os.fsencode(tiny / split / "brick") + b"/" + name + end
            with open(path, "wb") as file:  # noqa: PTH123 - a name in bytes
                file.write(content)
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    done = byoc("data", "check", tiny, env=environment)
    assert done.returncode == 1 and not done.stderr and "8 of 32 photos cannot be read" in done.stdout
    assert "caf\\udce9-.jpg; not an image" in done.stdout and "a\\nepoch=1 b-.jpg; not an image" in done.stdout
    findings = json.loads(byoc("data", "check", tiny, "--json", env=environment).stdout)
    assert len(findings["unreadable"]) == 8 and json.dumps(findings, ensure_ascii=False).encode()
    settings = ("--set", "max-unreadable=50", "--set", "epochs=1", "--feature-cache", tmp_path / "cache")
    done = byoc("train", "--data", tiny, "--out", tmp_path / "out", "--backbone", LITE, *settings, env=environment)
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    left_out = [line for line in done.stdout.splitlines() if line.startswith("left out ")]
    assert len(left_out) == 8 and sum("a\\nepoch=1 b-.jpg" in line for line in left_out) == 2
    done = byoc("train", "--data", tiny, "--out", tmp_path / "again", "--backbone", LITE, env=environment)
    assert done.returncode == 1 and "of 32 photos cannot be read" in done.stderr and "Traceback" not in done.stderr
    names = [os.fsdecode(os.fsencode(tiny) + b"/test/brick/" + name) for name in (b"caf\xe9.jpg", b"a\nepoch=1 b-.jpg")]
    done = byoc("predict", *names, tiny / "absent.jpg", "--url", "http://127.0.0.1:9", env=environment)
    assert done.returncode == 1 and "Traceback" not in done.stderr and len(done.stderr.splitlines()) == 3, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--set", "lr=fast"), "hyperparameter lr is 'fast'; it must be a number"),
        (("--set", "lr"), "--set 'lr' must read NAME=VALUE"),
        (("--set", "rate=1"), "hyperparameter 'rate' is unknown"),
        (("--trials", "0"), "--trials is 0"),
        (("--backbone", "inception"), "backbone 'inception' is neither a torchvision classification model"),
    ],
)
def test_a_wrong_option_is_one_sentence(tiny: Path, tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    done = byoc("run", "--data", tiny, "--out", tmp_path / "out", "--feature-cache", tmp_path / "cache", *arguments)
    assert done.returncode == 1 and message in done.stderr and "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_failed_trial_ends_the_job_with_the_trainings_own_sentence(tiny: Path, tmp_path: Path) -> None:
    done = byoc(
        "tune",
        "--data",
        tiny,
        "--out",
        tmp_path / "out",
        "--backbone",
        "nonsense",
        "--feature-cache",
        tmp_path / "cache",
    )
    assert done.returncode == 1 and done.stderr.splitlines()[-1].startswith(
        "byoc: backbone 'nonsense' is neither a torchvision"
    )


def test_photos_without_a_test_folder_are_refused_before_anything_runs(tiny: Path, tmp_path: Path) -> None:
    (tiny / "test").rename(tmp_path / "moved")
    done = byoc("run", "--data", tiny, "--backbone", LITE, "--out", tmp_path / "out")
    assert done.returncode == 1 and "holds no test photos" in done.stderr and not (tmp_path / "out").exists()


@pytest.mark.parametrize("splits", [("train",), ("train", "validation", "test"), ("test",), ()])
def test_samples_are_never_written_among_the_users_files(tmp_path: Path, splits: tuple[str, ...]) -> None:
    folder = tmp_path / "mine"
    for name in splits or ("notes",):
        (folder / name / "cat").mkdir(parents=True)
        (folder / name / "cat" / "000.jpg").write_bytes(b"mine")
    before = sorted(folder.rglob("*"))
    done = byoc("data", "sample", folder)
    assert done.returncode == 1 and not done.stdout
    assert f"byoc: {folder} is not empty and does not hold the samples; name a new folder" in done.stderr
    assert sorted(folder.rglob("*")) == before and (folder / (splits or ("notes",))[0] / "cat" / "000.jpg").exists()


def test_samples_that_are_there_stay_as_they_are(samples: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in samples.rglob("*")}
    done = byoc("data", "sample", samples)
    assert done.returncode == 0 and "wrote" not in done.stdout and "crops of the 14 free photographs" in done.stdout
    assert {path: path.stat().st_mtime_ns for path in samples.rglob("*")} == before


def test_samples_that_ctrl_c_interrupts_leave_the_folder_empty(tmp_path: Path) -> None:
    folder, data = tmp_path / "new", tmp_path / "skimage" / "data"
    # A package that replaces scikit-image. Nobody ever writes to its second photograph, so byoc still waits for it when Ctrl-C comes.
    data.mkdir(parents=True)
    (data.parent / "__init__.py").touch()
    first, second = list(PHOTOGRAPHS.values())[:2]
    Image.new("RGB", (640, 640)).save(data / first)
    os.mkfifo(data / second)
    command = [Path(sys.executable).parent / "byoc", "data", "sample", folder]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        while not list(folder.rglob("*.jpg")):
            assert process.poll() is None
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130 and errors == "byoc: stopped\n" and not list(folder.iterdir())


@pytest.mark.parametrize("verb", ["train", "tune", "run"])
@pytest.mark.parametrize("option", ["--data", "--model", "--pretrained"])
def test_a_folder_that_is_not_there_is_named_as_given_and_nothing_is_written(
    tiny: Path, tmp_path: Path, verb: str, option: str
) -> None:
    (tmp_path / "file").touch()
    for wrong, sentence in (("nosuch", "does not exist"), ("file", "is not a folder")):
        given = {"--data": str(tiny), option: wrong}
        arguments = [part for pair in given.items() for part in pair]
        done = byoc(verb, *arguments, "--out", tmp_path / "out", "--backbone", LITE, cwd=tmp_path)
        assert done.returncode == 1 and not (tmp_path / "out").exists()
        assert done.stderr == f"byoc: {option} {wrong} {sentence}; name a folder\n"


def test_a_port_that_is_taken_is_reported_before_anything_runs(tiny: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = byoc("run", "--data", tiny, "--out", tmp_path / "out", "--backbone", LITE, "--port", port)
    assert done.returncode == 1 and not done.stdout and not (tmp_path / "out").exists()
    assert done.stderr == f"byoc: port {port} cannot be used: Address already in use; name another with --port\n"
    for port in ("70000", "-1"):
        done = byoc("run", "--data", tiny, "--out", tmp_path / "out", "--backbone", LITE, "--port", port)
        assert done.returncode == 1 and done.stderr == f"byoc: --port is {port}; it must lie between 0 and 65535\n"


def test_tune_with_nothing_left_to_tune_is_refused(tiny: Path, tmp_path: Path) -> None:
    given = [part for pair in ("learning_rate=0.01", "epochs=1", "batch-size=8") for part in ("--set", pair)]
    for verb in ("tune", "run"):
        done = byoc(verb, "--data", tiny, "--out", tmp_path / "out", "--backbone", LITE, *given)
        assert done.returncode == 1 and "lr, batch-size, epochs all have fixed values" in done.stderr
        done = byoc(verb, "--data", tiny, "--out", tmp_path / "out", "--trials", "0")
        assert done.returncode == 1 and done.stderr == "byoc: --trials is 0; it must be at least 1\n"
        assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_byoc_train_writes_an_artifact_that_byoc_serve_takes(tiny: Path, tmp_path: Path) -> None:
    done = byoc(
        "train", "--data", tiny, "--backbone", LITE, "--out", tmp_path / "out", "--feature-cache", tmp_path / "cache"
    )
    assert done.returncode == 0 and f"serve {tmp_path / 'out' / 'model'}" in done.stdout
    done = byoc("serve", tmp_path / "absent")
    assert done.returncode == 1 and "model.json is missing" in done.stderr


@pytest.mark.slow
def test_byoc_tune_leaves_what_is_given_by_another_name_alone(tiny: Path, tmp_path: Path) -> None:
    options = ("--backbone", LITE, "--trials", "1", "--out", tmp_path / "out", "--feature-cache", tmp_path / "features")
    done = byoc(
        "tune", "--data", tiny, *options, "--set", "learning_rate=0.02", "--set", "n_epochs=2", "--set", "random_seed=1"
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"^trial 1 of 1: batch-size \d+; validation:accuracy", done.stdout, re.MULTILINE)


def test_byoc_takes_the_backbone_by_another_name_and_refuses_two_values(tiny: Path, tmp_path: Path) -> None:
    options = ("--data", tiny, "--out", tmp_path / "out")
    done = byoc("train", *options, "--backbone", "resnet18", "--set", "num_layers=50")
    assert done.returncode == 1 and "backbone=resnet18 and num_layers=50 both mean backbone" in done.stderr
    done = byoc("train", *options, "--set", "lr=1", "--set", "lr=2")
    assert done.returncode == 1 and "byoc: lr is given as 1 and as 2; keep only one of them" in done.stderr
    done = byoc("train", *options, "--set", "model_name=resnet_nonsense")
    assert (
        done.returncode == 1
        and "backbone 'resnet_nonsense' is neither a torchvision classification model" in done.stderr
    )
