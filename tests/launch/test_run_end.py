"""The end of the driver, run as a user runs it: Ctrl-C, signals, a reader of its output that ends, a full disk."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.conftest import LITE, byoc
from tests.processes import left

ENDLESS = ("--set", "epochs=10000")  # the job takes minutes, so it still runs when the test stops it
# Replaces Docker: the first trial writes its records, and each other trial runs until it is ended.
DOCKER = """#!/bin/sh
[ "$1" = run ] || exit 0
for word; do case $word in byoc-classifier.job=*) base=${word#*=} ;; esac; done
[ "${base##*/}" = 001 ] || exec sleep 600
echo '{"kind": "result", "split": "validation", "accuracy": 1, "loss": 0}' > "$base/output/data/records.jsonl"
"""


@pytest.mark.slow
def test_ctrl_c_while_tuning_stops_every_trial(samples: Path, tmp_path: Path) -> None:
    command: list[str | Path] = [Path(sys.executable).parent / "byoc", "tune", "--data", samples, "--backbone", LITE]
    command += ["--out", tmp_path / "out", "--feature-cache", tmp_path, *ENDLESS]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        _children(process, 1)
        time.sleep(1)
        family = _children(process, 1)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 130 and "byoc: stopped" in errors and "Traceback" not in errors
        assert not left(family)
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "number", "status"),
    [((), signal.SIGTERM, 143), ((), signal.SIGHUP, 129), (("nohup",), signal.SIGTERM, 143)],
)
def test_a_stopped_driver_stops_its_training(
    samples: Path, tmp_path: Path, before: tuple[str, ...], number: signal.Signals, status: int
) -> None:
    command = [*before, Path(sys.executable).parent / "byoc", "train", "--data", samples, "--backbone", LITE]
    command += ["--out", tmp_path / "out", "--feature-cache", tmp_path, *ENDLESS]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    family: list[psutil.Process] = []
    try:
        family = _children(process, 1)
        if before:
            process.send_signal(signal.SIGHUP)
            time.sleep(1)
            assert process.poll() is None
        process.send_signal(number)
        _, errors = process.communicate(timeout=120)
        assert process.returncode == status and "byoc: stopped" in errors and "Traceback" not in errors, errors
        assert not left(family)
    finally:
        _end(process, family)


@pytest.mark.parametrize("paused", [False, True])
def test_a_stopped_tuner_stops_the_trials_that_run_side_by_side(tmp_path: Path, paused: bool) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "docker").write_text(DOCKER)
    (tmp_path / "docker").chmod(0o755)
    command: list[str | Path] = [Path(sys.executable).parent / "byoc", "tune", "--data", tmp_path / "photos"]
    command += [
        "--image",
        "an-image",
        "--gpus",
        "none",
        "--out",
        tmp_path / "out",
        "--feature-cache",
        tmp_path / "features",
    ]
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    family: list[psutil.Process] = []
    try:
        family = _children(process, 2)
        if paused:
            process.send_signal(signal.SIGSTOP)
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGCONT)
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 143 and "byoc: stopped" in errors and "Traceback" not in errors, errors
        assert not left(family)
        finished = [path.parts[-4] for path in (tmp_path / "out").glob("*/output/data/records.jsonl")]
        assert finished == ["001"]
    finally:
        _end(process, family)


@pytest.mark.slow
@pytest.mark.parametrize("started", ["training", "server"])
def test_a_driver_that_is_killed_takes_what_it_started_with_it(
    samples: Path, tmp_path: Path, model: Path, started: str
) -> None:
    options: list[str | Path] = [
        "--data",
        samples,
        "--backbone",
        LITE,
        "--out",
        tmp_path / "out",
        "--feature-cache",
        tmp_path,
    ]
    serves = """
import sys, time
from pathlib import Path
from launch.server import serving
with serving(Path(sys.argv[1]), 0, Path(sys.argv[2])):
    time.sleep(300)
"""
    command: list[str | Path] = (
        [Path(sys.executable).parent / "byoc", "train", *options, *ENDLESS]
        if started == "training"
        else [sys.executable, "-c", serves, model, tmp_path / "log"]
    )
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True)
    family: list[psutil.Process] = []
    try:
        _children(process, 1)
        time.sleep(3)
        family = _children(process, 1)
        process.kill()
        process.wait()
        assert not left(family)
    finally:
        _end(process, family)


def _children(process: "subprocess.Popen[str]", count: int) -> list[psutil.Process]:
    deadline = time.monotonic() + 300
    while len(psutil.Process(process.pid).children()) < count:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    return psutil.Process(process.pid).children(recursive=True)


def _end(process: "subprocess.Popen[str]", family: list[psutil.Process]) -> None:
    process.kill()
    for child in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
    process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("data", "check", "{photos}"),
        ("data", "check", "{photos}", "--json"),
        ("data", "sample", "{samples}"),
        ("predict", "{photos}/test/brick/000.jpg", "--url", "http://127.0.0.1:9"),
        ("train", "--data", "{photos}", "--out", "{out}", "--backbone", LITE),
        ("tune", "--data", "{photos}", "--out", "{out}", "--backbone", LITE, "--trials", "1", "--set", "epochs=1"),
        ("run", "--data", "{photos}", "--out", "{out}", "--backbone", LITE),
    ],
)
def test_a_verb_whose_output_nobody_reads_ends_without_a_traceback(
    samples: Path, tiny: Path, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    command = [argument.format(samples=samples, photos=tiny, out=tmp_path / "out") for argument in arguments]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [Path(sys.executable).parent / "byoc", *command], stdout=writer, stderr=subprocess.PIPE, text=True, timeout=120
    )
    os.close(writer)
    # The status depends on the program: argparse may ignore the error, and predict and training report it with status 1.
    expected = {"--help": (0, 141), "predict": (1,), "train": (1,)}.get(arguments[0], (141,))
    assert done.returncode in expected, done.stderr
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr, done.stderr


def test_a_failure_is_written_although_nobody_reads_output_and_errors(tiny: Path, tmp_path: Path) -> None:
    shutil.rmtree(tiny / "train" / "coffee")
    reader, writer = os.pipe()
    os.close(reader)
    command = [Path(sys.executable).parent / "byoc", "train", "--data", tiny, "--out", tmp_path / "out"]
    done = subprocess.run([str(part) for part in command], stdout=writer, stderr=writer, timeout=120)
    os.close(writer)
    assert done.returncode == 1
    assert "only the class 'brick'" in (tmp_path / "out" / "output" / "failure").read_text()


def test_answers_that_nobody_reads_end_predict_without_a_traceback(url: str, tiny: Path) -> None:
    photo = tiny / "test" / "brick" / "000.jpg"
    command = [Path(sys.executable).parent / "byoc", "predict", *[photo] * 40, "--url", url]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=300)
    os.close(writer)
    assert done.returncode == 141 and not done.stderr, done.stderr


def test_a_full_disk_under_the_output_is_one_sentence(tiny: Path) -> None:
    command = [Path(sys.executable).parent / "byoc", "data", "check", tiny]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 1 and done.stderr == "byoc: the output cannot be used: No space left on device\n"


def test_a_folder_for_results_that_cannot_be_made_is_one_sentence(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = byoc("train", "--data", tiny, "--out", tmp_path / "file" / "out")
    assert (
        done.returncode == 1 and done.stderr == f"byoc: {tmp_path / 'file' / 'out'} cannot be used: Not a directory\n"
    )


@pytest.mark.parametrize("moment", ["import", "work"])
@pytest.mark.parametrize("verb", ["check", "train"])
def test_ctrl_c_in_a_terminal_leaves_no_traceback(
    samples: Path, tiny: Path, tmp_path: Path, verb: str, moment: str
) -> None:
    photos = [path.relative_to(tiny / "train") for path in (tiny / "train").glob("*/*.jpg")]
    (tiny / "train" / "list.csv").write_text("path,label\n" + "".join(f"{path},{path.parent}\n" for path in photos))
    # Nobody ever writes to this photo, so byoc is still reading it when Ctrl-C comes.
    (tiny / "train" / photos[0]).unlink()
    os.mkfifo(tiny / "train" / photos[0])
    arguments = {
        "check": ["data", "check", tiny],
        "train": [
            "train",
            "--data",
            samples,
            "--out",
            tmp_path / "out",
            "--backbone",
            LITE,
            "--feature-cache",
            tmp_path,
            *ENDLESS,
        ],
    }[verb]
    with (tmp_path / "errors").open("w+") as errors:
        process = subprocess.Popen(
            [Path(sys.executable).parent / "byoc", *map(str, arguments)],
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
        )
        try:
            end = time.monotonic() + 300
            while not _is_at(moment, verb, process.pid) and process.poll() is None and time.monotonic() < end:
                time.sleep(0.01)
            # A terminal also sends it to the driver and all processes that the driver started.
            os.killpg(process.pid, signal.SIGINT)
            assert process.wait(300) == 130
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        errors.seek(0)
        text = errors.read()
    assert "byoc: stopped" in text and "Traceback" not in text and "Exception ignored" not in text, text


def _is_at(moment: str, verb: str, pid: int) -> bool:
    """Return whether the verb is importing its heaviest package, or has already started its threads."""
    family = psutil.Process(pid).children() if verb == "train" else [psutil.Process(pid)]
    library = "libtorch" if verb == "train" else "_imaging"
    try:
        maps = Path(f"/proc/{family[0].pid}/maps").read_text() if family else ""
        return library in maps if moment == "import" else "_imaging" in maps and family[0].num_threads() > 2
    except (OSError, psutil.Error):
        return False
