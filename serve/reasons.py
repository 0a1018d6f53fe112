"""Reads errors: the message of a user's code in one line, and whether the GPU is lost."""

from serve.memory import out_of_memory

# Words in the messages of errors after which the GPU computes nothing more. They leave out errors with which cuDNN refuses a
# shape or a parameter, since the GPU can compute the next request.
_GPU_LOST = ("cuda error", "cuda driver error", "cudnn_status_execution_failed", "cudnn_status_internal_error")


def long_reason(error: BaseException) -> str:
    """Return the message of an error in a user's code, in one line, with the error's type."""
    message = " ".join(str(error).split())[:400]
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def gpu_lost(error: BaseException) -> bool:
    """Return whether an error of torch says that the GPU failed, so that this process gets no more results from it."""
    message = str(error).lower()
    return not out_of_memory(error) and any(words in message for words in _GPU_LOST)
