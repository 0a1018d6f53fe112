"""The original style: `model_fn`, `input_fn`, `predict_fn` and `output_fn` (or `transform_fn`) from `code/inference.py` in the artifact.

Only with ALLOW_MODEL_CODE=true, since it runs whatever the artifact holds. What it does not define is done as without it.
"""

import importlib.util
import inspect
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from classifier.errors import ArtifactError
from serve.formats import ACCEPTS, PHOTO_TYPES, Form, RequestError, accepted, read_instances, write_answer
from serve.predictor import Predictor

NAMES = ("model_fn", "input_fn", "predict_fn", "output_fn", "transform_fn")


class ModelCode:
    """An artifact's functions with a model loaded; raises ArtifactError when there is no program or no model."""

    def __init__(self, model_dir: Path, prepared: Path, settings: dict[str, Any]) -> None:
        module = _import(model_dir / "code" / _program())
        self._own: dict[str, Callable[..., Any]] = {name: getattr(module, name, None) or _none for name in NAMES}
        self._predictor: Predictor | None = None
        self._top_k: int = settings["top_k"]
        if self._has("model_fn"):
            self._model = self._call("model_fn", str(model_dir))
        else:
            if not prepared.is_dir():
                raise ArtifactError(
                    f"{model_dir}/code defines no model_fn and {model_dir} holds no model.json; add either"
                )
            self._model = self._predictor = Predictor(prepared, threads=settings["threads"])

    def answer(self, body: bytes, content_type: str, accept: str) -> tuple[bytes | str, str]:
        """Return an answer's text and content type; raises what the functions raise."""
        if self._has("transform_fn"):
            result = self._call("transform_fn", self._model, body, content_type, accept)
        else:
            data = (
                self._call("input_fn", body, content_type) if self._has("input_fn") else self._read(body, content_type)
            )
            found = self._call("predict_fn", data, self._model) if self._has("predict_fn") else self._predict(data)
            result = self._call("output_fn", found, accept) if self._has("output_fn") else self._write(found, accept)
        text, kind = result if isinstance(result, tuple) else (result, accept)
        return (bytes(text) if isinstance(text, bytes | bytearray | memoryview) else str(text)), str(kind)

    def _has(self, name: str) -> bool:
        return self._own[name] is not _none

    def _call(self, name: str, *arguments: Any) -> Any:
        # Each may take the toolkit's trailing context, of which there is none here.
        function = self._own[name]
        count = len(inspect.signature(function).parameters)
        return function(*arguments, *[None] * max(0, count - len(arguments)))

    def _read(self, body: bytes, content_type: str) -> Any:
        kind = content_type.partition(";")[0].strip().lower()
        if kind not in (*PHOTO_TYPES, "application/json", ""):
            raise RequestError(f"Content-Type {content_type!r} is not supported; send one of {', '.join(PHOTO_TYPES)}")
        if self._predictor is None:
            raise RequestError("the artifact's code defines model_fn, so it must define input_fn too")
        bodies = read_instances(body) if kind == "application/json" else [body]
        return np.stack([self._predictor.decode(photo) for photo in bodies])

    def _predict(self, data: Any) -> Any:
        if self._predictor is None:
            raise RequestError("the artifact's code defines model_fn, so it must define predict_fn too")
        return self._predictor.probabilities(data)

    def _write(self, found: Any, accept: str) -> tuple[str, str]:
        form = accepted(accept or ACCEPTS[0])
        if form is None or self._predictor is None:
            raise RequestError(f"Accept {accept!r} takes an output_fn in the artifact's code")
        return write_answer(
            Form(json=len(found) > 1, accept=form, top_k=None), found, self._predictor.classes, self._top_k
        )


def _none(*arguments: Any) -> None:
    """Stand for a function that the code does not define."""


def _program() -> str:
    name = os.environ.get("SAGEMAKER_PROGRAM", "inference.py")
    return name if name.endswith(".py") else f"{name}.py"


def _import(path: Path) -> ModuleType:
    if not path.is_file():
        raise ArtifactError(f"{path} is missing; name the program in SAGEMAKER_PROGRAM or call it inference.py")
    sys.path.insert(0, str(path.parent))  # it may import its neighbours
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ArtifactError(f"{path} cannot be imported ({type(error).__name__}: {str(error)[:200]})") from error
    return module
