"""The line that names the device, and the required driver if the installed one is too old."""

from pathlib import Path

import pytest
import torch

from classifier.device import driver_version, found, gpu_count, lacking, line

# The architectures for which torch 2.13's wheel for CUDA 13 was built.
BUILT = ["sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120", "compute_120"]


def test_the_line_of_this_machine_names_its_device_and_is_one_line() -> None:
    said = found()
    assert "\n" not in said
    assert said.startswith("device: cpu, ") is not torch.cuda.is_available()


def test_an_old_driver_is_named_with_the_driver_and_the_endpoint_ami_it_takes() -> None:
    said = line(cuda="13.0", gpus=[], driver="535.129.03")
    assert "535.129.03" in said and "driver 580" in said and "al2023-ami-sagemaker-inference-gpu-4-1" in said
    assert "no AMI to batch transform" in said and "training job cannot choose" in said and "CPU image" in said
    assert "it takes" not in line(cuda="12.4", gpus=[], driver="535.129.03")
    assert "al2-ami-sagemaker-batch-gpu-535 to batch transform" in line(cuda="12.4", gpus=[], driver="470.57.02")


def test_a_gpu_that_the_driver_counts_and_cuda_cannot_use_is_neither_counted_nor_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # With a driver that is too old, NVML counts one GPU, CUDA counts 0, and get_device_name raises an error.
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "_is_compiled", lambda: True)
    monkeypatch.setattr(torch.cuda, "_raw_device_count_nvml", lambda: 1)
    monkeypatch.setattr(torch._C, "_cuda_getDeviceCount", lambda: 0, raising=False)
    monkeypatch.setattr(torch._C, "_cuda_getArchFlags", lambda: "sm_75", raising=False)
    assert torch.cuda.device_count() == 1
    assert gpu_count() == 0
    assert found().startswith("device: cpu, ")


def test_a_gpu_that_cannot_be_asked_ends_no_program(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(index: int) -> str:
        raise RuntimeError(said)

    said = "CUDA error: unknown error\nCompile with TORCH_USE_CUDA_DSA"

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", fail)
    assert found() == "device: unknown, as the GPU could not be asked (RuntimeError: CUDA error: unknown error)"
    said = "x" * 201
    assert found() == f"device: unknown, as the GPU could not be asked (RuntimeError: {'x' * 200})"
    said = ""
    assert found() == "device: unknown, as the GPU could not be asked (RuntimeError: no reason given)"


@pytest.mark.parametrize("capability", [(7, 5), (8, 0), (8, 9), (9, 0), (12, 1), (13, 0)])
def test_a_gpu_that_the_build_has_code_for_is_fit(capability: tuple[int, int]) -> None:
    assert lacking([capability], BUILT) == ""


@pytest.mark.parametrize("capability", [(3, 7), (6, 0), (7, 0), (11, 0)])
def test_a_gpu_that_the_build_has_no_code_for_is_said_with_its_compute_capability(capability: tuple[int, int]) -> None:
    said = lacking([(9, 0), capability], BUILT)
    assert said.startswith(
        f"; this build of torch has no code for compute capability {capability[0]}.{capability[1]}, "
    )
    assert "sm_75" in said and "CPU image" in said and "9.0" not in said


def test_code_for_one_architecture_alone_runs_nowhere_else() -> None:
    assert lacking([(9, 0)], ["sm_90a"]) == "" and lacking([(9, 1)], ["sm_90a"])


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
