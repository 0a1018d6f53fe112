"""Recognises errors that mean a full GPU memory, and names the remedy."""

# Words in the errors of torch's allocator, cuBLAS, cuDNN and NCCL.
_FULL = ("out of memory", "alloc_failed", "allocation_failed")
_LIBRARIES = ("cuda", "cublas", "cudnn", "nccl")


def is_full(error: BaseException) -> bool:
    """Return whether an error says that a GPU's memory is full; imports no torch."""
    text = str(error).lower()
    return any(words in text for words in _FULL) and any(name in text for name in _LIBRARIES)


def remedy(error: BaseException) -> str:
    """Return a sentence with the remedy if an error means that a GPU's memory is full, "" for any other error."""
    if not is_full(error):
        return ""
    return (
        "the GPU's memory is full: raise accumulate, lower finetune-batch-size, or choose a smaller backbone or a GPU with "
        f"more memory ({str(error).splitlines()[0][:200]})"
    )
