"""Which device was found, in one line; and where the NVIDIA driver is older than the CUDA libraries need, what it takes."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

# The oldest driver that runs the libraries of each CUDA version, and the endpoint AMI that brings it (contract of the
# platform's InferenceAmiVersion; CUDA 13 runs on any 13.x driver).
NEEDS = {
    12: (525, "al2-ami-sagemaker-inference-gpu-2"),
    13: (580, "al2023-ami-sagemaker-inference-gpu-4-1"),
}
VERSION_FILE = Path("/proc/driver/nvidia/version")


def found() -> str:
    """Return the line for this process; imports torch."""
    import torch

    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return line(cuda=torch.version.cuda, gpus=gpus, driver=driver_version())


def driver_version(file: Path = VERSION_FILE) -> str | None:
    """Return the version of the NVIDIA driver that the kernel runs, or None without one."""
    try:
        match = re.search(r"Kernel Module.*?\s(\d+(?:\.\d+)+)\s", file.read_text())
    except OSError:
        return None
    return match[1] if match else None


def line(*, cuda: str | None, gpus: Sequence[str], driver: str | None) -> str:
    """Say what the program will run on; `cuda` is the version that torch was built for, None for its CPU build."""
    cpu = f"device: cpu, {len(os.sched_getaffinity(0))} cores"
    if cuda is None:
        return f"{cpu}; NVIDIA driver {driver} is unused, as this is the CPU build of torch" if driver else cpu
    if gpus:
        return f"device: {len(gpus)} x {gpus[0]}, CUDA {cuda}, NVIDIA driver {driver or 'unknown'}"
    if driver is None:
        return f"{cpu}; no NVIDIA driver is here for CUDA {cuda}"
    oldest, ami = NEEDS.get(int(cuda.split(".")[0]), (0, ""))
    if int(driver.split(".")[0]) < oldest:
        return (
            f"{cpu}; NVIDIA driver {driver} is older than CUDA {cuda} needs: it takes driver {oldest} or newer, on an "
            f"endpoint InferenceAmiVersion {ami}, or the CPU image"
        )
    return f"{cpu}; NVIDIA driver {driver} is here but no GPU is visible: start the container with --gpus all"
