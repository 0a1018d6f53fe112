"""TorchServe's image classifier: its own preprocessing, forward pass and answer, around an artifact's network."""

import os
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import torch

# Its handlers import captum, for explanations that nobody asks for here; captum in turn asks for an older numpy.
sys.modules["captum"] = sys.modules["captum.attr"] = types.ModuleType("captum.attr")
sys.modules["captum.attr"].IntegratedGradients = None  # type: ignore[attr-defined]

from benchmarks.peers.eager import Eager  # noqa: E402
from serve.predictor import Predictor  # noqa: E402

eager = Eager(Path(os.environ["BENCH_ARTIFACT"]))

from ts.torch_handler.image_classifier import ImageClassifier  # type: ignore[import-not-found, unused-ignore]  # noqa: E402


class Documented(ImageClassifier):  # type: ignore[misc]
    """As documented, with the transforms that the network was trained with."""

    image_processing = eager.transform
    topk = min(5, len(eager.classes))

    def initialize(self, context: Any) -> None:
        self.device, self.model, self.mapping, self.initialized = torch.device("cpu"), eager.network, None, True


class Ours(Documented):
    """With our decode and model."""

    def initialize(self, context: Any) -> None:
        super().initialize(context)
        self.predictor = Predictor(Path(os.environ["BENCH_PREPARED"]), threads=1)

    def preprocess(self, data: Any) -> Any:
        return np.stack([self.predictor.decode(bytes(row.get("data") or row.get("body"))) for row in data])

    def inference(self, data: Any, *args: Any, **kwargs: Any) -> Any:
        return torch.from_numpy(self.predictor.probabilities(data)).log()
