"""The model in a worker: load it, prove that it computes what training saw, and turn photos into probabilities."""

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from classifier import artifact
from classifier.images import Pixels, load_pixels


class Predictor:
    """A loaded and proved model; raises ArtifactError when it cannot be loaded or fails its self-test."""

    def __init__(self, prepared: Path, *, threads: int) -> None:
        torch.set_num_threads(threads)
        folder = Path(json.loads((prepared / "prepared.json").read_text())["model_dir"])
        self._model, self._spec = artifact.load(folder)
        artifact.run_selftest(folder, self._model)
        self.classes = self._spec.classes

    def decode(self, body: bytes) -> Pixels:
        return load_pixels(body, self._spec.preprocessing)

    def probabilities(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        with torch.inference_mode():
            found: npt.NDArray[np.float32] = self._model(torch.from_numpy(pixels)).softmax(1).numpy()
        return found
