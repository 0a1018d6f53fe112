"""The model in a worker: open what serve.prepare wrote, check it once more, and turn photos into probabilities."""

import json
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from classifier import artifact
from classifier.errors import ArtifactError
from classifier.images import Pixels, load_pixels
from classifier.limits import MAX_PIXELS
from classifier.selftest import check_selftest, read_selftest
from classifier.spec import ModelSpec
from serve import backends
from serve.backends import BACKENDS, Forward, Logits

PREPARED = "prepared.json"
# The largest difference of a probability from the trained model's that a backend may make on the self-test.
GUARD = 0.01


class Predictor:
    """A prepared model on `threads` threads, for photos of up to `max_pixels` pixels.

    Raises ArtifactError when the model cannot be opened or fails its self-test.
    """

    def __init__(self, prepared: Path, *, threads: int, max_pixels: int = MAX_PIXELS) -> None:
        document = json.loads((prepared / PREPARED).read_text())
        spec = ModelSpec.from_json(document["model"])
        self.backend = BACKENDS[document["backend"]]
        self.classes = spec.classes
        self._preprocessing, self._max_pixels = spec.preprocessing, max_pixels
        self._forward = _open(prepared, document, threads)
        selftest = read_selftest(prepared)
        check_selftest(prepared, self.probabilities(selftest.pixels), selftest, GUARD)
        self.probe: Pixels = selftest.pixels[0]  # a photo that shows whether the model still computes

    def decode(self, body: bytes) -> Pixels:
        """Return a photo's pixels, uint8 [H, W, 3]; raises PhotoError when the body is no usable photo."""
        return load_pixels(body, self._preprocessing, max_pixels=self._max_pixels)

    def probabilities(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Return the probabilities [N, classes] of photos' pixels [N, H, W, 3]."""
        return softmax(self._forward(pixels))

    def free(self) -> None:
        """Give back the memory of a GPU that torch keeps for later passes."""
        torch = sys.modules.get("torch")
        if torch:
            torch.cuda.empty_cache()  # which does nothing where no GPU is in use


def prepared_device(prepared: Path) -> str:
    """Return the device of the backend that serve.prepare chose."""
    return BACKENDS[json.loads((prepared / PREPARED).read_text())["backend"]].device


def softmax(logits: Logits) -> npt.NDArray[np.float32]:
    """Return the probabilities of logits [N, classes]."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: npt.NDArray[np.float32] = powers / powers.sum(axis=1, keepdims=True)
    return probabilities


def _open(prepared: Path, document: dict[str, str], threads: int) -> Forward:
    backend = BACKENDS[document["backend"]]
    try:
        if backend.library == "openvino":
            return backends.open_ir(prepared / backends.IR, backend.precision, threads)
        import torch

        torch.set_num_threads(threads)
        model, spec = artifact.load(Path(document["artifact"]))
        crop = spec.preprocessing.crop
        forward = backends.open_torch(model, backend, crop)
        if backend.device == "cuda":
            from serve.gpu import warm

            warm(forward, crop)
        return forward
    except Exception as error:
        raise ArtifactError(
            f"a worker cannot open the model on {backend.name} ({backends.told(error)}); choose another backend"
        ) from error
