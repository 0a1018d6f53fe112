"""The passes of a model on a GPU, with the processor in its place: graphs, sizes, and the weights that keep float32."""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from classifier.backends.gpu import SIZES, _cast, _Passes, warm

PIXELS = np.arange(2 * 2 * 2 * 3, dtype=np.uint8).reshape(2, 2, 2, 3)


class Model(nn.Module):
    """Returns the sum of each photo's pixels; `passes` is the number of calls."""

    def __init__(self) -> None:
        super().__init__()
        self.passes = 0

    def forward(self, pixels: Tensor) -> Tensor:
        self.passes += 1
        return pixels.flatten(1).float().sum(dim=1, keepdim=True)


SUMS = PIXELS.reshape(2, -1).sum(axis=1, keepdims=True)


def test_a_model_that_cannot_be_captured_is_computed_without_graphs_from_then_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nmore")

    monkeypatch.setattr(torch.cuda, "Stream", refuse)
    model = Model()
    passes = _Passes(model, "cpu", None)
    passes._captures = True
    for _ in range(2):
        assert np.array_equal(passes.run(PIXELS), SUMS)
    said = "RuntimeError: CUDA error: operation not permitted when stream is capturing"
    assert capsys.readouterr().err == f"the model is computed without CUDA graphs ({said})\n" and model.passes == 2


def test_graphs_are_captured_on_a_gpu_alone() -> None:
    assert _Passes(Model(), "cuda", None)._captures
    assert not _Passes(Model(), "cpu", None)._captures


class Stream:
    """Replaces torch.cuda.Stream, which needs a GPU."""

    def wait_stream(self, other: "Stream") -> None: ...


class Graph:
    """Replaces torch.cuda.CUDAGraph; it replays the captured computation."""

    replays = 0

    def replay(self) -> None:
        self.replays += 1


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> list[Graph]:
    made: list[Graph] = []

    @contextlib.contextmanager
    def capture(graph: Graph) -> Iterator[None]:
        made.append(graph)
        yield

    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "current_stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", capture)
    return made


def test_each_size_of_batch_is_captured_once_after_two_passes_and_then_replayed(graphs: list[Graph]) -> None:
    model = Model()
    passes = _Passes(model, "cpu", None)
    passes._captures = True
    for _ in range(3):
        assert np.array_equal(passes.run(PIXELS), SUMS)
    assert model.passes == 3 and [graph.replays for graph in graphs] == [3]
    passes.run(PIXELS[:1])
    assert model.passes == 6 and [graph.replays for graph in graphs] == [3, 1]
    passes.run(PIXELS + 1)  # a graph always reads its photos from the memory used at its capture
    assert np.array_equal(passes._graphs[2]._images.numpy(), PIXELS + 1)
    assert sorted(passes._graphs) == [1, 2] and model.passes == 6


def test_every_size_of_batch_is_computed_once_before_the_first_request() -> None:
    shapes: list[Any] = []

    def forward(pixels: Any) -> Any:
        shapes.append((pixels.shape, pixels.dtype))
        return pixels

    warm(forward, 7)
    assert shapes == [((size, 7, 7, 3), np.uint8) for size in (1, 2, 4, 8, 16, 32)] and SIZES[-1] == 32


def test_weights_that_autocast_would_cast_are_cast_and_no_others() -> None:
    class Derived(nn.Linear):
        """A subclass of a layer: some such layers need float32 weights."""

    model = nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2), nn.LayerNorm(2), Derived(2, 2), nn.Linear(2, 2))
    _cast(model, torch.bfloat16)
    dtypes = [{parameter.dtype for parameter in layer.parameters()} for layer in model]
    assert dtypes == [{torch.bfloat16}, {torch.float32}, {torch.float32}, {torch.float32}, {torch.bfloat16}]
