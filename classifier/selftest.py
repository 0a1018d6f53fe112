"""The self-test: a few photos and the trained model's probabilities for them, to check a model before it serves.

The artifact holds it as selftest.safetensors. Only `probabilities` and `run_selftest` import torch.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from classifier.errors import ArtifactError

if TYPE_CHECKING:
    from torch import Tensor

    from classifier.models import Classifier

SELFTEST = "selftest.safetensors"
# The largest difference of a probability that another processor or library version may cause at float32.
SELFTEST_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Selftest:
    """The pixels of a few photos, uint8 [N, H, W, 3], and the trained model's probabilities for them [N, classes]."""

    pixels: npt.NDArray[np.uint8]
    probabilities: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Difference:
    """The distance between two sets of probabilities: the largest and the mean difference, and the number of different top-1 classes."""

    largest: float
    mean: float
    top1_changes: int


def read_selftest(folder: Path) -> Selftest:
    """Return the self-test beside a model; raises ArtifactError when the file holds anything else."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        stored = load_file(folder / SELFTEST)
    except SafetensorError as error:
        raise ArtifactError(
            f"{folder / SELFTEST} is not a safetensors file ({error}); save the artifact again"
        ) from error
    if stored.keys() != {"pixels", "probabilities"}:
        raise ArtifactError(f"{folder / SELFTEST} holds {sorted(stored)}, not pixels and probabilities; save it again")
    pixels, expected = stored["pixels"], stored["probabilities"]
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or expected.ndim != 2 or not 0 < len(pixels) == len(expected):
        raise ArtifactError(
            f"{folder / SELFTEST} holds pixels {pixels.dtype} {list(pixels.shape)} and probabilities {list(expected.shape)}, "
            "not a few photos and what the model gave them; save the artifact again"
        )
    return Selftest(pixels, expected)


def compare(ours: npt.NDArray[np.float32], expected: npt.NDArray[np.float32]) -> Difference:
    """Return the distance of our probabilities [N, classes] from the expected ones; raises ArtifactError for other shapes."""
    if ours.shape != expected.shape:
        raise ArtifactError(
            f"the self-test holds probabilities {list(expected.shape)}, the model gives {list(ours.shape)}; save it again"
        )
    distance = np.abs(ours - expected)
    changes = int((ours.argmax(axis=1) != expected.argmax(axis=1)).sum())
    return Difference(float(distance.max()), float(distance.mean()), changes)


def check_selftest(
    folder: Path, ours: npt.NDArray[np.float32], selftest: Selftest, tolerance: float = SELFTEST_TOLERANCE
) -> Difference:
    """Check probabilities [N, classes] against the self-test's and return their distance.

    Raises ArtifactError when a top-1 class differs, or a probability differs by more than `tolerance`.
    """
    difference = compare(ours, selftest.probabilities)
    if difference.top1_changes or not difference.largest <= tolerance:
        raise ArtifactError(
            f"the model in {folder} fails its self-test: a probability differs by {difference.largest:.4f} from what training "
            f"saw (at most {tolerance} is allowed); check the library versions in model.json"
        )
    return difference


def run_selftest(folder: Path, model: "Classifier") -> float:
    """Check a loaded model against the self-test in `folder`; returns the largest difference of a probability.

    Raises ArtifactError when a top-1 class differs, or a probability differs by more than SELFTEST_TOLERANCE.
    """
    import torch

    selftest = read_selftest(folder)
    try:
        ours = probabilities(model, torch.from_numpy(selftest.pixels))
    except RuntimeError as error:
        raise ArtifactError(
            f"{folder / SELFTEST} holds no photos for this model ({str(error).splitlines()[0]}); save the artifact again"
        ) from error
    return check_selftest(folder, ours.numpy(), selftest).largest


def probabilities(model: "Classifier", pixels: "Tensor") -> "Tensor":
    """Return float32 probabilities [N, classes] for uint8 pixels [N, H, W, 3], one image at a time as serving does."""
    import torch

    from classifier.side_by_side import side_by_side

    def compute(image: "Tensor") -> "Tensor":
        with torch.inference_mode():
            found: Tensor = model(image[None]).softmax(1)
        return found

    return torch.cat(side_by_side(compute, pixels))
