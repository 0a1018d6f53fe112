"""TorchServe's image classifier with one of the two models of peers/models.py. TorchServe uses the first class of this file."""

import sys
import types
from typing import Any

import numpy as np
import torch

# TorchServe's handlers import captum for explanations, which are not used here. captum requires an older numpy, so this stub replaces it.
sys.modules["captum"] = sys.modules["captum.attr"] = types.ModuleType("captum.attr")
sys.modules["captum.attr"].IntegratedGradients = None  # type: ignore[attr-defined]

from ts.torch_handler.image_classifier import ImageClassifier  # type: ignore[import-not-found, unused-ignore]  # noqa: E402

from benchmarks.peers import models  # noqa: E402

eager = models.Eager()
ours = models.Ours() if models.OURS else None


class Handler(ImageClassifier):  # type: ignore[misc]
    """TorchServe's documented handler with the transforms of the network, or the same handler with our decoding and model."""

    image_processing = eager.transform
    topk = min(5, len(eager.classes))

    def initialize(self, context: Any) -> None:
        self.device, self.model, self.mapping, self.initialized = torch.device("cpu"), eager.network, None, True

    def preprocess(self, data: Any) -> Any:
        if not ours:
            return super().preprocess(data)
        return np.stack([ours.decode(bytes(row.get("data") or row.get("body"))) for row in data])

    def inference(self, data: Any, *args: Any, **kwargs: Any) -> Any:
        if not ours:
            return super().inference(data, *args, **kwargs)
        return torch.from_numpy(ours.probabilities(data)).log()
