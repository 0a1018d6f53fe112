"""An artifact's functions, called in this process: their arguments, and the defaults for functions that it does not define."""

import json
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from classifier.errors import ArtifactError, PhotoError
from serve.model_code import ModelCode, _let_go
from serve.predictor import Predictor
from serve.toolkit import Unsupported
from serve.worker import CodeWorker
from serve.worker_api import Answer, WorkerRequest
from tests.image_files import noise
from tests.server import instances
from tests.standin import worker_settings

Make = Callable[..., ModelCode]
JPEG = [("Content-Type", "image/jpeg")]


@pytest.fixture
def prepared(small: Path) -> Path:
    return small / "prepared"


@pytest.fixture
def photo() -> bytes:
    return noise(0)


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Return a function that loads code; afterwards undo the changes of loading to this process."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    folder = tmp_path / "model" / "code"
    folder.mkdir(parents=True)

    def made(text: str, prepared: Path = tmp_path / "absent", gpu: int | None = None, **changes: Any) -> ModelCode:
        (folder / "own_code.py").write_text(text)
        settings = worker_settings(tmp_path / "model", "own_code.py", prepared=prepared, top_k=2, **changes)
        return ModelCode(folder / "own_code.py", settings, gpu=gpu)

    yield made
    sys.modules.pop("own_code", None)


ASKED = """
def model_fn(model_dir): return model_dir
def transform_fn(model, body, content_type, accept): return [model, str(body), content_type, accept]
"""


def test_a_transform_function_gets_the_model_the_body_and_both_types(make: Make, tmp_path: Path) -> None:
    code, folder = make(ASKED), str(tmp_path / "model")
    for accept in ([], [("Accept", "*/*")], [("accept", " ")]):
        answer = code.answer(b"[1]", "7", [("content-type", "application/json"), *accept])
        assert json.loads(answer.text) == [folder, "[1]", "application/json", "application/json"]
        assert (answer.status, answer.content_type, answer.headers) == (200, "application/json", {})
    answer = code.answer(b"a", "7", [("Accept", "a/b")])
    assert json.loads(answer.text) == [folder, "b'a'", None, "a/b"] and answer.content_type == "a/b"


HEADERS = """
def model_fn(d): return 0
def transform_fn(m, body, t, a, context):
    for name in ("X-Own", "Content-Type", "content-LENGTH", "Connection", "Transfer-Encoding"):
        context.set_response_header(0, name, body.decode())
    return "", "text/x"
"""


def test_headers_that_the_code_sets_are_sent_but_for_those_of_the_connection(make: Make) -> None:
    code = make(HEADERS)
    assert code.answer(b"1", "7", []).headers == {"X-Own": "1"}
    longest = 4000 - len('{"X-Own": ""}')
    assert len(code.answer(b"x" * longest, "7", []).headers["X-Own"]) == longest
    with pytest.raises(ValueError, match=r"^the headers that the code sets have more than 4,000 characters$"):
        code.answer(b"x" * (longest + 1), "7", [])


def test_each_function_has_the_next_ones_input_and_a_tuple_says_its_own_type(make: Make) -> None:
    code = make("""
log = []
def pre_model_fn(model_dir): log.append("pre")
def model_fn(model_dir): log.append("load"); return "model"
def model_warmup_fn(model_dir, model): log.append("warm " + model)
def input_fn(body, content_type): return ["in", str(body), content_type]
def predict_fn(data, model): return [*data, model]
def output_fn(prediction, accept, context): return " ".join([*log, *prediction, accept]), "text/own"
""")
    answer = code.answer(b"1", "7", [("Content-Type", "text/csv"), ("Accept", "a/b")])
    assert answer == Answer(200, b"pre load warm model in 1 text/csv model a/b", "text/own")


def test_what_is_beside_the_program_and_in_lib_can_be_imported(make: Make, tmp_path: Path) -> None:
    for place in ("", "lib"):
        folder = tmp_path / "model" / "code" / place
        folder.mkdir(exist_ok=True)
        (folder / f"own_neighbour{place}.py").write_text(f"where = {place!r}")
    (tmp_path / "model" / "code" / "lib" / "own_neighbour.py").write_text("where = 'lib, which comes after'")
    code = make("""
import own_neighbour, own_neighbourlib
def model_fn(d): return [own_neighbour.where, own_neighbourlib.where]
def transform_fn(model, b, t, a): return model
""")
    assert json.loads(code.answer(b"", "7", []).text) == ["", "lib"]
    for name in ("own_neighbour", "own_neighbourlib"):
        del sys.modules[name]


def test_code_that_defines_no_model_needs_one_beside_it(make: Make, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError) as refused:
        make("def predict_fn(x, m): return x")
    program = tmp_path / "model" / "code" / "own_code.py"
    reason = f"{program} defines no model_fn and {tmp_path}/model holds no model.json; add either"
    assert str(refused.value) == reason


def test_a_transform_function_stands_alone(make: Make) -> None:
    with pytest.raises(ArtifactError, match="beside output_fn, predict_fn, which it would replace; remove one"):
        make(ASKED + "def predict_fn(x, m): pass\ndef output_fn(p, a): pass")


def test_too_little_memory_to_load_is_reported_as_that(make: Make) -> None:
    with pytest.raises(MemoryError):
        make("def model_fn(d): raise MemoryError")


def test_what_a_function_cannot_be_called_with_is_logged_with_a_traceback(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(
        ArtifactError, match=r"model_fn in .*own_code\.py failed \(ZeroDivisionError: division by zero\)"
    ):
        make("def model_fn(d): 1 / 0")
    with pytest.raises(ArtifactError, match=r"own_code\.py cannot be imported \(ZeroDivisionError: division by zero\)"):
        make("1 / 0")
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2
    assert caplog.messages[0] == "model_fn failed" and caplog.messages[1].endswith("own_code.py cannot be imported")


def test_a_model_that_is_not_a_torch_module_takes_a_predict_function(make: Make) -> None:
    code = make("def model_fn(d): return 0")
    with pytest.raises(NotImplementedError, match=r"own_code\.py defines no predict_fn, and its model is not a torch"):
        code.answer(b"[1]", "7", [("Content-Type", "application/json")])
    with pytest.raises(Unsupported, match="Content-Type 'image/jpeg' takes an input_fn"):
        code.answer(b"x", "7", JPEG)


TORCH = """
import torch
class Own(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(2, 1))
    def forward(self, x):
        return x @ self.weight + 100 * self.training + 1000 * torch.is_grad_enabled()
def model_fn(d): return Own()
"""


def test_a_torch_module_is_computed_without_gradients_as_in_use(make: Make) -> None:
    code = make(TORCH)
    assert code.answer(b"[[1, 2]]", "7", [("Content-Type", "application/json")]).text == b"[[3.0]]"
    assert code._device() == "cpu" and make(TORCH, gpu=0)._device() == "cuda:0"


def test_without_functions_for_requests_the_model_beside_the_code_answers_as_without_code(
    make: Make, prepared: Path, photo: bytes
) -> None:
    code = make("def pre_model_fn(model_dir): pass", prepared)
    expected = Predictor(prepared, threads=1)
    probabilities = expected.probabilities(expected.decode(photo)[None])[0]
    best = [expected.classes[index] for index in np.argsort(-probabilities)]
    for headers in (JPEG, [], [("Content-Type", "application/octet-stream")]):
        found = json.loads(code.answer(photo, "7", headers).text)["predictions"]
        assert [item["label"] for item in found] == best[:2]  # as many labels as the server's settings ask for
        assert found[0]["probability"] == pytest.approx(probabilities.max(), abs=1e-5)
    kind = [("Content-Type", "application/json"), ("Accept", "text/csv")]
    answer = code.answer(instances(photo, photo), "7", kind)
    labels = [line.split(b",")[0].decode() for line in answer.text.splitlines()]
    assert answer.content_type == "text/csv" and labels == best[:1] * 2
    one = json.loads(code.answer(instances(photo), "7", kind[:1]).text)["predictions"]
    assert one[0]["label"] == best[0]
    with pytest.raises(
        Unsupported, match="Content-Type 'text/x' is not supported; send one of image/jpeg, "
    ) as refused:
        code.answer(photo, "7", [("Content-Type", "text/x")])
    assert refused.value.status == 415
    with pytest.raises(
        Unsupported, match=r"Accept 'a/b+' cannot be satisfied; ask for one of application/json, "
    ) as refused:
        code.answer(photo, "7", [*JPEG, ("Accept", "a/" + "b" * 99)])
    assert refused.value.status == 406 and str(refused.value).startswith(f"Accept 'a/{'b' * 98}' ")
    with pytest.raises(PhotoError):
        code.answer(b"x", "7", JPEG)
    with pytest.raises(PhotoError, match="over the limit of 1,000;"):
        make("def pre_model_fn(model_dir): pass", prepared, max_pixels=1000).answer(photo, "7", JPEG)


@pytest.mark.parametrize("found", ["[[0.5] * 999]", "[0.5] * 1000", "[[0.5] * 1000][:0]", "list([[0.5] * 1000])"])
def test_what_is_not_a_probability_for_each_class_is_written_as_it_is(
    make: Make, prepared: Path, photo: bytes, found: str
) -> None:
    array = found if found.startswith("list") else f"numpy.array({found})"
    code = make(f"import numpy\ndef predict_fn(x, m): return {array}", prepared)
    assert json.loads(code.answer(photo, "7", JPEG).text) == eval(found)


def test_each_fault_of_the_code_has_its_status(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    worker = CodeWorker(
        make("""
import sys
from classifier.errors import PhotoError, UserError
from serve.toolkit import Unsupported
def model_fn(d): return 0
def transform_fn(m, body, t, a):
    raise {b"photo": PhotoError("not an image"), b"{": PhotoError("not an image"), b"user": UserError("no"),
           b"type": Unsupported(406, "not that"), b"memory": MemoryError(), b"exit": SystemExit(1),
           b"lost": RuntimeError("CUDA error: launch failure")}[body]
""")
    )
    internal = "the prediction failed; the server's log says why under this request id"
    for body, status, text, last in (
        (b"photo", 422, "the body is not a usable photo: not an image", False),
        (
            b"{",
            422,
            "the body is not a usable photo: not an image; it is JSON: send it with Content-Type application/json",
            False,
        ),
        (b"user", 400, "no", False),
        (b"type", 406, "not that", False),
        (b"memory", 507, "the model ran out of memory; send fewer or smaller photos", False),
        (b"exit", 500, internal, False),
        (b"lost", 500, internal, True),
        (b"other", 500, internal, False),
    ):
        [answer] = worker.answers([body], [WorkerRequest(id="7")])
        assert (answer.status, answer.text.decode(), answer.last, answer.refused) == (status, text, last, True), body
        assert answer.timing and (answer.timing.photos, answer.timing.batch) == (1, 1)
    assert caplog.messages == ["request 7: the model's code failed"] * 3
    [answer] = worker.answers([b"other"], [WorkerRequest(probe=True)])
    assert (answer.status, answer.text, answer.refused) == (200, b"", False)


@pytest.mark.parametrize(
    ("names", "program", "left"),
    [
        (["classifier.py"], "own_code", ["serve"]),
        (["serve/model.py"], "own_code", ["classifier"]),
        (["classifier/a.py", "serve.py"], "own_code", []),
        ([], "serve", ["classifier"]),
        (["classifiers.py", "other/serve.py"], "own_code", ["classifier", "serve"]),
    ],
)
def test_code_may_have_modules_of_our_packages_names(
    tmp_path: Path, names: list[str], program: str, left: list[str]
) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    modules = {name: module for name, module in sys.modules.items() if name.split(".")[0] in ("classifier", "serve")}
    assert {"classifier", "classifier.errors", "serve", "serve.model_code"} <= modules.keys()
    try:
        _let_go(tmp_path, program)
        kept = [name for name in modules if name in sys.modules]
    finally:
        sys.modules.update(modules)
    assert kept == [name for name in modules if name.split(".")[0] in left]


ANSWERS = """
def model_fn(model_dir): return 0
def transform_fn(model, body, content_type, accept, context):
    status, name, value, kind = eval(body)
    if status != 200:
        context.set_response_status(code=status, phrase="", idx=0)
    context.request_processor[0].add_response_property(name, value)
    return "text", kind
"""


@pytest.mark.parametrize(
    ("status", "name", "value", "kind", "told"),
    [
        (200, "X-A", "a\r\nX-B: c", "text/plain", r"the header 'X-A' to 'a\\r\\nX-B: c'"),
        (200, "X A", "a", "text/plain", "the header 'X A'"),
        (200, "X-A", "\udce9", "text/plain", "the header 'X-A'"),
        (204, "X-A", "a", "text/plain", "the status 204; it must be a whole number"),
        (100, "X-A", "a", "text/plain", "the status 100"),
        (1000, "X-A", "a", "text/plain", "the status 1000"),
        ("200", "X-A", "a", "text/plain", "the status '200'"),
        (None, "X-A", "a", "text/plain", "the status None"),
        (200, "X-A", "a", 200, "returns 200 as its answer's type; return a pair like"),
        (200, "X-A", "a", ["text/plain"], "as its answer's type"),
        (200, "X-A", "a", "text/plain\r\nX-B: c", "as its answer's type"),
    ],
)
def test_what_http_cannot_carry_is_an_error_that_names_it(
    make: Make, status: object, name: str, value: str, kind: object, told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        make(ANSWERS).answer(repr((status, name, value, kind)).encode(), "1", JPEG)


def test_a_type_that_is_none_is_what_accept_says(make: Make) -> None:
    body = repr((201, "X-A", "Spürhund", None)).encode()
    answer = make(ANSWERS).answer(body, "1", [*JPEG, ("Accept", "text/html")])
    assert (answer.status, answer.content_type, answer.headers) == (201, "text/html", {"X-A": "Spürhund"})
