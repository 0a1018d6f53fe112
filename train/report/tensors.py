"""Records statistics of gradients, of the weights' updates and of activations in every N-th step; the other steps cost nothing."""

import contextlib
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from train.report.records import Records

SAMPLE = 10_000  # a tensor's percentiles are computed from at most this many of its numbers
LAYERS = 256  # the most layers whose activations are recorded
INACTIVE = 0.01  # a channel with a larger share of values above 0 is alive


class TensorRecords:
    """Writes the records `gradients`, `updates` and `activations` of the steps 1, 1 + `every`, 1 + 2 `every` ... of a stage."""

    def __init__(self, records: Records, every: int) -> None:
        self._records, self._every = records, every

    def due(self, number: int) -> bool:
        """Return whether step `number` of its stage, counted from 0, is to be watched."""
        return self._every > 0 and number % self._every == 0

    def watch(self, about: dict[str, Any], model: nn.Module) -> "Watch":
        """Return the object that watches a step. `about` (stage, epoch, and step in the epoch) becomes a part of its records."""
        return Watch(records=self._records, about=about, model=model)


@dataclass(kw_only=True)
class Watch:
    """Watches one step. It changes nothing that the step computes, and draws no random number.

    `seconds` is the time that this takes outside of the step's parts; its work within the forward pass counts as forward pass.
    """

    records: Records
    about: dict[str, Any]
    model: nn.Module
    seconds: float = 0.0
    _before: dict[str, Tensor] = field(default_factory=dict)

    @contextlib.contextmanager
    def activations(self) -> Generator[None, None, None]:
        """Record the outputs of layers that are called inside the block, on any thread."""
        seen: dict[str, _Output] = {}
        lock = threading.Lock()

        def look(name: str, output: Any) -> None:
            if isinstance(output, Tensor) and output.is_floating_point() and output.ndim > 1 and output.numel():
                channels = output.shape[_channel(output)]
                new = _Output.of(output)
                with lock:
                    # A module that is called several times in a pass may have outputs of several widths.
                    label = name if seen.get(name, new).active.numel() == channels else f"{name} ({channels})"
                    seen[label] = seen[label].with_(new) if label in seen else new

        handles = [
            module.register_forward_hook(lambda _, inputs, output, name=name: look(name, output))
            for name, module in _layers(self.model)
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
        if seen:
            with self._timed():
                layers = {name: output.statistics() for name, output in seen.items()}
                self.records.write("activations", **self.about, layers=layers)

    def before_update(self, scale: float) -> None:
        """Record the gradients, which were computed from a loss times `scale`, and remember the weights."""
        layers = {}
        with torch.no_grad(), self._timed():
            for name, parameter in self.model.named_parameters():
                if parameter.grad is not None and parameter.numel():
                    gradient = parameter.grad.float() / scale
                    layers[name] = _statistics(gradient) | _percentiles(gradient)
                    self._before[name] = parameter.detach().clone()
            self.records.write("gradients", **self.about, layers=layers)

    def after_update(self) -> None:
        """Record by how much the weights have changed."""
        layers = {}
        with torch.no_grad(), self._timed():
            for name, parameter in self.model.named_parameters():
                if name in self._before:
                    before = self._before[name].float()
                    weight = _statistics(before)
                    layers[name] = _statistics(parameter.float() - before) | {
                        "weight_rms": weight["rms"],
                        "weight_std": weight["std"],
                    }
            self._before.clear()
            self.records.write("updates", **self.about, layers=layers)

    @contextlib.contextmanager
    def _timed(self) -> Generator[None, None, None]:
        mark = time.perf_counter()
        yield
        self.seconds += time.perf_counter() - mark


@dataclass(frozen=True, kw_only=True)
class _Output:
    """Sums over one layer's output, or over its outputs for several parts of a step; `active` counts by channel."""

    count: int
    sum: Tensor
    squares: Tensor
    low: Tensor
    high: Tensor
    active: Tensor

    @classmethod
    def of(cls, output: Tensor) -> "_Output":
        values = output.detach().float()
        others = [axis for axis in range(values.ndim) if axis != _channel(values)]
        return cls(
            count=values.numel(),
            sum=values.sum(dtype=torch.float64),
            squares=values.square().sum(dtype=torch.float64),
            low=values.min(),
            high=values.max(),
            active=(values != 0).sum(others),
        )

    def with_(self, other: "_Output") -> "_Output":
        return _Output(
            count=self.count + other.count,
            sum=self.sum + other.sum,
            squares=self.squares + other.squares,
            low=torch.minimum(self.low, other.low),
            high=torch.maximum(self.high, other.high),
            active=self.active + other.active,
        )

    def statistics(self) -> dict[str, float]:
        mean, square, low = float(self.sum) / self.count, float(self.squares) / self.count, float(self.low)
        shares = self.active.double() * len(self.active) / self.count
        found = {
            "mean": mean,
            "std": max(0.0, square - mean**2) ** 0.5,
            "min": low,
            "max": float(self.high),
            "share_zero": 1 - float(self.active.sum()) / self.count,
            "rms": square**0.5,
        }
        # Only a layer that sets values below 0 to 0 can have dead channels.
        return found | ({"share_dead": float((shares <= INACTIVE).double().mean())} if low == 0 else {})


def _statistics(values: Tensor) -> dict[str, float]:
    """Return statistics of float32 values, with one wait for the device."""
    square = values.square().mean(dtype=torch.float64)
    numbers = torch.stack(
        [
            values.mean(dtype=torch.float64),
            values.std(correction=0).double(),
            values.min().double(),
            values.max().double(),
            (values == 0).double().mean(),
            square.sqrt(),
        ]
    )
    return dict(zip(("mean", "std", "min", "max", "share_zero", "rms"), numbers.tolist(), strict=True))


def _percentiles(values: Tensor) -> dict[str, float]:
    flat = values.flatten()
    flat = flat[:: max(1, -(-len(flat) // SAMPLE))]
    low, high = torch.quantile(flat, torch.tensor([0.05, 0.95], device=flat.device)).tolist()
    return {"p5": low, "p95": high}


def _channel(output: Tensor) -> int:
    """Return the axis of the channels: the second of [N, C, H, W] and [N, C], the last of [N, tokens, C]."""
    return 1 if output.ndim in (2, 4) else output.ndim - 1


def _layers(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return the layers with the most informative outputs: activations, linear layers, and convolutions together with their activation."""
    found = []
    for name, module in model.named_modules():
        kind = type(module).__name__.lower()
        activation = type(module).__module__ == "torch.nn.modules.activation" or "relu" in kind
        # torchvision's Inception calls relu as a function inside of such a block.
        block = "conv" in kind and any(isinstance(child, nn.Conv2d) for child in module.children())
        if activation or block or isinstance(module, nn.Linear):
            found.append((name, module))
    return found[:LAYERS]
