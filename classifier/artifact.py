"""The artifact: model.safetensors, model.json and selftest.safetensors, optionally model.onnx; no pickle anywhere.

`check` reads and verifies it without torch; `save` and `load` import torch.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from classifier.errors import ArtifactError
from classifier.spec import FORMAT_VERSION, ModelSpec

if TYPE_CHECKING:
    from torch import Tensor

    from classifier.models import Classifier

WEIGHTS, SELFTEST, ONNX, SPEC = "model.safetensors", "selftest.safetensors", "model.onnx", "model.json"
# The largest difference of a probability that another processor or library version may make at float32.
SELFTEST_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Contents:
    """What model.json says: the spec, and how the model was trained (hyperparameters, metrics, library versions)."""

    spec: ModelSpec
    training: Mapping[str, Any]
    files: Mapping[str, Any]


def save(
    folder: Path,
    model: "Classifier",
    spec: ModelSpec,
    selftest: "Tensor",
    training: Mapping[str, Any],
    *,
    onnx: bool = False,
) -> None:
    """Write the artifact into `folder`; model.json comes last, so that its presence means that all is there.

    `selftest` are a few preprocessed inputs, uint8 [N, H, W, 3]; the model's outputs for them are kept beside them.
    """
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    (folder / SPEC).unlink(missing_ok=True)
    (folder / ONNX).unlink(missing_ok=True)
    state = {key: value.contiguous() for key, value in model.state_dict().items()}
    _replace(folder / WEIGHTS, lambda path: save_file(state, path))
    outputs = {"pixels": selftest.contiguous(), "probabilities": probabilities(model, selftest)}
    _replace(folder / SELFTEST, lambda path: save_file(outputs, path))
    names = [WEIGHTS, SELFTEST]
    if onnx:
        _replace(folder / ONNX, lambda path: _export_onnx(model, selftest, path))
        names.append(ONNX)
    document = {
        "format_version": FORMAT_VERSION,
        "model": spec.to_json(),
        "training": training,
        "files": {name: _fingerprint(folder / name) for name in names},
    }
    text = json.dumps(document, indent=2, allow_nan=False)
    _replace(folder / SPEC, lambda path: path.write_text(text + "\n"))


def check(folder: Path) -> Contents:
    """Read model.json and verify every file's checksum, without torch.

    Raises ArtifactError for a missing or damaged file, a link, an unknown format version and a missing or unknown key.
    """
    document = _read_document(folder / SPEC)
    version = document.get("format_version")
    if version != FORMAT_VERSION:
        raise ArtifactError(
            f"{folder / SPEC} has format version {version!r}, this program reads version {FORMAT_VERSION}; "
            "use the version of this program that wrote it"
        )
    for key in ("model", "training", "files"):
        if not isinstance(document.get(key), dict):
            raise ArtifactError(f"{folder / SPEC} lacks the object {key!r}; save the artifact again")
    files = document["files"]
    for name in sorted({WEIGHTS, SELFTEST} | files.keys()):
        if name not in (WEIGHTS, SELFTEST, ONNX) or name not in files:
            raise ArtifactError(f"{folder / SPEC} names the files {sorted(files)}; expected {WEIGHTS} and {SELFTEST}")
        _require_file(folder / name, "copy the whole artifact, as model.tar.gz holds it")
        if _fingerprint(folder / name) != files[name]:
            raise ArtifactError(f"{folder / name} does not match its checksum in {SPEC}; it is damaged, copy it again")
    return Contents(ModelSpec.from_json(document["model"]), document["training"], files)


def load(folder: Path) -> tuple["Classifier", ModelSpec]:
    """Return the verified model in eval mode and its spec; raises ArtifactError as `check` does, or when weights do not fit."""
    spec = check(folder).spec  # before torch is imported: a bad artifact is refused at once
    from classifier.models import build

    model, weights = build(spec), _tensors(folder / WEIGHTS)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise ArtifactError(
            f"{folder / WEIGHTS} does not fit {spec.backbone} as {SPEC} describes it: {' '.join(str(error).split())}"
        ) from error
    return model, spec


@dataclass(frozen=True)
class Selftest:
    """A few photos' pixels, uint8 [N, H, W, 3], and the probabilities [N, classes] that the trained model gave them."""

    pixels: npt.NDArray[np.uint8]
    probabilities: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Difference:
    """How far probabilities are from others: of all the largest and the mean, and how many best classes changed."""

    largest: float
    mean: float
    top1_changes: int


def read_selftest(folder: Path) -> Selftest:
    """Return the self-test beside a model, without torch; raises ArtifactError when it holds something else."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        stored = load_file(folder / SELFTEST)
    except SafetensorError as error:
        raise ArtifactError(f"{folder / SELFTEST} is no safetensors file ({error}); save the artifact again") from error
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
    """Return how far our probabilities [N, classes] are from the expected ones; raises ArtifactError for other shapes."""
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
    """Prove that the probabilities are the trained model's; returns how far they are.

    Raises ArtifactError when a top-1 differs or a probability differs by more than `tolerance`.
    """
    difference = compare(ours, selftest.probabilities)
    if difference.top1_changes or not difference.largest <= tolerance:
        raise ArtifactError(
            f"the model in {folder} fails its self-test: a probability differs by {difference.largest:.4f} from what training "
            f"saw (at most {tolerance} is allowed); check the library versions in {SPEC}"
        )
    return difference


def run_selftest(folder: Path, model: "Classifier") -> float:
    """Prove that the model computes what the trained one did; returns the largest difference of a probability.

    Raises ArtifactError when a top-1 differs or a probability differs by more than SELFTEST_TOLERANCE.
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

    with torch.inference_mode():
        return torch.cat([model(image[None]).softmax(1) for image in pixels])


def _export_onnx(model: "Classifier", selftest: "Tensor", path: Path) -> None:
    import torch

    torch.onnx.export(
        model,
        (selftest[:2],),
        str(path),
        input_names=["pixels"],
        output_names=["logits"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        external_data=False,
        verbose=False,
    )


def _tensors(path: Path) -> "dict[str, Tensor]":
    """Read the one format that holds numbers alone; raises ArtifactError for any other, as for a pickle of that name."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise ArtifactError(f"{path} is no safetensors file ({error}); save the artifact again") from error


def _require_file(path: Path, remedy: str) -> None:
    # A link could name any file that the server may read; a pipe would keep it waiting.
    if path.is_symlink():
        raise ArtifactError(f"{path} is a link; an artifact holds the files themselves")
    if not path.is_file():
        raise ArtifactError(f"{path} is missing; {remedy}")


def _read_document(path: Path) -> dict[str, Any]:
    _require_file(path, "give the folder that training wrote as its model")
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactError(f"{path} cannot be read as JSON ({error}); copy the artifact again") from error
    if not isinstance(document, dict):
        raise ArtifactError(f"{path} must hold a JSON object; copy the artifact again")
    return document


def _fingerprint(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {"sha256": hashlib.file_digest(file, "sha256").hexdigest(), "bytes": path.stat().st_size}


def _replace(path: Path, write: Any) -> None:
    """Write beside the target and rename, so that a reader never sees half a file."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(temporary)
        temporary.chmod(0o644)  # safetensors makes its files for their owner alone; who serves may be somebody else
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
