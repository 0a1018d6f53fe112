"""A model's own code: `model_fn`, `input_fn`, `predict_fn` and `output_fn`, or `transform_fn`, from the artifact's `code/inference.py`.

It runs only with ALLOW_MODEL_CODE=true, because it may do anything. The functions are called as sagemaker-inference calls them.
A function that the code does not define has that toolkit's default (serve.toolkit); without a model_fn, the defaults are those
of an artifact without code.
"""

import importlib.util
import json
import logging
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from mms.context import Context, RequestProcessor
from mms.metrics.metrics_store import MetricsStore
from multidict import CIMultiDict

from classifier.errors import ArtifactError
from serve import toolkit
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
from serve.functions import functions_of
from serve.memory import out_of_memory
from serve.predictor import Predictor
from serve.program import HOW_TO_ADD, how_to_load
from serve.reasons import long_reason
from serve.toolkit import Unsupported
from serve.worker_api import Answer, WorkerSettings

MAX_HEADERS = 4000  # characters, as JSON, of all headers that an answer sets
_OURS = ("content-type", "content-length", "transfer-encoding", "connection")  # headers that the code must not set
_NO_BODY = (204, 205, 304)  # statuses of answers without a body
SERVER = "1.1.11"  # the version of multi-model-server, which the functions find in the context

log = logging.getLogger("serve")


class ModelCode:
    """An artifact's functions with their model loaded; raises ArtifactError when the program or the model cannot be loaded.

    `gpu` is the number of the GPU that the functions may use; None means the processor.
    """

    def __init__(self, program: Path, settings: WorkerSettings, *, gpu: int | None = None) -> None:
        model_dir = settings.model_dir
        self._program, self._accept, self._top_k = program, settings.accept, settings.top_k
        self._context = Context(model_dir.name, str(model_dir), {}, 1, gpu, SERVER)
        self._own = functions_of(_import(program, settings.code or program.parent), program)
        self._predictor: Predictor | None = None
        if "model_fn" not in self._own and not settings.prepared.is_dir():
            remedy = how_to_load(model_dir) or "add either"
            raise ArtifactError(f"{program} defines no model_fn and {model_dir} holds no model.json; {remedy}")
        self._start("pre_model_fn", str(model_dir))
        if "model_fn" in self._own:
            self._model = self._start("model_fn", str(model_dir))
        else:
            self._model = self._predictor = Predictor(
                settings.prepared, threads=settings.threads, max_pixels=settings.max_pixels
            )
        self._start("model_warmup_fn", str(model_dir), self._model)

    def answer(self, body: bytes, request_id: str, headers: Sequence[tuple[str, str]]) -> Answer:
        """Return the functions' answer to a request; raises their errors."""
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
            prediction = self._predict(self._read(data, content_type))
            has_output = "output_fn" in self._own
            result = self._call("output_fn", prediction, accept) if has_output else self._write(prediction, accept)
        text, kind = (result[0], result[1]) if isinstance(result, tuple) else (result, None)
        status, kind = processor.get_response_status_code(), accept if kind is None else kind
        further = {str(name): str(value) for name, value in processor.get_response_headers().items()}
        further = {name: value for name, value in further.items() if name.lower() not in _OURS}
        if len(json.dumps(further)) > MAX_HEADERS:
            raise ValueError(f"the headers that the code sets have more than {MAX_HEADERS:,} characters")
        _check(status, kind, further)
        return Answer(status, toolkit.to_bytes(text), kind, headers=further)

    def _call(self, name: str, *arguments: Any) -> Any:
        function = self._own[name]
        if toolkit.takes_context(function, len(arguments)):
            arguments = (*arguments, self._context)
        return function(*arguments)

    def _start(self, name: str, *arguments: Any) -> Any:
        """Call one of the functions that load the model, if it is defined; raises ArtifactError that names the function's error."""
        if name not in self._own:
            return None
        try:
            return self._call(name, *arguments)
        except (Exception, SystemExit) as error:
            if out_of_memory(error):
                raise
            log.exception("%s failed", name)
            raise ArtifactError(f"{name} in {self._program} failed ({long_reason(error)})") from error

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

    def _write(self, prediction: Any, accept: str) -> tuple[bytes | str, str]:
        if self._predictor is not None and _are_probabilities(prediction, self._predictor.classes):
            form = accepted(accept)
            if form is None:
                raise Unsupported(
                    406, f"Accept {accept[:100]!r} cannot be satisfied; ask for one of {', '.join(ACCEPTS)}"
                )
            return write_answer(
                Form(json=len(prediction) > 1, accept=form, top_k=None),
                prediction,
                self._predictor.classes,
                self._top_k,
            )
        return toolkit.default_output(prediction, accept)

    def _torch(self) -> Any:
        """Return torch if the model is a torch module, for which the defaults of the toolkit for PyTorch apply; else None."""
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


def _check(status: object, kind: object, headers: Mapping[str, str]) -> None:
    """Raise ValueError if HTTP or the model server cannot carry what the code sets; otherwise the client might get no answer at all."""
    if not isinstance(status, int) or not 200 <= status <= 599 or status in _NO_BODY:
        raise ValueError(
            f"the code sets the status {status!r}; it must be a whole number from 200 to 599, and not 204, 205 or 304, whose "
            "answers have no body"
        )
    if not isinstance(kind, str) or not re.fullmatch(r"[\x20-\x7e]*", kind):
        raise ValueError(
            f"the code returns {kind!r} as its answer's type; return a pair like (answer, 'application/json')"
        )
    for name, value in headers.items():
        if not re.fullmatch(r"[\w!#$%&'*+.^`|~-]+", name, re.ASCII) or re.search(
            r"[\x00-\x1f\x7f\ud800-\udfff]", value
        ):
            raise ValueError(f"the code sets the header {name!r} to {value!r}, which no header may hold")


def _are_probabilities(value: Any, classes: tuple[str, ...]) -> bool:
    return isinstance(value, np.ndarray) and value.ndim == 2 and value.shape[1] == len(classes) and len(value) > 0


def _import(path: Path, folder: Path) -> ModuleType:
    # The program may import the modules beside it, and those in lib, where the SDK puts dependencies.
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
        remedy = f"; {HOW_TO_ADD}" if isinstance(error, ModuleNotFoundError) else ""
        raise ArtifactError(f"{path} cannot be imported ({long_reason(error)}){remedy}") from error
    return module


def _let_go(folder: Path, program: str) -> None:
    """Let the code import its own modules that have the names of our packages; objects already imported from our packages stay in use."""
    for package in ("classifier", "serve"):
        if program == package or (folder / f"{package}.py").is_file() or (folder / package).is_dir():
            for name in [name for name in sys.modules if name.split(".")[0] == package]:
                del sys.modules[name]
