"""Statistics of gradients, updates and activations, compared with numpy and torch, at every N-th step only."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.small_head import RATE, SGD, clouds
from train.config import Config
from train.head.stage import head_stage
from train.loop.engine import fit
from train.processes.world import World
from train.report import Monitor, Records, TensorRecords


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))


def recorded(
    folder: Path, every: int, *, lane: int = 0, model: nn.Sequential | None = None, **settings: Any
) -> list[dict[str, Any]]:
    """Train the network with statistics of every N-th step, and return the records."""
    data = clouds(40)
    stage = head_stage(model or network(), data, data, Config(**SGD | settings), World())
    stage.lane = lane
    records = Records(folder)
    fit(stage, lambda epoch, metrics: None, monitor=Monitor(tensors=TensorRecords(records, every)))
    records.close()
    return [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]


def expected(values: Tensor) -> dict[str, float]:
    """Return the expected record of a tensor, computed with numpy."""
    numbers = values.detach().double().numpy()
    return {
        "mean": float(numbers.mean()),
        "std": float(numbers.std()),
        "min": float(numbers.min()),
        "max": float(numbers.max()),
        "share_zero": float((numbers == 0).mean()),
        "rms": float(np.sqrt((numbers**2).mean())),
    }


def close(found: dict[str, float], values: Tensor) -> None:
    wanted = expected(values)
    assert {name: found[name] for name in wanted} == pytest.approx(wanted, rel=1e-4, abs=1e-7)


@pytest.mark.parametrize("lane", [0, 7])
def test_the_first_steps_statistics_are_numpys_of_torchs_own_tensors(tmp_path: Path, lane: int) -> None:
    found = {one["kind"]: one for one in recorded(tmp_path, 100, lane=lane, batch_size=40)}
    assert found.keys() == {"gradients", "updates", "activations"}
    assert all((one["stage"], one["epoch"], one["step"]) == ("head", 1, 1) for one in found.values())
    model, data = network(), clouds(40)
    hidden = model[1](model[0](data.features))
    logits = model[2](hidden)
    functional.cross_entropy(logits, data.labels).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        close(found["gradients"]["layers"][name], parameter.grad)
        update = found["updates"]["layers"][name]
        close(update, -RATE * parameter.grad)
        weight = expected(parameter)
        assert (update["weight_rms"], update["weight_std"]) == pytest.approx((weight["rms"], weight["std"]), rel=1e-5)
        low, high = np.percentile(parameter.grad.numpy(), (5, 95))
        assert (found["gradients"]["layers"][name]["p5"], found["gradients"]["layers"][name]["p95"]) == pytest.approx(
            (low, high), rel=1e-4, abs=1e-7
        )
    layers = found["activations"]["layers"]
    assert layers.keys() == {"0", "1", "2"}
    close(layers["1"], hidden)
    close(layers["2"], logits)
    assert layers["1"]["share_dead"] == float(((hidden > 0).double().mean(0) <= 0.01).double().mean())
    assert "share_dead" not in layers["0"]  # layer 0 is not a ReLU


def test_every_nth_step_of_a_stage_is_recorded_and_no_other(tmp_path: Path) -> None:
    found = recorded(tmp_path, 4, batch_size=8, epochs=2)
    places = [(one["epoch"], one["step"]) for one in found if one["kind"] == "gradients"]
    assert places == [(1, 1), (1, 5), (2, 4)]
    assert [one["kind"] for one in found] == ["activations", "gradients", "updates"] * 3
    assert recorded(tmp_path / "off", 0, batch_size=8) == []


def test_channels_that_are_never_above_0_are_dead(tmp_path: Path) -> None:
    model = network()
    with torch.no_grad():
        model[0].bias[:3] = -1000
    found = next(one for one in recorded(tmp_path, 100, model=model, batch_size=40) if one["kind"] == "activations")
    assert found["layers"]["1"]["share_dead"] >= 0.5 and found["layers"]["1"]["share_zero"] >= 0.5


def test_the_gradients_of_a_scaled_loss_are_recorded_as_those_of_the_loss(tmp_path: Path) -> None:
    data, model = clouds(40), network()
    stage = head_stage(model, data, data, Config(**SGD, batch_size=40), World())
    stage.updates.scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    records = Records(tmp_path)
    fit(stage, lambda epoch, metrics: None, monitor=Monitor(tensors=TensorRecords(records, 1)))
    records.close()
    scaled = [json.loads(line) for line in (tmp_path / "records.jsonl").read_text().splitlines()]
    plain = recorded(tmp_path / "plain", 1, batch_size=40)
    for one, other in zip(scaled, plain, strict=True):
        for name, values in one["layers"].items():
            assert values == pytest.approx(other["layers"][name], rel=1e-3, abs=1e-6), (one["kind"], name)
