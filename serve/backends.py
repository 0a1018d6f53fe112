"""How inference runs: on OpenVINO or torch, at float32 or bfloat16, on a processor or a GPU.

A backend is written once into a folder, by `python -m serve.prepare`, and opened there by every worker. Opened, it is a
function from uint8 pixels [N, H, W, 3] to logits [N, classes]. Those on OpenVINO need no torch.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from classifier.device import gpu_precision
from classifier.images import Pixels
from serve.memory import out_of_memory

if TYPE_CHECKING:
    from classifier.models import Classifier

Logits = npt.NDArray[np.float32]
Forward = Callable[[Pixels], Logits]


class Unavailable(Exception):
    """Why a backend cannot run on this machine, as a clause."""


@dataclass(frozen=True)
class Backend:
    """A library, the device it runs on, and the precision of its sums' factors."""

    name: str
    library: str
    device: str
    precision: str


# From the fastest down, any GPU before the processor. One photo on one thread of an EPYC with avx512_bf16, milliseconds for
# inception_v3 and tf_efficientnet_lite0: 54 and 5.8, 104 and 9.4, 83 and 15.7, 138 and 19.5
# (python -m benchmarks.serve --part backends).
BACKENDS = {
    backend.name: backend
    for backend in (
        Backend("torch-cuda", "torch", "cuda", "bf16"),
        Backend("torch-cuda-fp16", "torch", "cuda", "fp16"),
        Backend("torch-cuda-fp32", "torch", "cuda", "fp32"),
        Backend("openvino-bf16", "openvino", "cpu", "bf16"),
        Backend("openvino", "openvino", "cpu", "fp32"),
        Backend("torch-bf16", "torch", "cpu", "bf16"),
        Backend("torch", "torch", "cpu", "fp32"),
    )
}
AUTO = "auto"  # the fastest that passes the guard
IR = "model.xml"
_CUDA = ("cuda", "cudnn", "cublas", "cusparse", "cufft", "cusolver")  # how torch's errors of a GPU begin
# Not each error of cuDNN: after one that refuses a shape or a parameter the GPU computes the next request.
_GPU_LOST = ("cuda error", "cuda driver error", "cudnn_status_execution_failed", "cudnn_status_internal_error")
_NAMES = {"bf16": "bfloat16", "fp16": "float16"}
_PRECISIONS = {"bf16": "bf16", "fp32": "f32"}  # what OpenVINO calls them


def candidates() -> list[Backend]:
    """Return the backends to try, the fastest first; those on a GPU only where there is one."""
    return [backend for backend in BACKENDS.values() if backend.device == "cpu" or _has_gpu()]


def check(backend: Backend) -> None:
    """Raise Unavailable where the machine lacks what the backend needs."""
    if backend.device == "cuda":
        if not _has_gpu():
            raise Unavailable("there is no GPU")
        import torch

        if not torch.cuda.is_available():
            raise Unavailable("torch finds no GPU")
        # A GPU that is fast in bfloat16 is so in float16, too.
        if backend.precision != "fp32" and gpu_precision() not in ("bf16", backend.precision):
            raise Unavailable(f"the GPU has no fast {_NAMES[backend.precision]}")
    elif backend.precision == "bf16" and not _flags() & {"avx512_bf16", "amx_bf16"}:
        raise Unavailable("the processor has no bfloat16")
    if backend.library == "openvino":
        try:
            import openvino  # noqa: F401
        except ImportError as error:
            raise Unavailable(f"openvino cannot be imported ({error})") from error


def open_ir(path: Path, precision: str, threads: int) -> Forward:
    """Compile an IR or ONNX file for one photo at a time on `threads` threads."""
    import openvino

    core = openvino.Core()
    model = core.read_model(path)
    _, height, width, channels = model.input(0).get_partial_shape()
    # For a batch of one fixed size it is 10 to 15 % faster than for any size.
    model.reshape([1, height, width, channels])
    compiled = core.compile_model(
        model,
        "CPU",
        {
            "INFERENCE_PRECISION_HINT": _PRECISIONS[precision],
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            # Trap: pinned, the threads of two workers may share a core while another is idle.
            "ENABLE_CPU_PINNING": False,
        },
    )
    request = compiled.create_infer_request()

    def forward(pixels: Pixels) -> Logits:
        return np.concatenate([request.infer(photo[None], share_inputs=True)[0] for photo in pixels])

    return forward


def open_torch(model: "Classifier", backend: Backend, crop: int) -> Forward:
    """Return the torch model as a forward function, on a GPU a copy of it; its photos have `crop` pixels a side."""
    if backend.device != "cpu":
        from serve.gpu import open_gpu

        return open_gpu(model, backend, crop)
    import contextlib

    import torch

    def forward(pixels: Pixels) -> Logits:
        mixed: Any = torch.autocast("cpu", torch.bfloat16) if backend.precision == "bf16" else contextlib.nullcontext()
        with torch.inference_mode(), mixed:
            return np.concatenate([model(torch.from_numpy(photo[None])).float().numpy() for photo in pixels])

    return forward


def write_ir(model: Any, folder: Path) -> None:
    """Write an OpenVINO model as IR into the folder, its weights in float32."""
    import openvino

    # Otherwise it halves the weights' precision.
    openvino.save_model(model, folder / IR, compress_to_fp16=False)


def from_torch(model: "Classifier", crop: int) -> Any:
    """Convert a torch model into an OpenVINO model."""
    import torch
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    pixels = torch.zeros(1, crop, crop, 3, dtype=torch.uint8)
    with torch.no_grad(), warnings.catch_warnings():
        # torch calls its tracer deprecated, and warns of what a trace may miss in a model; the guard looks at what it gives.
        warnings.simplefilter("ignore")
        traced: Any = torch.jit.trace(model, pixels, check_trace=False)  # type: ignore[no-untyped-call]
    # Not openvino.convert_model: it takes twice the time and reports its use over the network.
    frontend = FrontEndManager().load_by_framework("pytorch")
    # Trap: the frontend does not keep the decoder alive, so this name must.
    decoder = TorchScriptPythonDecoder(traced, example_input=(pixels,))
    converted = frontend.convert(frontend.load(decoder))
    converted.reshape([-1, crop, crop, 3])
    return converted


def short_reason(error: BaseException) -> str:
    """Return what a library's error says, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or ["no reason given"]
    # OpenVINO and torch say where in their sources first, and what happened last; of CUDA torch says last how to debug it.
    line = lines[0] if lines[0].lower().startswith(_CUDA) else lines[-1]
    return f"{type(error).__name__}: {line[:200]}"


def long_reason(error: BaseException) -> str:
    """Return what a user's error says, its beginning first, in one line."""
    said = " ".join(str(error).split())[:400]
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def gpu_lost(error: BaseException) -> bool:
    """Return whether an error of torch says that the GPU failed, after which this process may get nothing else from it."""
    said = str(error).lower()
    return not out_of_memory(error) and any(words in said for words in _GPU_LOST)


def _has_gpu() -> bool:
    return Path("/dev/nvidiactl").exists()  # torch, which would know, takes two seconds to import


def _flags() -> set[str]:
    """Return what /proc/cpuinfo says that the processor can do."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    return {flag for line in lines if line.startswith(("flags", "Features")) for flag in line.split()}
