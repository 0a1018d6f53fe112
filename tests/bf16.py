"""The backends that this machine can run, and the mark of the tests that need bfloat16."""

import pytest

from classifier import backends
from classifier.backends import Unavailable


def usable(name: str) -> bool:
    try:
        backends.check(backends.BACKENDS[name])
    except Unavailable:
        return False
    return True


BF16 = pytest.mark.skipif(not usable("openvino-bf16"), reason="the processor has no bfloat16")
