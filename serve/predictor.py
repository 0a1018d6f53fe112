"""The model in a worker: load it, prove that it computes what training saw, and turn photos into answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from classifier import artifact
from classifier.errors import PhotoError
from classifier.images import Pixels, load_pixels


@dataclass(frozen=True)
class Prediction:
    """The most probable classes of one photo, best first."""

    labels: tuple[str, ...]
    probabilities: tuple[float, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the answer's body."""
        pairs = zip(self.labels, self.probabilities, strict=True)
        return {"predictions": [{"label": label, "probability": probability} for label, probability in pairs]}


class Predictor:
    """A loaded and proved model; raises ArtifactError when it cannot be loaded or fails its self-test."""

    def __init__(self, folder: Path, *, top_k: int) -> None:
        self._model, self._spec = artifact.load(folder)
        self._top_k = min(top_k, len(self._spec.classes))
        artifact.run_selftest(folder, self._model)

    def predict(self, bodies: Sequence[bytes]) -> list[Prediction | PhotoError]:
        """Answer each photo with its most probable classes, or with the reason why it is no usable photo."""
        decoded = [self._decode(body) for body in bodies]
        pixels = [item for item in decoded if not isinstance(item, PhotoError)]
        predictions = iter(self._forward(pixels))
        return [item if isinstance(item, PhotoError) else next(predictions) for item in decoded]

    def _decode(self, body: bytes) -> Pixels | PhotoError:
        try:
            return load_pixels(body, self._spec.preprocessing)
        except PhotoError as error:
            return error

    def _forward(self, pixels: list[Pixels]) -> list[Prediction]:
        if not pixels:
            return []
        with torch.inference_mode():
            best = self._model(torch.from_numpy(np.stack(pixels))).softmax(1).topk(self._top_k)
        classes = self._spec.classes
        return [
            Prediction(tuple(classes[index] for index in indices), tuple(values))
            for values, indices in zip(best.values.tolist(), best.indices.tolist(), strict=True)
        ]
