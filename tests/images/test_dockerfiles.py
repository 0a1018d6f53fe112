"""Rules for the Dockerfiles and the images' locks that can be checked without Docker."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from classifier import __version__
from tests.conftest import ROOT

PROGRAMS, DEVICES = ("train", "serve"), ("cpu", "cuda")


def pins(lock: str) -> dict[str, str]:
    text = (ROOT / "requirements" / f"{lock}.lock").read_text()
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+) \\\n    --hash=sha256:", text, re.MULTILINE))


DOCKERFILE = (ROOT / "docker" / "Dockerfile").read_text()


def test_both_images_are_the_same_layers_down_to_the_packages_that_they_share() -> None:
    shared, _, rest = DOCKERFILE.partition("\nARG BASE_IMAGE")[2].partition("FROM shared AS")
    assert "shared-${DEVICE}.lock" in shared and "PROGRAM" not in shared
    assert all(f"FROM image AS {program}\n" in rest for program in PROGRAMS)


def test_the_base_image_is_named_by_its_digest() -> None:
    assert re.search(r"^ARG BASE_IMAGE=debian:12\.\d+-slim@sha256:[0-9a-f]{64}$", DOCKERFILE, re.MULTILINE)


def test_the_dockerfile_asks_for_no_frontend_that_must_be_pulled() -> None:
    assert "syntax=" not in DOCKERFILE


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("program", PROGRAMS)
def test_each_lock_holds_what_both_images_share_in_the_same_versions(program: str, device: str) -> None:
    own, shared = pins(f"{program}-{device}"), pins(f"shared-{device}")
    assert shared.items() <= own.items()
    assert own["torch"] == ("2.13.0+cpu" if device == "cpu" else "2.13.0")
    assert own["numpy"] == "2.2.6" and int(own["setuptools"].split(".")[0]) < 81


def test_the_locks_of_both_devices_differ_only_in_what_the_device_takes() -> None:
    for program in PROGRAMS:
        cpu, cuda = pins(f"{program}-cpu"), pins(f"{program}-cuda")
        assert {name for name in cpu.keys() & cuda.keys() if cpu[name] != cuda[name]} == {"torch"}
        assert all(name.startswith(("nvidia-", "cuda-")) for name in cuda.keys() - cpu.keys())
        assert {name for name in cpu.keys() - cuda.keys() if not name.startswith("openvino")} == set()


def test_training_and_serving_pin_the_stack_that_works_together() -> None:
    train, serve = pins("train-cpu"), pins("serve-cpu")
    assert (train["sagemaker-training"], train["smdebug"], train["protobuf"]) == ("4.9.0", "1.0.34", "3.20.3")
    assert (serve["multi-model-server"], serve["sagemaker-inference"]) == ("1.1.11", "1.10.1")


def test_the_image_without_torch_holds_the_versions_of_the_serving_image_and_nothing_that_only_torch_needs() -> None:
    own, cpu = pins("serve-openvino"), pins("serve-cpu")
    assert pins("shared-openvino").items() <= own.items() <= cpu.items()
    assert {"torch", "torchvision", "timm", "sympy", "networkx", "huggingface-hub"} <= cpu.keys() - own.keys()


def test_pip_is_in_what_both_images_hold_for_users_who_add_packages() -> None:
    assert pins("shared-cpu")["pip"] == pins("shared-cuda")["pip"]


@pytest.mark.parametrize(
    ("origin", "source", "label"),
    [
        (None, "", None),
        ("git@example.org:me/classifier.git", "", None),
        ("https://me:secret@example.org/me/classifier.git", "", "https://example.org/me/classifier.git"),
        ("https://example.org/me/classifier.git", "https://example.org/fork", "https://example.org/fork"),
    ],
)
def test_a_build_labels_its_image_with_what_is_known_and_nothing_else(
    origin: str | None, source: str, label: str | None, tmp_path: Path
) -> None:
    checkout, programs = tmp_path / "checkout", tmp_path / "bin"
    shutil.copytree(ROOT / "docker", checkout / "docker")
    (checkout / "classifier").mkdir()
    shutil.copy(ROOT / "classifier/__init__.py", checkout / "classifier")
    if origin:
        subprocess.run(["git", "init", "--quiet", checkout], check=True)
        subprocess.run(["git", "-C", checkout, "remote", "add", "origin", origin], check=True)
    programs.mkdir()
    (programs / "docker").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')  # prints the commands for Docker
    (programs / "docker").chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "SOURCE": source,
        "GIT_CEILING_DIRECTORIES": str(tmp_path),
    }
    done = subprocess.run(
        [checkout / "docker/build.sh", "serve", "cuda"], env=environment, capture_output=True, text=True, check=False
    )
    labels = re.findall(r"^org\.opencontainers\.image\.(.*)$", done.stdout, re.MULTILINE)
    known = [f"version={__version__}", *([f"source={label}"] if label else [])]
    assert labels == known, done.stdout + done.stderr


def test_the_build_context_lets_in_only_what_is_used() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == "*" and lines[-1] == "**/__pycache__" and all(line.startswith("!") for line in lines[1:-1])
    assert not [line for line in lines if "tests" in line or ".git" in line]


def test_the_build_context_lets_in_the_packages_as_whole_folders() -> None:
    # Trap: Docker 20.10 ignores files in subfolders if the exception has a wildcard, as in !train/**/*.py.
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert {"!classifier", "!serve", "!train"} <= set(lines)
