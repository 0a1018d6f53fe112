"""torch's messages about a failing GPU: the line that short_reason selects, and the errors that mean too little memory."""

import pytest

from classifier.errors import short_reason
from serve.memory import out_of_memory
from tests.gpu_errors import ALLOCATOR, CUBLAS, CUDNN, CUDNN_9, FULL, ILLEGAL


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (ILLEGAL, "CUDA error: an illegal memory access was encountered"),
        (FULL, "CUDA error: out of memory"),
        (f"{CUDNN}\nTo debug, set CUDNN_LOGLEVEL_DBG", CUDNN),
        ("Exception from src/inference/src/cpp/core.cpp:135:\nnot enough values", "not enough values"),
        ("", "no reason given"),
    ],
)
def test_of_an_error_the_line_with_the_reason_is_reported(text: str, line: str) -> None:
    assert short_reason(RuntimeError(text)) == f"RuntimeError: {line}"


@pytest.mark.parametrize("text", [FULL, ALLOCATOR, CUBLAS, CUDNN, CUDNN_9])
def test_each_library_of_a_gpu_that_finds_no_memory_is_understood_also_where_the_error_was_reported(text: str) -> None:
    assert out_of_memory(RuntimeError(text)) and out_of_memory(
        ValueError(f"it failed ({short_reason(RuntimeError(text))})")
    )


@pytest.mark.parametrize(
    "text", [ILLEGAL, "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm(...)`"]
)
def test_another_error_of_a_gpu_is_not_one_of_memory(text: str) -> None:
    assert not out_of_memory(RuntimeError(text))
