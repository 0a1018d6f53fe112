"""inference.py as in typical notebooks, for sagemaker-inference's default handler on multi-model-server."""

from typing import Any

from benchmarks.peers.models import Eager


def model_fn(model_dir: str) -> Eager:
    return Eager()


def input_fn(body: bytes, content_type: str) -> bytes:
    return body


def predict_fn(body: bytes, model: Eager) -> tuple[Eager, Any]:
    return model, model.probabilities(model.decode(body)[None])[0]


def output_fn(prediction: tuple[Eager, Any], accept: str) -> str:
    model, probabilities = prediction
    return model.answer(probabilities)
