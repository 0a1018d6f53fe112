"""The model in a worker: open the files of serve.prepare, repeat the self-test, and turn photos into probabilities."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from classifier import artifact
from classifier.backends import BACKENDS, Backend, Forward, ir
from classifier.errors import ArtifactError, short_reason
from classifier.guard import NEAR, Verdict, softmax
from classifier.images import Pixels, load_pixels
from classifier.limits import MAX_PIXELS
from classifier.selftest import Difference, compare, read_selftest
from classifier.spec import ModelSpec

PREPARED = "prepared.json"


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """The result of serve.prepare for an artifact. It is kept as prepared.json beside the files that a worker opens."""

    backend: Backend
    spec: ModelSpec
    artifact: Path  # the artifact's folder, from which a backend on torch loads the weights
    ir: Path | None  # the file that a backend on OpenVINO opens
    difference: Difference  # the difference of the backend's probabilities from the trained model's, on the self-test
    verdict: Verdict | None  # the comparison on the guard's photos; None without such photos
    refused: dict[str, str]  # the backends that were tried before, each with the reason why it is not used

    def write(self, folder: Path) -> None:
        """Write prepared.json into the folder."""
        document = {
            "backend": self.backend.name,
            "precision": self.backend.precision,
            "model": self.spec.to_json(),
            "artifact": str(self.artifact),
            "ir": self.ir and str(self.ir),
            "difference": vars(self.difference),
            "verdict": self.verdict and vars(self.verdict),
            "refused": self.refused,
        }
        temporary = folder / f".{PREPARED}"
        temporary.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n")
        temporary.replace(folder / PREPARED)

    @classmethod
    def read(cls, folder: Path) -> "Prepared":
        """Return the object that `write` wrote into the folder."""
        document = json.loads((folder / PREPARED).read_text())
        return cls(
            backend=BACKENDS[document["backend"]],
            spec=ModelSpec.from_json(document["model"]),
            artifact=Path(document["artifact"]),
            ir=Path(document["ir"]) if document["ir"] else None,
            difference=Difference(**document["difference"]),
            verdict=Verdict(**document["verdict"]) if document["verdict"] else None,
            refused=document["refused"],
        )


class Predictor:
    """The prepared model in `folder`, on `threads` threads, for photos of up to `max_pixels` pixels.

    Raises ArtifactError when the model cannot be opened, or computes other answers to the self-test than serve.prepare did.
    """

    def __init__(self, folder: Path, *, threads: int, max_pixels: int = MAX_PIXELS) -> None:
        prepared = Prepared.read(folder)
        self.backend = prepared.backend
        self.classes = prepared.spec.classes
        self._preprocessing, self._max_pixels = prepared.spec.preprocessing, max_pixels
        self._forward = _open(prepared, threads)
        selftest = read_selftest(folder)
        # Best classes are not compared: two equally likely classes may change places with the number of threads.
        difference = compare(self.probabilities(selftest.pixels), selftest.probabilities)
        if not difference.largest <= NEAR:
            raise ArtifactError(
                f"a worker on {self.backend.name} fails the self-test: a probability differs by {difference.largest:.4f} from what "
                f"the preparation saw (at most {NEAR} is allowed); start the server again, or choose another backend"
            )
        self.probe: Pixels = selftest.pixels[0]  # a photo that shows whether the model still computes

    def decode(self, body: bytes) -> Pixels:
        """Return a photo's pixels, uint8 [H, W, 3]; raises PhotoError when the body is not a usable photo."""
        return load_pixels(body, self._preprocessing, max_pixels=self._max_pixels)

    def probabilities(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Return the probabilities [N, classes] of photos' pixels [N, H, W, 3]."""
        return softmax(self._forward(pixels))

    def free(self) -> None:
        """Give back the GPU memory that torch keeps for later passes."""
        torch = sys.modules.get("torch")
        if torch:
            torch.cuda.empty_cache()  # does nothing if no GPU is in use


def _open(prepared: Prepared, threads: int) -> Forward:
    backend = prepared.backend
    try:
        if prepared.ir:
            return ir.open_ir(prepared.ir, backend.precision, threads)
        import torch

        from classifier.backends import eager

        torch.set_num_threads(threads)
        model, spec = artifact.load(prepared.artifact)
        crop = spec.preprocessing.crop
        forward = eager.open_torch(model, backend, crop)
        if backend.device == "cuda":
            from classifier.backends.gpu import warm

            warm(forward, crop)
        return forward
    except Exception as error:
        raise ArtifactError(
            f"a worker cannot open the model on {backend.name} ({short_reason(error)}); choose another backend"
        ) from error
