"""Which device was found, in one line; and where the NVIDIA driver is older than the CUDA libraries need, what it takes."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Need:
    """The oldest driver that runs a CUDA version's libraries, and what brings it to an endpoint and to batch transform."""

    driver: int
    endpoint: str
    transform: str


# docs/gpu.md has all AMIs. A driver runs the libraries of every minor version of its CUDA version.
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
    """Return the line for this process, whatever happens; imports torch."""
    import torch

    try:
        gpus = [torch.cuda.get_device_name(index) for index in range(gpu_count())]
        capabilities = [torch.cuda.get_device_capability(index) for index in range(len(gpus))]
        said = line(cuda=torch.version.cuda, gpus=gpus, driver=driver_version())
        return said + lacking(capabilities, torch.cuda.get_arch_list())
    except Exception as error:  # a broken driver raises what it likes, and this is only information
        reason = (str(error).splitlines() or ["no reason given"])[0][:200]
        return f"device: unknown, as the GPU could not be asked ({type(error).__name__}: {reason})"


def gpu_count() -> int:
    """Return how many GPUs torch can use; imports torch.

    Trap: torch.cuda.device_count() asks the driver, which also counts GPUs that its CUDA is too old to use.
    """
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def gpu_precision() -> str:
    """Return the precision that this process's GPU computes fastest without emulation; imports torch."""
    import torch

    if torch.cuda.is_bf16_supported(including_emulation=False):
        return "bf16"
    # Volta and Turing, such as V100 and T4, multiply matrices in fp16; older GPUs are no faster in it than in fp32.
    return "fp16" if torch.cuda.get_device_capability() >= (7, 0) else "fp32"


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
    need = NEEDS.get(int(cuda.split(".")[0]))
    if need and int(driver.split(".")[0]) < need.driver:
        return (
            f"{cpu}; NVIDIA driver {driver} is older than CUDA {cuda} needs: it takes driver {need.driver} or newer, which "
            f"{need.endpoint} brings to an endpoint and {need.transform} to batch transform; a training job cannot choose "
            "its driver; the CPU image needs none"
        )
    return f"{cpu}; NVIDIA driver {driver} is here but no GPU is visible: start the container with --gpus all"


def lacking(capabilities: Sequence[tuple[int, int]], architectures: Sequence[str]) -> str:
    """Return the clause on GPUs that this build of torch has no code for, empty where it has code for all."""
    unfit = sorted({one for one in capabilities if not _runs(one, architectures)})
    if not unfit:
        return ""
    named = ", ".join(f"{major}.{minor}" for major, minor in unfit)
    return (
        f"; this build of torch has no code for compute capability {named}, only {', '.join(architectures)}: use another "
        "instance type or the CPU image"
    )


def _runs(capability: tuple[int, int], architectures: Sequence[str]) -> bool:
    """Return whether one of a build's architectures, such as sm_80, sm_90a or compute_120, runs on a compute capability."""
    for kind, number, exact in re.findall(r"(sm|compute)_(\d+)([af]?)", " ".join(architectures)):
        built = divmod(int(number), 10)
        if built == capability or (
            not exact and built <= capability and (kind == "compute" or built[0] == capability[0])
        ):
            return True
    return False
