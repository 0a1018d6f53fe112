"""Models for OpenVINO: converted from torch, written in OpenVINO's own format (IR), and compiled. Opening one needs no torch."""

import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from classifier.backends import Forward, Logits
from classifier.images import Pixels

if TYPE_CHECKING:
    from classifier.models import Classifier

IR = "openvino_model.xml"  # the model's file for OpenVINO
IR_FILES = (IR, "openvino_model.bin")  # the description, and the weights
# Photos that a lane computes together. With 1, 2, 4 and 8 of them, in bf16 on two lanes, a photo took 3.3, 2.8, 2.7 and 3.2 ms of processor
# time for tf_efficientnet_lite0, and 27.4, 26.8, 26.9 and 26.7 ms for inception_v3.
BATCH = 4
_PRECISIONS = {"bf16": "bf16", "fp32": "f32"}  # OpenVINO's names


def open_ir(path: Path, precision: str, threads: int) -> Forward:
    """Compile an IR or ONNX file for one photo at a time on `threads` threads."""
    import openvino

    request = _compiled(openvino.Core().read_model(path), precision, threads, streams=1, batch=1).create_infer_request()

    def forward(pixels: Pixels) -> Logits:
        return np.concatenate([request.infer(photo[None], share_inputs=True)[0] for photo in pixels])

    return forward


def open_lanes(model: Any, precision: str, lanes: int) -> Forward:
    """Compile an OpenVINO model for `lanes` threads that call it side by side, each on one core of its own."""
    # One model with a stream for each lane is as fast as a model for each lane, and holds the weights once.
    compiled = _compiled(model, precision, threads=lanes, streams=lanes, batch=BATCH)
    lane = threading.local()

    def forward(pixels: Pixels) -> Logits:
        if not hasattr(lane, "request"):
            lane.request = compiled.create_infer_request()
        missing = -len(pixels) % BATCH
        full = np.concatenate([pixels, np.zeros((missing, *pixels.shape[1:]), np.uint8)]) if missing else pixels
        parts = [full[start : start + BATCH] for start in range(0, len(full), BATCH)]
        return np.concatenate([lane.request.infer(part, share_inputs=True)[0] for part in parts])[: len(pixels)]

    return forward


def _compiled(model: Any, precision: str, threads: int, streams: int, batch: int) -> Any:
    """Compile an OpenVINO model for batches of one size."""
    import openvino

    _, height, width, channels = model.input(0).get_partial_shape()
    # Compiled for a batch of one photo it is 10 to 15 % faster than for batches of any size.
    model.reshape([batch, height, width, channels])
    return openvino.Core().compile_model(
        model,
        "CPU",
        {
            "INFERENCE_PRECISION_HINT": _PRECISIONS[precision],
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": streams,
            # Trap: if threads are pinned, those of two workers may share a core while another core is idle.
            "ENABLE_CPU_PINNING": False,
        },
    )


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

    from classifier.side_by_side import side_by_side

    pixels = torch.zeros(1, crop, crop, 3, dtype=torch.uint8)

    def trace(pixels: torch.Tensor) -> Any:
        with torch.no_grad():
            return torch.jit.trace(model, pixels, check_trace=False)  # type: ignore[no-untyped-call]

    with warnings.catch_warnings():
        # torch warns that its tracer is deprecated and that a trace may miss branches of a model; the guard checks the result.
        warnings.simplefilter("ignore")
        (traced,) = side_by_side(trace, [pixels])
    # openvino.convert_model takes twice the time, and reports its use over the network.
    frontend = FrontEndManager().load_by_framework("pytorch")
    # Trap: the frontend keeps no reference to the decoder, which has to live until the conversion ends.
    decoder = TorchScriptPythonDecoder(traced, example_input=(pixels,))
    converted = frontend.convert(frontend.load(decoder))
    converted.reshape([-1, crop, crop, 3])
    return converted
