"""The precision at which a backbone computes: fp32, bf16 or fp16."""

import torch

from classifier.device import gpu_precision
from classifier.errors import ConfigError

_AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


def resolve_precision(precision: str) -> str:
    """Return a precision unchanged; for `auto`, the fastest precision that does not worsen results.

    That is bf16 where the processor or GPU computes it natively, else fp16 on a GPU that is fast in it, else fp32. Raises
    ConfigError for fp16 without a GPU.
    """
    if precision == "fp16" and not torch.cuda.is_available():
        raise ConfigError("hyperparameter precision is fp16, which needs a GPU; leave it at auto")
    if precision != "auto":
        return precision
    if torch.cuda.is_available():
        return gpu_precision()
    return "bf16" if torch.ops.mkldnn._is_mkldnn_bf16_supported() else "fp32"


def autocast(device: str, precision: str) -> torch.autocast:
    """Return the context in which a backbone computes at a precision."""
    return torch.autocast(device, _AUTOCAST.get(precision), enabled=precision in _AUTOCAST)


def compute_exactly() -> None:
    """Make a GPU compute fp32 as exactly as a processor does.

    By default cuDNN rounds the numbers that it convolves to TF32, which has 10 bits. Features in fp32 are kept under the same
    key for every device, and they are compared with those of a processor. bf16 and fp16 are for speed.
    """
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
