"""The backends of inference: OpenVINO or torch, at float32 or bfloat16, on a processor or a GPU.

`python -m serve.prepare` writes a model's backend into a folder once, and every worker opens it there. An open backend is a function
from uint8 pixels [N, H, W, 3] to logits [N, classes]. The backends on OpenVINO need no torch.
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
AUTO = "auto"  # the name that stands for the fastest backend within the guard
IR = "model.xml"  # the model's file for OpenVINO
# The beginnings of torch's messages about errors of a GPU.
_CUDA = ("cuda", "cudnn", "cublas", "cusparse", "cufft", "cusolver")
# Words in the messages of errors after which the GPU computes nothing more. They leave out errors with which cuDNN refuses a
# shape or a parameter, since the GPU can compute the next request.
_GPU_LOST = ("cuda error", "cuda driver error", "cudnn_status_execution_failed", "cudnn_status_internal_error")
_NAMES = {"bf16": "bfloat16", "fp16": "float16"}
_PRECISIONS = {"bf16": "bf16", "fp32": "f32"}  # OpenVINO's names


def candidates() -> list[Backend]:
    """Return the backends to try, the fastest first, without those on a GPU where there is none."""
    return [backend for backend in BACKENDS.values() if backend.device == "cpu" or _has_gpu()]


def check(backend: Backend) -> None:
    """Raise Unavailable if the machine lacks what the backend needs."""
    if backend.device == "cuda":
        if not _has_gpu():
            raise Unavailable("there is no GPU")
        import torch

        if not torch.cuda.is_available():
            raise Unavailable("torch finds no GPU")
        # A GPU that is fast in bfloat16 is also fast in float16.
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
    # Compiled for a batch of one photo it is 10 to 15 % faster than for batches of any size.
    model.reshape([1, height, width, channels])
    compiled = core.compile_model(
        model,
        "CPU",
        {
            "INFERENCE_PRECISION_HINT": _PRECISIONS[precision],
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            # Trap: if threads are pinned, those of two workers may share a core while another core is idle.
            "ENABLE_CPU_PINNING": False,
        },
    )
    request = compiled.create_infer_request()

    def forward(pixels: Pixels) -> Logits:
        return np.concatenate([request.infer(photo[None], share_inputs=True)[0] for photo in pixels])

    return forward


def open_torch(model: "Classifier", backend: Backend, crop: int) -> Forward:
    """Return the torch model as a forward function for photos of `crop` pixels a side; on a GPU, a copy of the model."""
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

    # By default OpenVINO would write the weights in float16.
    openvino.save_model(model, folder / IR, compress_to_fp16=False)


def from_torch(model: "Classifier", crop: int) -> Any:
    """Convert a torch model into an OpenVINO model."""
    import torch
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    pixels = torch.zeros(1, crop, crop, 3, dtype=torch.uint8)
    with torch.no_grad(), warnings.catch_warnings():
        # torch warns that its tracer is deprecated and that a trace may miss branches of a model; the guard checks the result.
        warnings.simplefilter("ignore")
        traced: Any = torch.jit.trace(model, pixels, check_trace=False)  # type: ignore[no-untyped-call]
    # openvino.convert_model takes twice the time, and reports its use over the network.
    frontend = FrontEndManager().load_by_framework("pytorch")
    # Trap: the frontend keeps no reference to the decoder, which has to live until the conversion ends.
    decoder = TorchScriptPythonDecoder(traced, example_input=(pixels,))
    converted = frontend.convert(frontend.load(decoder))
    converted.reshape([-1, crop, crop, 3])
    return converted


def short_reason(error: BaseException) -> str:
    """Return the line of a library's error message that says what happened, with the error's type."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or ["no reason given"]
    # OpenVINO and torch begin with the place in their sources and end with what happened. Errors of CUDA begin with what happened and
    # end with advice on debugging.
    line = lines[0] if lines[0].lower().startswith(_CUDA) else lines[-1]
    return f"{type(error).__name__}: {line[:200]}"


def long_reason(error: BaseException) -> str:
    """Return the whole message of an error of a user's code in one line, with the error's type."""
    message = " ".join(str(error).split())[:400]
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def gpu_lost(error: BaseException) -> bool:
    """Return whether an error of torch says that the GPU failed, so that this process gets no more results from it."""
    message = str(error).lower()
    return not out_of_memory(error) and any(words in message for words in _GPU_LOST)


def _has_gpu() -> bool:
    return Path("/dev/nvidiactl").exists()  # asking torch would take two seconds for its import


def _flags() -> set[str]:
    """Return the processor's features as /proc/cpuinfo names them."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    return {flag for line in lines if line.startswith(("flags", "Features")) for flag in line.split()}
