"""The artifact: weights, description and self-test, and optionally the guard's photos, an OpenVINO model and an ONNX model.

Nothing is pickled. `check` reads the artifact without torch; `save` and `load` import torch.
"""

import functools
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from classifier.backends.ir import IR_FILES
from classifier.errors import ArtifactError
from classifier.guard_photos import GUARD, GuardPhotos
from classifier.selftest import SELFTEST, probabilities
from classifier.spec import FORMAT_VERSION, OLDEST_VERSION, Measured, ModelSpec

if TYPE_CHECKING:
    from torch import Tensor

    from classifier.models import Classifier

WEIGHTS, ONNX, SPEC = "model.safetensors", "model.onnx", "model.json"
_OPTIONAL = (ONNX, GUARD, *IR_FILES)  # the files besides weights and self-test


@dataclass(frozen=True, kw_only=True)
class Extras:
    """The parts that an artifact may lack.

    `ir` is a folder with the model as OpenVINO IR; `onnx` says whether the model is exported to ONNX.
    """

    guard: GuardPhotos | None = None
    measured: Measured | None = None
    ir: Path | None = None
    onnx: bool = False


@dataclass(frozen=True)
class Contents:
    """The content of model.json.

    `training` says how the model was trained: hyperparameters, metrics, library versions. `files` has the checksum and
    the length of each other file. `measured` is None in artifacts of version 1, and if training did not record it.
    """

    spec: ModelSpec
    training: Mapping[str, Any]
    files: Mapping[str, Any]
    measured: Measured | None = None


def save(
    folder: Path,
    model: "Classifier",
    spec: ModelSpec,
    selftest: "Tensor",
    training: Mapping[str, Any],
    extras: Extras = Extras(),
) -> None:
    """Write the artifact into `folder`. model.json is written last, so an artifact that has it is complete.

    `selftest` is the pixels of a few photos, uint8 [N, H, W, 3]; the model's probabilities for them are stored with them.
    """
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    for name in (SPEC, *_OPTIONAL):  # left there by an earlier model
        (folder / name).unlink(missing_ok=True)
    state = {key: value.contiguous() for key, value in model.state_dict().items()}
    _replace(folder / WEIGHTS, lambda path: save_file(state, path))
    outputs = {"pixels": selftest.contiguous(), "probabilities": probabilities(model, selftest)}
    _replace(folder / SELFTEST, lambda path: save_file(outputs, path))
    names = [WEIGHTS, SELFTEST]
    if extras.guard:
        _replace(folder / GUARD, extras.guard.write)
        names.append(GUARD)
    if extras.ir:
        for name in IR_FILES:
            _replace(folder / name, functools.partial(shutil.copyfile, extras.ir / name))
        names += IR_FILES
    if extras.onnx:
        _replace(folder / ONNX, lambda path: _export_onnx(model, selftest, path))
        names.append(ONNX)
    document = {
        "format_version": FORMAT_VERSION,
        "model": spec.to_json(),
        "measured": extras.measured and extras.measured.to_json(),
        "training": training,
        "files": {name: _fingerprint(folder / name) for name in names},
    }
    text = json.dumps(document, indent=2, allow_nan=False)
    _replace(folder / SPEC, lambda path: path.write_text(text + "\n"))


def check(folder: Path) -> Contents:
    """Check every file's checksum and return the content of model.json; imports no torch.

    Raises ArtifactError for a missing or damaged file, a link, an unknown format version and a missing or unknown key.
    """
    document = _read_document(folder / SPEC)
    version = document.get("format_version")
    if version not in range(OLDEST_VERSION, FORMAT_VERSION + 1):
        raise ArtifactError(
            f"{folder / SPEC} has format version {version!r}, this program reads versions {OLDEST_VERSION} to "
            f"{FORMAT_VERSION}; use the version of this program that wrote it"
        )
    for key in ("model", "training", "files"):
        if not isinstance(document.get(key), dict):
            raise ArtifactError(f"{folder / SPEC} lacks the object {key!r}; save the artifact again")
    files = document["files"]
    for name in sorted({WEIGHTS, SELFTEST} | files.keys()):
        if name not in (WEIGHTS, SELFTEST, *_OPTIONAL) or name not in files:
            raise ArtifactError(f"{folder / SPEC} names the files {sorted(files)}; expected {WEIGHTS} and {SELFTEST}")
        _require_file(folder / name, "copy the whole artifact, as model.tar.gz holds it")
        if _fingerprint(folder / name) != files[name]:
            raise ArtifactError(f"{folder / name} does not match its checksum in {SPEC}; it is damaged, copy it again")
    measured = document.get("measured")
    return Contents(
        spec=ModelSpec.from_json(document["model"]),
        training=document["training"],
        files=files,
        measured=None if measured is None else Measured.from_json(measured),
    )


def load(folder: Path) -> tuple["Classifier", ModelSpec]:
    """Return the model in eval mode and its spec. The self-test is not run: that is `selftest.run_selftest`.

    Raises ArtifactError as `check` does, and when the weights do not fit the spec.
    """
    spec = check(folder).spec  # checked before torch is imported, so that a bad artifact is refused at once
    from classifier.models import build

    model, weights = build(spec), _tensors(folder / WEIGHTS)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise ArtifactError(
            f"{folder / WEIGHTS} does not fit {spec.backbone} as {SPEC} describes it: {' '.join(str(error).split())}"
        ) from error
    return model, spec


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
    """Return the tensors of a safetensors file; raises ArtifactError for any other format, such as a pickle by that name."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise ArtifactError(f"{path} is not a safetensors file ({error}); save the artifact again") from error


def _require_file(path: Path, remedy: str) -> None:
    # A link could lead to any file that the server may read, and reading a pipe would wait forever.
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


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    """Call `write` with a temporary path and rename that to `path`, so that no reader sees half a file."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(temporary)
        temporary.chmod(0o644)  # safetensors lets only the owner read its file, but another user may serve it
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
