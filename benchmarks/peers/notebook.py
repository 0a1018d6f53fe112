"""inference.py as the notebooks write it, for sagemaker-inference's default handler on multi-model-server."""

import io
import os
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor

from benchmarks.peers.eager import Eager


def model_fn(model_dir: str) -> Eager:
    return Eager(Path(os.environ["BENCH_ARTIFACT"]))


def input_fn(body: bytes, content_type: str) -> Any:
    return Image.open(io.BytesIO(body)).convert("RGB")


def predict_fn(image: Any, model: Eager) -> tuple[Eager, Tensor]:
    return model, model.predict(model.transform(image)[None])[0]


def output_fn(prediction: tuple[Eager, Tensor], accept: str) -> str:
    model, probabilities = prediction
    return model.answer(probabilities)
