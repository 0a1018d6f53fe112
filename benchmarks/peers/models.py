"""The two models for the other servers: one as in typical notebooks, and ours. Environment variables choose the model and its folder."""

import io
import json
import os
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import nn
from torchvision import transforms as v1

from classifier import artifact
from serve.predictor import Predictor

OURS = "BENCH_OURS" in os.environ


class Eager:
    """A model as in typical notebooks: PIL, torchvision's transforms, an eager float32 network in torch's default memory format.

    It computes on the GPU if there is one.
    """

    def __init__(self) -> None:
        model, spec = artifact.load(Path(os.environ["BENCH_ARTIFACT"]))
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        network = nn.Sequential(model.backbone, model.head).eval().to(self.device)
        self.network: nn.Module = network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        self.classes, size = spec.classes, spec.preprocessing
        sized = [v1.Resize(size.resize), v1.CenterCrop(size.crop)]
        self.transform: Any = v1.Compose([*sized, v1.ToTensor(), v1.Normalize(size.mean, size.std)])

    def decode(self, body: bytes) -> Any:
        return self.transform(Image.open(io.BytesIO(body)).convert("RGB"))

    def probabilities(self, images: Any) -> Any:
        """Return the probabilities of a batch of decoded photos."""
        with torch.no_grad():
            return torch.softmax(self.network(images.to(self.device)), dim=1)

    def answer(self, probabilities: Any) -> str:
        best = probabilities.topk(min(5, len(self.classes)))
        pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        return json.dumps({self.classes[index]: value for index, value in pairs})


class Ours(Predictor):
    """Our decoding and model, in one thread."""

    def __init__(self) -> None:
        super().__init__(Path(os.environ["BENCH_PREPARED"]), threads=1)

    def answer(self, probabilities: Any) -> str:
        best = (-probabilities).argsort()[:5]
        return json.dumps({self.classes[index]: float(probabilities[index]) for index in best})
