"""Which containers get the GPUs of this machine. A program called docker replaces Docker and logs its arguments."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest

from classifier.errors import ConfigError
from launch.container import check, command
from launch.gpus import wanted
from local_test.gpus import instance_type
from tests.conftest import ROOT

DOCKER = """#!/bin/sh
echo "$@" >> "$DOCKER_LOG"
[ "$1 $2" != "image inspect" ] || case "$*" in
  *for-cuda*) echo '["PATH=/bin", "NVIDIA_VISIBLE_DEVICES=all"]' ;;
  *for-cpu*) echo '["PATH=/bin"]' ;;
  *absent*) echo '[]'; exit 1 ;;
  *) echo null ;;
esac
"""


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "docker").write_text(DOCKER)
    (tmp_path / "bin" / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("DOCKER_LOG", str(tmp_path / "log.txt"))
    monkeypatch.delenv("GPUS", raising=False)
    return tmp_path / "log.txt"


def test_a_cuda_image_gets_the_gpus_of_a_machine_that_has_them(log: Path, tmp_path: Path) -> None:
    driver = tmp_path / "version"
    driver.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06")
    assert wanted("for-cuda", driver=driver)
    assert not any(wanted(image, driver=driver) for image in ("for-cpu", "another", "absent"))
    assert not wanted("for-cuda", driver=tmp_path / "absent")


def test_the_switch_decides_against_what_is_found(log: Path, tmp_path: Path) -> None:
    assert wanted("for-cpu", "all", tmp_path / "absent")
    assert not wanted("for-cuda", "none", log.parent)
    with pytest.raises(ConfigError, match="gpus is 'two'; it must be one of auto, all, none"):
        wanted("for-cuda", "two")


def test_a_container_with_gpus_has_shared_memory_for_nccl(tmp_path: Path) -> None:
    plain = command("image", tmp_path, {}, tmp_path / "cache", {})
    with_gpus = command("image", tmp_path, {}, tmp_path / "cache", {}, gpus=True)
    options = list(itertools.pairwise(with_gpus[: with_gpus.index("image")]))
    assert ("--gpus", "all") in options and ("--shm-size", "1g") in options
    assert [part for part in with_gpus if part not in ("--gpus", "all", "--shm-size", "1g")] == plain


@pytest.mark.parametrize("gpus", ["all", "none"])
def test_the_scripts_give_docker_the_gpus_or_not(log: Path, tmp_path: Path, gpus: str) -> None:
    (tmp_path / "photos").mkdir()
    script = [str(ROOT / "local_test" / "train_local.sh"), "--plain", "--out", str(tmp_path / "out")]
    done = subprocess.run(
        [*script, str(tmp_path / "photos")],
        env=os.environ | {"GPUS": gpus, "IMAGE": "for-cuda"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (run,) = [line for line in log.read_text().splitlines() if line.startswith("run ") and line.endswith(" train")]
    assert ("--gpus all" in run) == (gpus == "all")
    assert f"--shm-size {'1g' if gpus == 'all' else '64m'} " in run and run.count("--shm-size") == 1


def test_local_mode_asks_the_sdk_for_gpus(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert instance_type("for-cpu") == "local"
    monkeypatch.setenv("GPUS", "all")
    assert instance_type("for-cuda") == "local_gpu"
    monkeypatch.setenv("GPUS", "none")
    assert instance_type("for-cuda") == "local"


@pytest.mark.parametrize(
    ("gpus", "image", "status", "options", "told"),
    [
        ("all", "for-cpu", 0, "--gpus all --shm-size 1g\n", ""),
        ("none", "for-cuda", 0, "\n", ""),
        ("", "for-cpu", 0, "\n", ""),
        ("two", "for-cpu", 1, "", "gpus is 'two'; it must be one of auto, all, none\n"),
    ],
)
def test_the_scripts_are_given_the_options(
    log: Path, gpus: str, image: str, status: int, options: str, told: str
) -> None:
    command = [sys.executable, "-m", "launch.gpus", image]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"GPUS": gpus}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (status, options, told)


@pytest.mark.parametrize("script", [("train_local.sh", "photos"), ("serve_local.sh", "model")], ids=lambda one: one[0])
def test_the_scripts_refuse_another_choice_and_start_nothing(
    log: Path, tmp_path: Path, script: tuple[str, str]
) -> None:
    (tmp_path / script[1]).mkdir()
    command = [str(ROOT / "local_test" / script[0]), "--plain", str(tmp_path / script[1])]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=os.environ | {"GPUS": "two", "IMAGE": "for-cuda", "OUT": str(tmp_path / "out")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1 and "gpus is 'two'; it must be one of auto, all, none" in done.stderr, done.stderr
    assert not [line for line in log.read_text().splitlines() if line.startswith("run ")]


PULLED = """#!/bin/sh
echo "$@" >> "$DOCKER_LOG"
case "$*" in
  "image inspect here"*) ;;
  "image inspect "*) printf 'a warning\\nError: No such image\\n' >&2; exit 1 ;;
  "pull --quiet there@sha256:"*) ;;
  "pull "*) exit 1 ;;
esac
"""


@pytest.mark.parametrize(
    ("image", "asked", "reason"),
    [
        ("here", ["image inspect here"], None),
        ("here@sha256:01", ["image inspect here@sha256:01"], None),
        ("absent:1", ["image inspect absent:1"], "Error: No such image"),
        ("there@sha256:01", ["image inspect there@sha256:01", "pull --quiet there@sha256:01"], None),
        ("gone@sha256:01", ["image inspect gone@sha256:01", "pull --quiet gone@sha256:01"], "docker gave no reason"),
    ],
)
def test_an_image_that_was_pushed_is_pulled_where_it_is_not_here_and_another_is_refused(
    log: Path, image: str, asked: list[str], reason: str | None
) -> None:
    (log.parent / "bin" / "docker").write_text(PULLED)
    if reason is None:
        check(image)
    else:
        with pytest.raises(ConfigError, match=rf"^image {image} cannot be run \({reason}\); build it with make build"):
            check(image)
    assert log.read_text().splitlines() == asked
