"""A model's updates: the state that a checkpoint keeps, and training from that state."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from train.loop.optimizers import warmup_cosine
from train.loop.updates import Updates


def updates(seed: int, *, plain: bool = False) -> Updates:
    """Return a small model's updates with every optional part or, if `plain`, with the optimizer only."""
    torch.manual_seed(seed)
    model = nn.Linear(2, 3)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    if plain:
        return Updates(model=model, optimizer=optimizer)
    return Updates(
        model=model,
        optimizer=optimizer,
        schedule=warmup_cosine(optimizer, 10, 0.2),
        scaler=torch.amp.GradScaler("cpu", init_scale=8.0),
        ema=AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.5)),
        clip_norm=0.5,
    )


def step(of: Updates) -> None:
    of.optimizer.zero_grad()
    of.scaled(of.model(torch.ones(1, 2)).square().sum()).backward()
    of.step()


def flat(content: Any) -> list[Any]:
    """Return all numbers and names in nested dicts and lists, tensors as lists."""
    if isinstance(content, Tensor):
        return [content.tolist()]
    if isinstance(content, dict):
        return [item for key, value in content.items() for item in (key, *flat(value))]
    return [item for value in content for item in flat(value)] if isinstance(content, list | tuple) else [content]


def test_a_checkpoint_keeps_these_parts_and_none_for_those_that_there_are_not() -> None:
    kept = updates(0).state_dict()
    assert list(kept) == ["model", "optimizer", "schedule", "scaler", "ema"] and None not in kept.values()
    plain = updates(0, plain=True).state_dict()
    assert [name for name, value in plain.items() if value is None] == ["schedule", "scaler", "ema"]


def test_updates_that_go_on_make_the_steps_of_those_that_never_stopped() -> None:
    whole, before, after = updates(0), updates(0), updates(1)
    for _ in range(3):
        step(whole)
    step(before)
    after.load_state_dict(before.state_dict() | {"epochs": []})
    for _ in range(2):
        step(after)
    assert flat(after.state_dict()) == flat(whole.state_dict())
    assert (after.rate, after.highest_rate) == (whole.rate, 0.1)
    assert torch.equal(after.judged.weight, whole.judged.weight) and after.judged is not after.model


def test_the_loss_is_scaled_where_there_is_a_scaler_alone() -> None:
    loss = torch.tensor(2.0)
    assert float(updates(0).scaled(loss)) == 16 and updates(0, plain=True).scaled(loss) is loss
