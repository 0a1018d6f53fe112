"""Describe the device that a program runs on in one line; if the NVIDIA driver is too old for CUDA, name the required one."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Need:
    """The oldest driver that runs a CUDA version's libraries, and how an endpoint and a batch transform get that driver."""

    driver: int
    endpoint: str
    transform: str


# By major version of CUDA: a driver runs the libraries of all its minor versions. docs/gpu.md lists all AMIs.
NEEDS = {
    12: Need(
        525,
        "InferenceAmiVersion al2-ami-sagemaker-inference-gpu-2",
        "TransformAmiVersion al2-ami-sagemaker-batch-gpu-535",
    ),
    13: Need(580, "InferenceAmiVersion al2023-ami-sagemaker-inference-gpu-4-1", "no AMI"),
}
VERSION_FILE = Path("/proc/driver/nvidia/version")


def found() -> str:
    """Return the line about this process's device, and never raise; imports torch."""
    import torch

    try:
        gpus = [torch.cuda.get_device_name(index) for index in range(gpu_count())]
        capabilities = [torch.cuda.get_device_capability(index) for index in range(len(gpus))]
        text = line(cuda=torch.version.cuda, gpus=gpus, driver=driver_version())
        return text + lacking(capabilities, torch.cuda.get_arch_list())
    except Exception as error:  # a broken driver may raise any error, and this line is only information
        reason = (str(error).splitlines() or ["no reason given"])[0][:200]
        return f"device: unknown, as the GPU could not be asked ({type(error).__name__}: {reason})"


def gpu_count() -> int:
    """Return how many GPUs torch can use; imports torch.

    Trap: torch.cuda.device_count() alone also counts GPUs that torch cannot use because the driver is too old.
    """
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def gpu_precision() -> str:
    """Return the fastest precision that this process's GPU computes without emulation; imports torch."""
    import torch

    if torch.cuda.is_bf16_supported(including_emulation=False):
        return "bf16"
    # Volta and Turing, such as V100 and T4, have matrix units for fp16; older GPUs are not faster in fp16 than in fp32.
    return "fp16" if torch.cuda.get_device_capability() >= (7, 0) else "fp32"


def driver_version(file: Path = VERSION_FILE) -> str | None:
    """Return the version of the NVIDIA driver in the kernel, or None when there is no driver."""
    try:
        match = re.search(r"Kernel Module.*?\s(\d+(?:\.\d+)+)\s", file.read_text())
    except OSError:
        return None
    return match[1] if match else None


def line(*, cuda: str | None, gpus: Sequence[str], driver: str | None) -> str:
    """Return the line about a device; `cuda` is the version that torch was built for, None for its CPU build."""
    cpu = f"device: cpu, {len(os.sched_getaffinity(0))} cores"
    if cuda is None:
        return f"{cpu}; NVIDIA driver {driver} is unused, as this is the CPU build of torch" if driver else cpu
    if gpus:
        return f"device: {len(gpus)} x {gpus[0]}, CUDA {cuda}, NVIDIA driver {driver or 'unknown'}"
    if driver is None:
        return f"{cpu}; no NVIDIA driver is here for CUDA {cuda}"
    need = NEEDS.get(int(cuda.split(".")[0]))
    if need and int(driver.split(".")[0]) < need.driver:
        return (
            f"{cpu}; NVIDIA driver {driver} is older than CUDA {cuda} needs: it takes driver {need.driver} or newer, which "
            f"{need.endpoint} brings to an endpoint and {need.transform} to batch transform; a training job cannot choose "
            "its driver; the CPU image needs none"
        )
    return f"{cpu}; NVIDIA driver {driver} is here but no GPU is visible: start the container with --gpus all"


def lacking(capabilities: Sequence[tuple[int, int]], architectures: Sequence[str]) -> str:
    """Return a clause about the GPUs that this build of torch has no code for; empty when it has code for all."""
    unfit = sorted({one for one in capabilities if not _runs(one, architectures)})
    if not unfit:
        return ""
    named = ", ".join(f"{major}.{minor}" for major, minor in unfit)
    return (
        f"; this build of torch has no code for compute capability {named}, only {', '.join(architectures)}: use another "
        "instance type or the CPU image"
    )


def _runs(capability: tuple[int, int], architectures: Sequence[str]) -> bool:
    """Return whether a GPU of this compute capability runs one of the architectures, such as sm_80, sm_90a or compute_120."""
    for kind, number, exact in re.findall(r"(sm|compute)_(\d+)([af]?)", " ".join(architectures)):
        built = divmod(int(number), 10)
        if built == capability or (
            not exact and built <= capability and (kind == "compute" or built[0] == capability[0])
        ):
            return True
    return False
