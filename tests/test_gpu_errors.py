"""What torch says of a GPU that fails: which line is short_reason, and what counts as too little memory."""

import pytest

from serve.backends import short_reason
from serve.memory import out_of_memory

# As c10::cuda::c10_cuda_check_implementation of torch 2.13 writes it.
HINTS = (
    "\nSearch for `{name}' in https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__TYPES.html for more information."
    "\nCUDA kernel errors might be asynchronously reported at some other API call, so the stacktrace below might be incorrect."
    "\nFor debugging consider passing CUDA_LAUNCH_BLOCKING=1"
    "\nCompile with `TORCH_USE_CUDA_DSA` to enable device-side assertions.\n"
)
ILLEGAL = "CUDA error: an illegal memory access was encountered" + HINTS.format(name="cudaErrorIllegalAddress")
FULL = "CUDA error: out of memory" + HINTS.format(name="cudaErrorMemoryAllocation")
ALLOCATOR = "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 14.56 GiB of which 13.39 GiB is free."
CUBLAS = "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"
CUDNN = "cuDNN error: CUDNN_STATUS_ALLOC_FAILED"
CUDNN_9 = "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"


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
def test_of_an_error_the_line_with_the_reason_is_told(text: str, line: str) -> None:
    assert short_reason(RuntimeError(text)) == f"RuntimeError: {line}"


@pytest.mark.parametrize("text", [FULL, ALLOCATOR, CUBLAS, CUDNN, CUDNN_9])
def test_each_library_of_a_gpu_that_finds_no_memory_is_understood_also_where_the_error_was_told(text: str) -> None:
    assert out_of_memory(RuntimeError(text)) and out_of_memory(
        ValueError(f"it failed ({short_reason(RuntimeError(text))})")
    )


@pytest.mark.parametrize(
    "text", [ILLEGAL, "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm(...)`"]
)
def test_another_error_of_a_gpu_is_not_one_of_memory(text: str) -> None:
    assert not out_of_memory(RuntimeError(text))
