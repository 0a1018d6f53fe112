"""The same code/inference.py gets the same requests from sagemaker-inference's own Transformer and from ours: the answers are
equal, with a few exceptions. These differ on purpose: a pickle is not read; a traceback is never sent; a client's mistake is
4xx, where the toolkit says 500; media types are compared without parameters and case. The toolkit is in the serving image and
in .venv-stock (make test-stock).
"""

import base64
import importlib.util
import io
import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serve.model_code import ModelCode
from serve.worker import CodeWorker
from serve.worker_api import Answer, WorkerRequest
from tests.conftest import ROOT
from tests.standin import worker_settings

STOCK = (
    Path(sys.executable) if importlib.util.find_spec("sagemaker_inference") else ROOT / ".venv-stock" / "bin" / "python"
)
TOOLKIT = pytest.mark.skipif(
    not STOCK.exists(), reason="sagemaker-inference is not installed; make test-stock makes .venv-stock"
)

PROGRAMS = {
    "defaults": "def model_fn(d): return 'm'\ndef predict_fn(x, m): return x",
    "contexts": """
def model_fn(model_dir, context): return context.system_properties['gpu_id']
def input_fn(body, content_type, context): return [content_type, context.get_request_header(0, 'Content-Type')]
def predict_fn(data, model, context): return {'model': model, 'data': data, 'id': context.get_request_id(0)}
def output_fn(prediction, accept, context): return prediction
""",
    "kinds": """
def model_fn(d): return 0
def input_fn(b, t): return 'text' if isinstance(b, str) else 'bytes'
def predict_fn(x, m): return x
""",
    "four": """
import json
def model_fn(model_dir): return 2
def input_fn(body, content_type): return json.loads(body)
def predict_fn(data, model): return [model * value for value in data]
def output_fn(prediction, accept): return json.dumps(prediction), accept
""",
    "tuple": "def model_fn(d): return 0\ndef predict_fn(x, m): return x\ndef output_fn(p, a): return b'\\x00\\xff', 'image/x-mask'",
    "lists": "def model_fn(d): return 0\ndef input_fn(b, t): return b\ndef predict_fn(x, m): return [[0.5, 1], [2, 3]]",
    "dicts": """
import numpy
def model_fn(d): return 0
def input_fn(b, t): return b
def predict_fn(x, m): return {'probability': numpy.float32(0.5), 'row': numpy.arange(3)}
""",
    "text": "def model_fn(d): return 0\ndef input_fn(b, t): return b\ndef predict_fn(x, m): return 'a, \"b\"'",
    "number": "def model_fn(d): return 0\ndef input_fn(b, t): return b\ndef predict_fn(x, m): return 3",
    "raw": "def model_fn(d): return 0\ndef input_fn(b, t): return b\ndef predict_fn(x, m): return b'abc'",
    "written": """
def model_fn(d): return 0
def input_fn(b, t): return b
def predict_fn(x, m): return x
def output_fn(p, a): return ['a', {'b': None}]
""",
    "nothing": "def model_fn(d): return 0\ndef input_fn(b, t): return b\ndef predict_fn(x, m): return None",
    "transform": """
def model_fn(d): return 'm'
def transform_fn(m, body, content_type, accept): return [m, isinstance(body, str), content_type, accept]
""",
    "transform5": """
def model_fn(d): return 'm'
def transform_fn(m, body, content_type, accept, context):
    context.set_response_header(0, 'X-Amzn-SageMaker-Custom-Attributes', 'seen')
    return str(context.get_request_header(0, 'X-Amzn-SageMaker-Custom-Attributes')), 'text/plain'
""",
    "warm": """
calls = []
def pre_model_fn(model_dir): calls.append('pre')
def model_fn(model_dir): calls.append('model'); return calls
def model_warmup_fn(model_dir, model): model.append('warm')
def input_fn(b, t): return b
def predict_fn(x, m): return m
""",
    "no_predict": "def model_fn(d): return 0\ndef input_fn(b, t): return b",
    "raises": "def model_fn(d): return 0\ndef input_fn(b, t): raise ValueError('no such thing')",
    "teapot": """
try:
    from sagemaker_inference.errors import GenericInferenceToolkitError
except ImportError:
    GenericInferenceToolkitError = None
def model_fn(d): return 0
def input_fn(b, t): raise GenericInferenceToolkitError(418, 'only tea here')
""",
    "own_error": """
try:
    from sagemaker_inference.errors import BaseInferenceToolkitError
except ImportError:
    BaseInferenceToolkitError = Exception
class Wrong(BaseInferenceToolkitError): pass
def model_fn(d): return 0
def predict_fn(x, m): raise Wrong(422, 'three channels are needed', 'Unprocessable')
""",
}


def npy(value: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, value)
    return stream.getvalue()


# These formats need packages that some interpreters with the toolkit do not have.
PROGRAMS_IN_THE_IMAGE = {
    "tensor": """
import torch
def model_fn(d): return torch.nn.Linear(2, 2)
def input_fn(b, t): return torch.ones(3, 2)
def predict_fn(x, m):
    with torch.no_grad(): return torch.round(m(x) * 0 + 0.5, decimals=1)
""",
    "nested": """
import torch
def model_fn(d): return 0
def input_fn(b, t): return b
def predict_fn(x, m): return {'best': torch.tensor(3), 'rows': [torch.arange(2)]}
""",
}
if Path(sys.executable) == STOCK:
    PROGRAMS |= PROGRAMS_IN_THE_IMAGE

BODIES = [
    ("application/json", b"[1, 2, 3]"),
    ("application/json", b'{"a": [1]}'),
    ("application/json", b"nonsense"),
    ("application/json; charset=utf-8", b"[1, 2]"),
    ("text/csv", b"1,2\n3,4.5\n"),
    ("text/csv", "caf\u00e9,1\n".encode()),
    ("text/csv", b"\xff\xfe"),
    ("application/x-npy", npy(np.arange(4).reshape(2, 2))),
    ("application/x-npy", npy(np.array([0.1, 0.2], np.float32))),
    ("application/x-npy", npy(np.array([{"a": 1}]))),
    ("application/x-npy", pickle.dumps([1, 2])),
    ("image/jpeg", b"\xff\xd8\xff"),
    ("IMAGE/PNG", b"x"),
    ("application/octet-stream", b"x"),
    (None, b"[1]"),
]
ACCEPTS = ["application/json", "text/csv", "application/x-npy", "*/*", None, "text/html, text/csv", "image/png"]
CASES: list[dict[str, Any]] = [
    {"program": program, "content_type": kind, "accept": accept, "body": body}
    for program in PROGRAMS
    for kind, body in BODIES
    for accept in ACCEPTS
]


def headers(case: dict[str, Any]) -> list[tuple[str, str]]:
    found = [("Content-Type", case["content_type"]), ("Accept", case["accept"])]
    return [(name, value) for name, value in found if value is not None] + [
        ("X-Amzn-SageMaker-Custom-Attributes", "a=1")
    ]


def written(folder: Path) -> Path:
    for name, text in PROGRAMS.items():
        (folder / f"program_{name}.py").write_text(text)
    return folder


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The toolkit's answers to all cases."""
    folder = written(tmp_path_factory.mktemp("stock"))
    asked = [
        {
            "program": f"program_{case['program']}",
            "folder": str(folder),
            "headers": headers(case),
            "body": base64.b64encode(case["body"]).decode(),
        }
        for case in CASES
    ]
    command = [str(STOCK), str(ROOT / "tests" / "code" / "stock_transformer.py")]
    done = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    found: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return found


def ours(folder: Path, program: str) -> CodeWorker:
    return CodeWorker(ModelCode(folder / f"program_{program}.py", worker_settings(folder, code=folder)))


def agree(case: dict[str, Any], theirs: dict[str, Any], found: Answer) -> bool:
    text = base64.b64decode(theirs["body"])
    if theirs["status"] == 200:
        same = found.text == text or _json(found.text) == _json(text) is not None
        return found.status == 200 and found.content_type == theirs["type"] and same
    # The toolkit's own errors carry their status and message; all others are 500 there, with a traceback.
    if theirs["status"] not in (500, 503):
        return found.refused and found.status == theirs["status"] and found.text == text.splitlines()[0]
    return found.refused and found.status >= 400 and b"Traceback" not in found.text


def _json(text: bytes) -> Any:
    try:
        return ["JSON", json.loads(text)]
    except ValueError:
        return None


def improved(case: dict[str, Any], theirs: dict[str, Any], found: Answer) -> bool:
    """Return whether an answer differs from the toolkit's on purpose."""
    pickled = case["body"][:6] != b"\x93NUMPY" or b"'|O'" in case["body"]
    if case["content_type"] == "application/x-npy" and pickled and found.status == 400:
        return True
    # The toolkit refuses types with parameters; we ignore the parameters.
    if ";" in (case["content_type"] or "") and b"is not supported" in base64.b64decode(theirs["body"]):
        return theirs["status"] == 500 and found.status == 200
    # We pass JSON to the code as text even if the type has parameters.
    if case["program"] in ("kinds", "transform") and case["content_type"] == "application/json; charset=utf-8":
        return theirs["status"] == found.status == 200
    return _pickled_answer(theirs, found)


def _pickled_answer(theirs: dict[str, Any], found: Answer) -> bool:
    text = base64.b64decode(theirs["body"])
    return theirs["type"] == "application/x-npy" and b"'|O'" in text[:100] and found.status == 500


@TOOLKIT
@pytest.mark.filterwarnings("ignore:genfromtxt:UserWarning")
@pytest.mark.parametrize("program", PROGRAMS)
def test_answers_are_the_toolkits_own(stock: list[dict[str, Any]], tmp_path: Path, program: str) -> None:
    if program in ("teapot", "own_error") and not importlib.util.find_spec("sagemaker_inference"):
        pytest.skip("the code imports the toolkit's errors, which are in the serving image")
    worker = ours(written(tmp_path), program)
    compared = 0
    for case, theirs in zip(CASES, stock, strict=True):
        if case["program"] == program:
            [found] = worker.answers([case["body"]], [WorkerRequest(id="an-id", headers=tuple(headers(case)))])
            assert agree(case, theirs, found) or improved(case, theirs, found), (case, theirs, found)
            compared += 1
    assert compared == len(BODIES) * len(ACCEPTS)
