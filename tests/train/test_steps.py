"""A step of the training loop in parts, and reasons to end a stage before its last epoch."""

from collections.abc import Generator, Sequence

import pytest
import torch
from torch import Tensor, nn

from classifier.errors import ConfigError
from tests.small_head import SGD, clouds, trained, weights
from train import stop
from train.config import Config
from train.head.stage import head_stage
from train.loop.engine import LOOK, fit
from train.loop.stage import Batch, State
from train.processes.world import World


@pytest.mark.parametrize(
    ("lane", "accumulate", "batch", "sizes"),
    [
        (0, 1, 8, [8]),
        (0, 3, 8, [2, 3, 3]),
        (0, 20, 8, [1] * 8),
        (3, 1, 8, [2, 3, 3]),
        (8, 5, 8, [8]),
        (4, 1, 8, [4, 4]),
        (16, 1, 8, [8]),
        (3, 1, 4, [2, 2, 2, 2]),
    ],
)
def test_a_step_is_split_into_lanes_of_so_many_photos_or_into_so_many_parts(
    lane: int, accumulate: int, batch: int, sizes: Sequence[int]
) -> None:
    seen: list[int] = []
    plain, _, _ = trained(Config(**SGD, batch_size=batch))
    torch.manual_seed(0)
    head, data = nn.Linear(4, 3), clouds()
    stage = head_stage(head, data, data, Config(**SGD, batch_size=batch), World())
    stage.lane, stage.accumulate = lane, accumulate
    predict = stage.predict

    def judged(model: nn.Module) -> tuple[Tensor, Tensor]:
        watch.remove()
        return predict(model)

    stage.predict = judged
    watch = head.register_forward_hook(lambda module, inputs, output: seen.append(len(inputs[0])))
    fit(stage, lambda epoch, metrics: None)
    assert sorted(seen) == list(sizes)
    # A step in several parts has the same result as a step at once.
    torch.testing.assert_close(weights(head), weights(plain))


def test_a_validation_loss_that_is_not_a_number_ends_the_stage_with_the_last_step_and_the_remedy() -> None:
    def predict(model: nn.Module) -> tuple[Tensor, Tensor]:
        return torch.full((3, 3), float("nan")), torch.arange(3)

    with pytest.raises(ConfigError, match=r"no longer a number at step 2 of epoch 1; lower lr, now 0\.1$"):
        trained(Config(**SGD, batch_size=4), predict=predict)


def test_a_stop_while_validation_is_judged_leaves_no_best_model() -> None:
    def predict(model: nn.Module) -> tuple[Tensor, Tensor]:
        raise stop.Stopped("stopped by SIGTERM")

    _, epochs, best = trained(Config(**SGD | {"epochs": 3}), predict=predict)
    assert best is None and epochs == []


def test_a_stop_ends_the_step_under_way_and_a_loss_is_looked_at_every_fifty_steps() -> None:
    head, data = nn.Linear(4, 3), clouds(120)
    stage = head_stage(head, data, data, Config(**SGD, batch_size=1), World())
    state, batches, seen = State(), stage.batches, list[int]()

    def stopping(epoch: int, steps: Sequence[Tensor]) -> Generator[Batch, None, None]:
        for number, batch in enumerate(batches(epoch, steps), 1):
            seen.append(len(state.losses))
            if number == 110:
                stop.requested.set()
            yield batch

    stage.batches = stopping
    try:
        assert fit(stage, lambda epoch, metrics: None, state=state) is None
    finally:
        stop.requested.clear()
    assert (state.step, len(state.losses), len(state.seconds)) == (110, 110, 110)
    assert LOOK == 50 and [seen.count(number) for number in (0, 50, 100)] == [50, 50, 10]
