"""The original style: `model_fn`, `input_fn`, `predict_fn` and `output_fn` (or `transform_fn`) from `code/inference.py` in the artifact.

Only with ALLOW_MODEL_CODE=true, since it runs whatever the artifact holds. Functions are called as sagemaker-inference calls
them (serve.toolkit), and what is not defined is done as it does; without a model_fn, as for an artifact without code.
"""

import importlib.util
import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from mms.context import Context, RequestProcessor
from mms.metrics.metrics_store import MetricsStore
from multidict import CIMultiDict

from classifier.errors import ArtifactError
from serve import toolkit
from serve.backends import in_one_line, out_of_memory
from serve.formats import (
    ACCEPTS,
    JSON_TYPES,
    PHOTO_TYPES,
    Form,
    accepted,
    is_photo_type,
    media_type,
    read_instances,
    write_answer,
)
from serve.predictor import Predictor
from serve.program import how_to_load
from serve.toolkit import Unsupported

# The functions that the code may define, and how many arguments each takes before the context.
ARGUMENTS = {
    "pre_model_fn": 1,
    "model_fn": 1,
    "model_warmup_fn": 2,
    "transform_fn": 4,
    "input_fn": 2,
    "predict_fn": 2,
    "output_fn": 2,
}
MAX_HEADERS = 4000  # characters of those that an answer sets, as JSON; they travel in one header
_OURS = ("content-type", "content-length", "transfer-encoding", "connection")
SERVER = "1.1.11"  # of multi-model-server, as its own context says it
Reply = tuple[int, bytes, str, dict[str, str]]

log = logging.getLogger("serve")


class ModelCode:
    """An artifact's functions with a model loaded; raises ArtifactError when there is no program or no model."""

    def __init__(self, model_dir: Path, prepared: Path, settings: dict[str, Any], *, gpu: int | None = None) -> None:
        self._program = Path(settings["program"])
        self._context = Context(model_dir.name, str(model_dir), {}, 1, gpu, SERVER)
        self._accept, self._top_k = str(settings["accept"]), int(settings["top_k"])
        self._own = self._functions(_import(self._program, Path(settings["code"])))
        self._predictor: Predictor | None = None
        if "model_fn" not in self._own and not prepared.is_dir():
            told = how_to_load(model_dir) or "add either"
            raise ArtifactError(f"{self._program} defines no model_fn and {model_dir} holds no model.json; {told}")
        self._start("pre_model_fn", str(model_dir))
        if "model_fn" in self._own:
            self._model = self._start("model_fn", str(model_dir))
        else:
            self._model = self._predictor = Predictor(
                prepared, threads=settings["threads"], max_pixels=settings["max_pixels"]
            )
        self._start("model_warmup_fn", str(model_dir), self._model)

    def answer(self, body: bytes, request_id: str, headers: list[tuple[str, str]]) -> Reply:
        """Return status, text, content type and further headers of an answer; raises what the functions raise."""
        sent = CIMultiDict(headers)
        processor = RequestProcessor(sent)
        self._context.request_processor, self._context.request_ids = [processor], {0: request_id}
        self._context.metrics = MetricsStore(self._context.request_ids, self._context.model_name)
        content_type, accept = sent.get("Content-Type"), sent.get("Accept", "")
        accept = self._accept if accept.strip() in ("", "*/*") else accept
        data = toolkit.read_text(body, content_type)
        if "transform_fn" in self._own:
            result = self._call("transform_fn", self._model, data, content_type, accept)
        else:
            found = self._predict(self._read(data, content_type))
            result = self._call("output_fn", found, accept) if "output_fn" in self._own else self._write(found, accept)
        text, kind = (result[0], result[1]) if isinstance(result, tuple) else (result, accept)
        further = {str(name): str(value) for name, value in processor.get_response_headers().items()}
        further = {name: value for name, value in further.items() if name.lower() not in _OURS}
        if len(json.dumps(further)) > MAX_HEADERS:
            raise ValueError(f"the headers that the code sets have more than {MAX_HEADERS:,} characters")
        return processor.get_response_status_code(), toolkit.to_bytes(text), str(kind), further

    def _functions(self, module: ModuleType) -> dict[str, Callable[..., Any]]:
        own = {name: function for name in ARGUMENTS if (function := getattr(module, name, None))}
        others = own.keys() & {"input_fn", "predict_fn", "output_fn"}
        if "transform_fn" in own and others:
            raise ArtifactError(
                f"{self._program} defines transform_fn beside {', '.join(sorted(others))}, which it would replace; remove one or the other"
            )
        for name, function in own.items():
            try:
                toolkit.takes_context(function, ARGUMENTS[name])
            except (TypeError, ValueError) as error:
                raise ArtifactError(f"{name} in {self._program} cannot be called: {error}") from error
        return own

    def _call(self, name: str, *arguments: Any) -> Any:
        function = self._own[name]
        if toolkit.takes_context(function, len(arguments)):
            arguments = (*arguments, self._context)
        return function(*arguments)

    def _start(self, name: str, *arguments: Any) -> Any:
        """Call a function that loads, where it is defined; raises ArtifactError with what it raised."""
        if name not in self._own:
            return None
        try:
            return self._call(name, *arguments)
        except (Exception, SystemExit) as error:
            if out_of_memory(error):
                raise
            log.exception("%s failed", name)
            raise ArtifactError(f"{name} in {self._program} failed ({in_one_line(error)})") from error

    def _read(self, data: bytes | str, content_type: str | None) -> Any:
        if "input_fn" in self._own:
            return self._call("input_fn", data, content_type)
        if self._predictor is None:
            return self._on_device(toolkit.default_input(data, content_type), content_type)
        kind = media_type(content_type)
        if kind in JSON_TYPES:
            photos = read_instances(data if isinstance(data, bytes) else data.encode())
        elif not kind or is_photo_type(kind):
            photos = [data if isinstance(data, bytes) else data.encode()]
        else:
            raise Unsupported(
                415, f"Content-Type {content_type!r} is not supported; send one of {', '.join(PHOTO_TYPES)}"
            )
        return np.stack([self._predictor.decode(photo) for photo in photos])

    def _predict(self, data: Any) -> Any:
        if "predict_fn" in self._own:
            return self._call("predict_fn", data, self._model)
        if self._predictor is not None:
            return self._predictor.probabilities(data)
        torch = self._torch()
        if torch is None:
            raise NotImplementedError(f"{self._program} defines no predict_fn, and its model is not a torch module")
        with torch.no_grad():
            return self._model.to(self._device()).eval()(data)

    def _write(self, found: Any, accept: str) -> tuple[bytes | str, str]:
        if self._predictor is not None and _are_probabilities(found, self._predictor.classes):
            form = accepted(accept)
            if form is None:
                raise Unsupported(
                    406, f"Accept {accept[:100]!r} cannot be satisfied; ask for one of {', '.join(ACCEPTS)}"
                )
            return write_answer(
                Form(json=len(found) > 1, accept=form, top_k=None), found, self._predictor.classes, self._top_k
            )
        return toolkit.default_output(found, accept)

    def _torch(self) -> Any:
        """Return torch where the model is one of its modules, whose defaults are those of the toolkit for PyTorch."""
        torch = sys.modules.get("torch")
        return torch if torch is not None and isinstance(self._model, torch.nn.Module) else None

    def _on_device(self, array: Any, content_type: str | None) -> Any:
        torch = self._torch()
        if torch is None:
            return array
        text = media_type(content_type) in toolkit.UTF8_TYPES
        return (torch.FloatTensor(array) if text else torch.from_numpy(array)).to(self._device())

    def _device(self) -> str:
        return "cpu" if self._context.system_properties["gpu_id"] is None else "cuda:0"


def _are_probabilities(found: Any, classes: tuple[str, ...]) -> bool:
    return isinstance(found, np.ndarray) and found.ndim == 2 and found.shape[1] == len(classes) and len(found) > 0


def _import(path: Path, folder: Path) -> ModuleType:
    # It may import its neighbours, and what lies in lib, where the SDK puts dependencies.
    for place in dict.fromkeys((folder / "lib", folder, path.parent)):
        if place.is_dir():
            sys.path.insert(0, str(place))
    _let_go(folder, path.stem)
    toolkit.forbid_pickles()
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        log.exception("%s cannot be imported", path)
        raise ArtifactError(f"{path} cannot be imported ({in_one_line(error)})") from error
    return module


def _let_go(folder: Path, program: str) -> None:
    """Leave the names of our own packages to the code's modules of the same name; what is imported here stays in use."""
    for package in ("classifier", "serve"):
        if program == package or (folder / f"{package}.py").is_file() or (folder / package).is_dir():
            for name in [name for name in sys.modules if name.split(".")[0] == package]:
                del sys.modules[name]
