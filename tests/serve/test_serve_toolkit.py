"""The rules for a model's own functions: how they are called, and the default formats for functions that are not defined."""

import io
import json
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from serve.formats import RequestError
from serve.toolkit import (
    NPZ,
    Unsupported,
    default_input,
    default_output,
    forbid_pickles,
    read_text,
    refusal,
    takes_context,
    to_bytes,
)

ARRAY = np.arange(6, dtype=np.float32).reshape(2, 3)


def npy(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("function", "takes"),
    [(lambda a, b: 0, False), (lambda a, b, context: 0, True), (lambda a: 0, None), (lambda a, b, c, d: 0, None)],
)
def test_a_function_takes_its_arguments_or_the_context_too(function: Callable[..., Any], takes: bool | None) -> None:
    if takes is None:
        with pytest.raises(TypeError, match=r"<lambda> takes [14] arguments; it is called with 2, or 3 with context"):
            takes_context(function, 2)
    else:
        assert takes_context(function, 2) is takes


def test_json_and_csv_are_text_and_all_else_is_bytes() -> None:
    text = "ä".encode()
    for kind in ("application/json", "text/csv", "Text/CSV; charset=utf-8"):
        assert read_text(text, kind) == "ä"
        with pytest.raises(RequestError) as refused:
            read_text(b"ab\xff", kind)
        assert str(refused.value) == f"the body is not UTF-8, as {kind} must be (invalid start byte at 2)"
    for other in ("image/jpeg", "application/x-npy", "", None):
        assert read_text(text, other) == text and read_text(b"\xff", other) == b"\xff"


def test_arrays_are_read_from_json_csv_and_npy() -> None:
    assert np.array_equal(default_input("[[1, 2], [3, 4]]", "application/json"), [[1, 2], [3, 4]])
    for text in ("1.5,2.5\n3.5,4.5\n", b"1.5,2.5\n3.5,4.5\n"):
        assert np.array_equal(default_input(text, "text/csv; header=absent"), [[1.5, 2.5], [3.5, 4.5]])
    found = default_input(npy(ARRAY), "application/x-npy")
    assert found.dtype == np.float32 and np.array_equal(found, ARRAY)


def test_a_sparse_matrix_is_read_where_scipy_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    sparse = pytest.importorskip("scipy.sparse", reason="scipy is not installed in every image")
    stream = io.BytesIO()
    sparse.save_npz(stream, sparse.csr_matrix(ARRAY))
    assert np.array_equal(default_input(stream.getvalue(), NPZ).toarray(), ARRAY)
    monkeypatch.setitem(sys.modules, "scipy", None)
    monkeypatch.delitem(sys.modules, "scipy.sparse")
    with pytest.raises(Unsupported, match="takes the package scipy, which is not installed") as refused:
        default_input(stream.getvalue(), NPZ)
    assert refused.value.status == 415


def test_a_damaged_body_is_the_clients_mistake() -> None:
    with pytest.raises(RequestError) as refused:
        default_input("{", "application/json")
    assert str(refused.value).startswith("the body is not valid application/json (JSONDecodeError: Expecting property")
    with pytest.raises(RequestError, match=r"not valid application/x-npy \(ValueError: .*allow_pickle=False"):
        default_input(npy(np.array([{"a": 1}])), "application/x-npy")
    # The message is one line of limited length.
    with pytest.raises(RequestError, match=r"^the body is not valid text/csv \(ValueError: Some errors .{188}\)$"):
        default_input("1,2\n" + "3\n" * 30, "text/csv")


@pytest.mark.parametrize("kind", ["image/jpeg", "", None])
def test_what_has_no_default_is_415_or_406_and_lists_what_has(kind: str | None) -> None:
    with pytest.raises(Unsupported) as refused:
        default_input(b"x", kind)
    listed = "application/json, text/csv, application/x-npy, application/x-npz"
    told = f"Content-Type {kind!r} takes an input_fn in the model's code; without it send one of {listed}"
    assert (refused.value.status, str(refused.value)) == (415, told)
    with pytest.raises(Unsupported) as refused:
        default_output([1], "image/" + "x" * 99)
    told = f"Accept 'image/{'x' * 94}' takes an output_fn in the model's code; without it ask for one of "
    assert (refused.value.status, str(refused.value)) == (406, told + "application/json, text/csv, application/x-npy")


@pytest.mark.parametrize(
    ("accept", "kind", "text"),
    [
        ("application/json", "application/json", "[[0.5, 1.0]]"),
        ("*/*", "application/json", "[[0.5, 1.0]]"),
        ("text/html, application/*", "application/json", "[[0.5, 1.0]]"),
        ("text/*;q=0.5, application/json", "text/csv", "0.5,1.0\n"),
        ("TEXT/csv", "text/csv", "0.5,1.0\n"),
    ],
)
@pytest.mark.parametrize("value", [np.array([[0.5, 1]]), torch.tensor([[0.5, 1]])], ids=["array", "tensor"])
def test_a_prediction_is_written_as_the_first_type_that_is_known(value: Any, accept: str, kind: str, text: str) -> None:
    assert default_output(value, accept) == (text, kind)


def test_a_tensor_with_a_gradient_is_written_too() -> None:
    value = torch.tensor([[0.5, 1]], requires_grad=True)
    assert default_output(value, "text/csv") == ("0.5,1.0\n", "text/csv")
    written, _ = default_output(value, "application/x-npy")
    assert isinstance(written, bytes) and np.array_equal(np.load(io.BytesIO(written)), [[0.5, 1]])


def test_an_array_of_objects_and_what_json_does_not_know_are_not_written() -> None:
    with pytest.raises(ValueError, match="allow_pickle=False"):
        default_output(np.array([{"a": 1}]), "application/x-npy")
    with pytest.raises(TypeError, match=r"^set cannot be written as JSON; write an output_fn$"):
        default_output({1}, "application/json")


def test_what_a_function_answers_is_bytes_text_or_json() -> None:
    for value, sent in (
        (b"\xff", b"\xff"),
        (bytearray(b"a"), b"a"),
        (memoryview(b"b"), b"b"),
        ("ä", "ä".encode()),
        ({"a": np.float32(0.5)}, b'{"a": 0.5}'),
        (None, b"null"),
    ):
        assert to_bytes(value) == sent


class Toolkit(Exception):
    """A copy of the class in sagemaker_inference.errors."""

    def __init__(self, status: Any, message: str) -> None:
        super().__init__(message)
        self.status_code, self.message = status, message


class UnsupportedFormat(Exception):
    """A copy of the class in sagemaker_inference.errors."""


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (Toolkit(400, "a"), (400, "a")),
        (Toolkit(399, "a"), (500, "a")),
        (Toolkit(599, "a"), (599, "a")),
        (Toolkit(600, "a"), (500, "a")),
        (Toolkit("418", "a"), (500, "a")),
        (UnsupportedFormat("Content type\n  a/b is not"), (415, "Content type a/b is not")),
        (ValueError("a"), None),
    ],
)
def test_an_error_of_the_toolkits_own_keeps_its_status(
    monkeypatch: pytest.MonkeyPatch, error: Exception, told: tuple[int, str] | None
) -> None:
    monkeypatch.delitem(sys.modules, "sagemaker_inference.errors", raising=False)
    assert refusal(error) is None  # the toolkit is not imported, so the error is not the toolkit's
    errors = ModuleType("sagemaker_inference.errors")
    errors.__dict__.update(UnsupportedFormatError=UnsupportedFormat, BaseInferenceToolkitError=Toolkit)
    monkeypatch.setitem(sys.modules, "sagemaker_inference.errors", errors)
    assert refusal(error) == told


def test_the_toolkits_own_decoder_reads_no_pickles(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("sagemaker_inference", "sagemaker_inference.decoder"):
        monkeypatch.setitem(sys.modules, name, None)
    forbid_pickles()  # without the toolkit, this does nothing
    package, decoder = ModuleType("sagemaker_inference"), ModuleType("sagemaker_inference.decoder")
    read = {"application/x-npy": lambda body: np.load(io.BytesIO(body), allow_pickle=True), "text/csv": json.loads}
    package.__dict__["decoder"] = decoder
    decoder.__dict__["_decoder_map"] = dict(read)
    monkeypatch.setitem(sys.modules, "sagemaker_inference", package)
    monkeypatch.setitem(sys.modules, "sagemaker_inference.decoder", decoder)
    forbid_pickles()
    ours = decoder.__dict__["_decoder_map"]
    assert np.array_equal(ours["application/x-npy"](npy(ARRAY)), ARRAY) and ours["text/csv"] is json.loads
    with pytest.raises(ValueError, match="allow_pickle=False"):
        ours["application/x-npy"](npy(np.array([{"a": 1}])))
