"""Training and serving compute the same on each generation of GPUs."""

import contextlib

import pytest
import torch

from classifier import backends
from classifier.backends import BACKENDS, Backend, Unavailable
from train.precision import resolve_precision


@pytest.mark.parametrize(
    ("capability", "precision"),
    [((6, 1), "fp32"), ((7, 5), "fp16"), ((8, 0), "bf16"), ((8, 6), "bf16"), ((9, 0), "bf16")],
)
def test_training_and_serving_choose_the_same_precision_on_a_gpu(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], precision: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(backends, "_has_gpu", lambda: True)
    # A GPU below compute capability 8 emulates bfloat16, and torch reports it as supported.
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation or capability >= (8, 0)
    )
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: capability)

    def fit(backend: Backend) -> bool:
        with contextlib.suppress(Unavailable):
            backends.check(backend)
            return True
        return False

    assert next(backend.precision for backend in BACKENDS.values() if fit(backend)) == precision
    assert resolve_precision("auto") == precision
