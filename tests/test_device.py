"""The line about the device: what was found, and which driver it takes where the one found is too old."""

from pathlib import Path

import torch

from classifier.device import driver_version, found, line


def test_the_line_of_this_machine_names_its_device_and_is_one_line() -> None:
    said = found()
    assert "\n" not in said
    assert said.startswith("device: cpu, ") is not torch.cuda.is_available()


def test_an_old_driver_is_named_with_the_driver_and_the_endpoint_ami_it_takes() -> None:
    said = line(cuda="13.0", gpus=[], driver="535.129.03")
    assert "535.129.03" in said and "driver 580" in said and "al2023-ami-sagemaker-inference-gpu-4-1" in said
    assert "it takes" not in line(cuda="12.4", gpus=[], driver="535.129.03")


def test_a_gpu_is_named_with_cuda_and_driver() -> None:
    said = line(cuda="13.0", gpus=["NVIDIA L4", "NVIDIA L4"], driver="580.65.06")
    assert said == "device: 2 x NVIDIA L4, CUDA 13.0, NVIDIA driver 580.65.06"


def test_a_gpu_that_the_container_cannot_see_is_said() -> None:
    assert "no GPU is visible" in line(cuda="13.0", gpus=[], driver="580.65.06")
    assert "no NVIDIA driver is here" in line(cuda="13.0", gpus=[], driver=None)
    assert "CPU build of torch" in line(cuda=None, gpus=[], driver="580.65.06")


def test_the_drivers_version_is_read_from_both_kinds_of_kernel_module(tmp_path: Path) -> None:
    file = tmp_path / "version"
    file.write_text(
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.129.03  Thu Oct 19 18:56:32 UTC 2023\nGCC version:  gcc 11\n"
    )
    assert driver_version(file) == "535.129.03"
    file.write_text(
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build  (dvs-builder)\n"
    )
    assert driver_version(file) == "580.65.06"
    assert driver_version(tmp_path / "missing") is None
