"""The message about an end that a job's processes could not report: a signal, or a full GPU memory."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.conftest import ROOT
from train.gpu_memory import is_full, remedy
from train.processes import killed, lost

# Errors as torch 2.13, cuBLAS, cuDNN and NCCL write them.
FULL = [
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 14.56 GiB of which 1.2 GiB is free.",
    "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported",
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
    "NCCL error in: ProcessGroupNCCL.cpp:1, unhandled cuda error\nLast error:\nCuda failure 'out of memory'",
]
OTHERS = ["CUDA error: an illegal memory access was encountered", "DefaultCPUAllocator: can't allocate memory", ""]


@pytest.mark.parametrize("text", FULL)
def test_a_full_gpu_is_reported_with_what_to_set(text: str) -> None:
    assert remedy(RuntimeError(text)).startswith(
        "the GPU's memory is full: raise accumulate, lower finetune-batch-size, "
    )
    assert text.splitlines()[0] in remedy(torch.OutOfMemoryError(text))


@pytest.mark.parametrize("text", OTHERS)
def test_other_errors_are_not_taken_for_a_full_gpu(text: str) -> None:
    assert not is_full(RuntimeError(text)) and remedy(RuntimeError(text)) == ""


@pytest.mark.parametrize("word", ["Gloo", "NCCL", "Connection closed by peer", "TCPStore"])
def test_an_error_of_the_network_between_processes_means_that_another_is_gone(
    monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    text = f"{word} {'x' * 200}"
    sentence = lost(RuntimeError(f"{text}\nframe 1"))
    assert sentence and sentence.startswith(
        "another process of the job ended or its host is gone: look at the failure text"
    )
    assert sentence.endswith(f"({text[:200]})")
    assert lost(RuntimeError("shapes do not match")) is None
    monkeypatch.delenv("TORCHELASTIC_RUN_ID")
    assert lost(RuntimeError(text)) is None


def test_of_what_a_full_gpu_said_200_signs_of_the_first_line_are_reported() -> None:
    text = f"CUDA out of memory {'x' * 200}"
    assert remedy(RuntimeError(f"{text}\nframe 1")).endswith(f"({text[:200]})")


def test_the_first_process_that_a_signal_ended_is_named_with_what_helps() -> None:
    assert killed({0: 1, 3: -7, 2: -9}).startswith("process 2 of the job was ended by the signal SIGKILL: ")
    assert "memory was full" in killed({2: -9}) and "--shm-size" in killed({1: -7}) and "the log" in killed({0: -6})
    assert "SIGRTMIN" in killed({0: -34}) and "number 99" in killed({0: -99})
    assert killed({0: 1, 1: 143}) == ""


# The program itself, with a GPU whose memory is full when the job begins.
CODE = """
import sys, torch
import train.job
def run(*arguments):
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
train.job.run = run
from train.train import main
sys.exit(main([]))
"""


def test_a_job_that_fills_the_gpu_fails_with_the_remedy_first(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "input" / "config").mkdir(parents=True)
    (tmp_path / "input" / "data").mkdir()
    (tmp_path / "input" / "data" / "training").symlink_to(tiny)
    (tmp_path / "input" / "config" / "hyperparameters.json").write_text(json.dumps({"epochs": "1"}))
    environment = os.environ | {"SAGEMAKER_BASE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-P", "-c", CODE]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 1, done.stderr
    failure = (tmp_path / "output" / "failure").read_text()
    assert failure.startswith("the GPU's memory is full: raise accumulate, ")
    assert "Tried to allocate 2.00 GiB" in failure and "Traceback" in failure
