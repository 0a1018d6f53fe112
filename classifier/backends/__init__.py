"""The backends of inference: OpenVINO or torch, at float32 or bfloat16, on a processor or a GPU.

An open backend is a function from uint8 pixels [N, H, W, 3] to logits [N, classes], or to features [N, D] if the model has no head.
`ir` opens the backends on OpenVINO, which need no torch. `eager` opens the backends on torch, and `gpu` those on torch and a GPU.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from classifier.device import gpu_precision
from classifier.images import Pixels

Logits = npt.NDArray[np.float32]
Forward = Callable[[Pixels], Logits]


class Unavailable(Exception):
    """This machine cannot run a backend; the message is a clause that says why."""


@dataclass(frozen=True, kw_only=True)
class Backend:
    """A way to compute a model: a library, a device, and the precision in which it multiplies."""

    name: str
    library: str
    device: str
    precision: str


# The fastest first, with those on a GPU before all others. The last four took, for one photo on one thread of an EPYC with
# avx512_bf16, in milliseconds for inception_v3 and tf_efficientnet_lite0: 54 and 5.8, 104 and 9.4, 83 and 15.7, 138 and 19.5
# (python -m benchmarks.serve --part backends).
BACKENDS = {
    backend.name: backend
    for backend in (
        Backend(name="torch-cuda", library="torch", device="cuda", precision="bf16"),
        Backend(name="torch-cuda-fp16", library="torch", device="cuda", precision="fp16"),
        Backend(name="torch-cuda-fp32", library="torch", device="cuda", precision="fp32"),
        Backend(name="openvino-bf16", library="openvino", device="cpu", precision="bf16"),
        Backend(name="openvino", library="openvino", device="cpu", precision="fp32"),
        Backend(name="torch-bf16", library="torch", device="cpu", precision="bf16"),
        Backend(name="torch", library="torch", device="cpu", precision="fp32"),
    )
}
# auto: the fastest backend within the guard; exact: the fastest at float32 within the guard.
AUTO, EXACT = "auto", "exact"
CHOICES = (AUTO, EXACT, *BACKENDS)
_NAMES = {"bf16": "bfloat16", "fp16": "float16"}


def named(library: str, device: str, precision: str) -> Backend:
    """Return the backend of a library on a device at a precision; the three together must be one of BACKENDS."""
    sought = (library, device, precision)
    return next(one for one in BACKENDS.values() if (one.library, one.device, one.precision) == sought)


def candidates(choice: str = AUTO) -> list[Backend]:
    """Return the backends to try for one of CHOICES, the fastest first; without a GPU, auto and exact leave out those on a GPU."""
    if choice in BACKENDS:
        return [BACKENDS[choice]]
    found = [backend for backend in BACKENDS.values() if backend.device == "cpu" or _has_gpu()]
    return [backend for backend in found if choice == AUTO or backend.precision == "fp32"]


def check(backend: Backend) -> None:
    """Raise Unavailable if the machine lacks what the backend needs."""
    if backend.device == "cuda" and not _has_gpu():
        raise Unavailable("there is no GPU")
    if backend.device == "cpu" and backend.precision == "bf16" and not _flags() & {"avx512_bf16", "amx_bf16"}:
        raise Unavailable("the processor has no bfloat16")
    try:
        importlib.import_module(backend.library)
    except ImportError as error:
        raise Unavailable(f"{backend.library} cannot be imported ({error})") from error
    if backend.device == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise Unavailable("torch finds no GPU")
        # A GPU that is fast in bfloat16 is also fast in float16.
        if backend.precision != "fp32" and gpu_precision() not in ("bf16", backend.precision):
            raise Unavailable(f"the GPU has no fast {_NAMES[backend.precision]}")


def _has_gpu() -> bool:
    return Path("/dev/nvidiactl").exists()  # asking torch would take two seconds for its import


def _flags() -> set[str]:
    """Return the processor's features as /proc/cpuinfo names them."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    return {flag for line in lines if line.startswith(("flags", "Features")) for flag in line.split()}
