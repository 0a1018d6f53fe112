"""Users' code, run by the server: the notebook's functions without output_fn, their context, their errors."""

import functools
import http.server
import io
import json
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from classifier.errors import ArtifactError
from serve.model_code import ModelCode
from serve.program import ignored_requirements
from serve.worker_api import Answer
from tests import wire
from tests.conftest import ROOT
from tests.ports import free_port
from tests.server import artifact_with, ask, instances, serve, started, until, wait_for, workers
from tests.standin import worker_settings

ORIGINAL = ROOT / "tests" / "code" / "original.py"
NET = "import torch\n\n\nclass Net(torch.nn.Linear):\n    def __init__(self):\n        super().__init__(48, 3)\n"
LARGE = "x" * 300_000


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path, list[int]]]:
    """A server with the notebook's functions, started as the SDK's generic Model does: its address, log file and workers."""
    folder = tmp_path_factory.mktemp("original")
    code = folder / "model" / "code"
    (code / "lib").mkdir(parents=True)
    shutil.copy(ORIGINAL, code / "inference.py")
    (code / "classifier.py").write_text(NET)
    (code / "lib" / "dependency.py").write_text("def scale(tensor):\n    return tensor / 255\n")
    (code / "requirements.txt").write_text("numpy\nno-such-package==3.1\n# a comment\n-r more.txt\n")
    torch.manual_seed(0)
    torch.save(torch.nn.Linear(48, 3).state_dict(), folder / "model" / "model.pth")
    told = {
        "ALLOW_MODEL_CODE": "true",
        "SAGEMAKER_MODEL_SERVER_WORKERS": "1",
        "SAGEMAKER_PROGRAM": "",
        "SAGEMAKER_SUBMIT_DIRECTORY": "",
    }
    port = free_port()
    with started(folder / "model", port, folder, **told) as process:
        wait_for(process, f"http://127.0.0.1:{port}")
        yield f"http://127.0.0.1:{port}", folder / "log.txt", [worker.pid for worker in workers(process.pid)]
        assert [worker.pid for worker in workers(process.pid)], "no worker is left"


def test_the_original_functions_without_output_fn_answer_json(
    original: tuple[str, Path, list[int]], photo: bytes
) -> None:
    status, headers, text = ask(original[0], photo, Content_Type="image/jpeg")
    assert status == 200 and headers["Content-Type"] == "application/json"
    assert np.array(json.loads(text)).shape == (1, 3)


def test_their_json_form_that_names_an_address_answers_the_same(
    original: tuple[str, Path, list[int]], photo: bytes, tmp_path: Path
) -> None:
    (tmp_path / "dog.jpg").write_bytes(photo)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        body = json.dumps({"url": f"http://127.0.0.1:{server.server_port}/dog.jpg"}).encode()
        status, _, text = ask(
            original[0], body, Content_Type="application/json; charset=utf-8", Accept="application/json"
        )
        assert status == 500  # the notebook's code fails for a type with parameters
        status, _, text = ask(original[0], body, Content_Type="application/json", Accept="application/json")
        server.shutdown()
    assert status == 200 and text == ask(original[0], photo, Content_Type="image/jpeg")[2]


def test_their_tensor_is_written_as_csv_and_npy_and_nothing_else(
    original: tuple[str, Path, list[int]], photo: bytes
) -> None:
    values = json.loads(ask(original[0], photo, Content_Type="image/jpeg")[2])
    status, headers, text = ask(original[0], photo, Content_Type="image/jpeg", Accept="text/csv")
    assert (status, headers["Content-Type"]) == (200, "text/csv")
    assert [float(value) for value in text.split(",")] == pytest.approx(values[0])
    array = wire.post(original[0], photo, "image/jpeg", Accept="application/x-npy")
    assert (array.status, array.headers["Content-Type"]) == (200, "application/x-npy")
    np.testing.assert_allclose(np.load(io.BytesIO(array.body)), values, rtol=1e-6)
    status, _, text = ask(original[0], photo, Content_Type="image/jpeg", Accept="image/png")
    assert status == 406 and "application/json, text/csv, application/x-npy" in text and "output_fn" in text


@pytest.mark.parametrize("body", [{"exit": 1}, {"text": "caf\udce9"}], ids=["exit", "surrogate"])
def test_what_their_code_does_wrong_costs_the_request_alone(
    original: tuple[str, Path, list[int]], photo: bytes, body: dict[str, object]
) -> None:
    url, log, _ = original
    for _ in range(3):
        status, _, text = ask(url, json.dumps(body).encode(), Content_Type="application/json", Accept="text/csv")
        answer = json.loads(text)
        assert status == 500 and "under this request id" in answer["message"] and "Traceback" not in text
    # The model server passes on the worker's lines with some delay.
    failed = f"request {answer['request_id']}: the model's code failed"
    until("the log says which request failed", lambda: failed in log.read_text())
    assert ask(url, photo, Content_Type="image/jpeg")[0] == 200 and "ended" not in log.read_text()


def test_headers_that_do_not_fit_are_refused(original: tuple[str, Path, list[int]], photo: bytes) -> None:
    status, _, text = ask(original[0], photo, Content_Type="image/jpeg", X_Long="x" * 4000)
    assert status == 431 and "at most 4,000 characters" in text
    assert ask(original[0], photo, Content_Type="image/jpeg", X_Long="x" * 2000)[0] == 200


def test_a_warning_names_the_requirements_that_are_ignored(original: tuple[str, Path, list[int]]) -> None:
    lines = [line for line in original[1].read_text().splitlines() if "requirements.txt" in line]
    assert len(lines) == 1 and "is not installed" in lines[0] and "missing here: no-such-package==3.1;" in lines[0]


def test_requirements_that_are_installed_cost_a_milder_warning_and_none_no_word(tmp_path: Path) -> None:
    assert ignored_requirements(tmp_path) is None
    (tmp_path / "requirements.txt").write_text("numpy>=1.0 # the usual\ntorch\nPillow\n")
    assert "the packages that it names are installed" in str(ignored_requirements(tmp_path))


CONTEXT = """
import os
def model_fn(model_dir, context):
    return f"{os.path.basename(model_dir)} {context.system_properties['gpu_id']} {context.model_name}"
def transform_fn(model, body, content_type, accept, context):
    attributes = context.get_request_header(0, "x-amzn-sagemaker-custom-attributes")
    context.set_response_header(0, "X-Amzn-SageMaker-Custom-Attributes", f"seen {attributes}")
    context.metrics.add_counter("asked", 1)
    if body == b"slow down":
        context.set_response_status(code=429, phrase="Too Many", idx=0)
    return {"model": model, "id": context.get_request_id(0), "more": "MORE" if body == b"large" else ""}
"""


def test_the_context_tells_and_takes_what_the_toolkits_does(tmp_path: Path) -> None:
    model = artifact_with(tmp_path / "model", code_inference=CONTEXT.replace('"MORE"', repr(LARGE)))
    port, asked = (
        free_port(),
        {"X-Amzn-SageMaker-Custom-Attributes": "trace=7", "X-Amzn-SageMaker-Inference-Id": "my-id"},
    )
    url = f"http://127.0.0.1:{port}"
    with started(model, port, tmp_path, ALLOW_MODEL_CODE="true") as process:
        wait_for(process, url)
        status, headers, text = ask(url, b"x", **asked)
        assert (status, headers["Content-Type"]) == (200, "application/json")
        assert json.loads(text) == {"model": "model None model", "id": "my-id", "more": ""}
        assert headers["X-Amzn-SageMaker-Custom-Attributes"] == "seen trace=7"
        assert json.loads(ask(url, b"large")[2])["more"] == LARGE
        status, headers, text = ask(url, b"slow down")
        assert (
            status == 429
            and headers["X-Amzn-SageMaker-Custom-Attributes"] == "seen None"
            and "model" in json.loads(text)
        )


def test_a_class_name_that_is_not_utf8_costs_requests_that_name_it_and_no_worker(
    model: Path, photo: bytes, tmp_path: Path
) -> None:
    spoiled = Path(shutil.copytree(model, tmp_path / "model"))
    document = json.loads((spoiled / "model.json").read_text())
    document["model"]["classes"] = [
        f"{name}\udce9" if name == "coffee" else name for name in document["model"]["classes"]
    ]
    (spoiled / "model.json").write_text(json.dumps(document))
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with started(spoiled, port, tmp_path, SAGEMAKER_MODEL_SERVER_WORKERS="2") as process:
        wait_for(process, url)
        before = {worker.pid for worker in workers(process.pid)}
        assert before
        for accept in ("text/csv", "application/json", "text/csv", "application/jsonlines"):
            status, _, text = ask(url, photo, Content_Type="image/jpeg", Accept=accept)
            assert status == 500 and json.loads(text)["request_id"]
        good = ask(url, instances(b"x"), Content_Type="application/json")
        assert good[0] == 422 and before <= {worker.pid for worker in workers(process.pid)}
        log = tmp_path / "log.txt"
        # The model server passes on the worker's lines with some delay.
        until("the log says what failed", lambda: "writing the answer failed" in log.read_text())
    assert "the class 'coffee\\udce9' is not valid UTF-8" in log.read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "def model_fn(d):\n    raise RuntimeError('the weights\\nare of another net')",
            "model_fn in .* failed (RuntimeError: the weights are of",
        ),
        ("def model_fn(d): open(d + '/model.pth')", "FileNotFoundError: [Errno 2] No such file or directory"),
        ("import sys\nsys.exit('no GPU')", "cannot be imported (SystemExit: no GPU)"),
        ("def model_fn(d): 1 / 0 +", "cannot be imported (SyntaxError: invalid syntax"),
        ("def model_fn(): pass", "model_fn in .* cannot be called: model_fn takes 0 arguments; it is called with 1, or 2 with context"),
        (
            "def model_fn(d): pass\ndef transform_fn(m, b, c, a): pass\ndef input_fn(b, c): pass",
            "defines transform_fn beside input_fn",
        ),
        (
            "def model_fn(d): pass\ndef pre_model_fn(d): raise ValueError('no licence')",
            "pre_model_fn in .* failed (ValueError: no licence)",
        ),
    ],
    ids=["raises", "no-file", "exits", "syntax", "arguments", "both", "pre"],
)  # fmt: skip
def test_why_a_model_cannot_be_loaded_is_in_the_sentence(tmp_path: Path, text: str, message: str) -> None:
    model = artifact_with(tmp_path / "model", code_inference=text)
    with pytest.raises(ArtifactError) as caught:
        ModelCode(model / "code" / "inference.py", worker_settings(model))
    begin, _, end = message.partition(" .* ")
    assert begin in str(caught.value) and end in str(caught.value)


def test_the_server_ends_with_that_sentence(tmp_path: Path) -> None:
    model = artifact_with(
        tmp_path / "model", code_inference="def model_fn(d):\n    raise RuntimeError('the weights are absent')"
    )
    done = serve(model, "--port", str(free_port()), ALLOW_MODEL_CODE="true")
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 1 and last.endswith("inference.py failed (RuntimeError: the weights are absent)")


@pytest.fixture
def echo(tmp_path: Path) -> ModelCode:
    """Code that answers with its input."""
    model = artifact_with(
        tmp_path / "model", code_inference="def model_fn(d): return 0\ndef predict_fn(x, m): return x"
    )
    return ModelCode(model / "code" / "inference.py", worker_settings(model))


def pickled() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array([os.getcwd]), allow_pickle=True)
    return stream.getvalue()


def test_a_pickle_is_not_read_by_default(echo: ModelCode) -> None:
    with pytest.raises(Exception, match="allow_pickle=False"):
        echo.answer(pickled(), "id", [("Content-Type", "application/x-npy")])


@pytest.mark.usefixtures("echo")
def test_a_pickle_is_not_read_through_the_toolkits_decoder_either() -> None:
    decoder = pytest.importorskip(
        "sagemaker_inference.decoder", reason="sagemaker-inference is only in the serving image"
    )
    with pytest.raises(ValueError, match="allow_pickle=False"):
        decoder.decode(pickled(), "application/x-npy")


SUM = """
import torch
def model_fn(model_dir):
    model = torch.nn.Linear(2, 1)
    torch.nn.init.ones_(model.weight)
    torch.nn.init.zeros_(model.bias)
    return model.train()
"""


def test_of_a_torch_module_the_defaults_are_those_of_the_toolkit_for_pytorch(tmp_path: Path) -> None:
    model = artifact_with(tmp_path / "model", code_inference=SUM)
    code = ModelCode(model / "code" / "inference.py", worker_settings(model))
    assert code.answer(b"[[1, 2], [3, 4]]", "id", [("Content-Type", "application/json")]).text == b"[[3.0], [7.0]]"
    stream = io.BytesIO()
    np.save(stream, np.array([[1, 2]], np.float32))
    answer = code.answer(stream.getvalue(), "id", [("Content-Type", "application/x-npy"), ("Accept", "text/csv")])
    assert answer == Answer(200, b"3.0\n", "text/csv")
