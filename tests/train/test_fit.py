"""The training loop: one step compared with torch's own loss, the steps of an epoch, the epoch that is kept, and the end."""

import copy
from collections.abc import Callable, Generator, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from classifier.errors import ConfigError
from tests.small_head import RATE, SGD, Epochs, clouds, trained, weights
from train.config import Config
from train.features import Features
from train.head.stage import head_stage, predict
from train.loop.engine import fit
from train.loop.stage import Batch, Stage
from train.loop.updates import Updates
from train.processes.world import World


def after_one_step(loss: Callable[[Tensor, Tensor], Tensor], *, decay: float = 0.0) -> Tensor:
    """Return the weights of the same head after one step of plain gradient descent on `loss`."""
    torch.manual_seed(0)
    head, data = nn.Linear(4, 3), clouds()
    loss(head(data.features), data.labels).backward()
    return (head.weight - RATE * (head.weight.grad + decay * head.weight)).detach()


@pytest.mark.parametrize("smoothing", [0.0, 0.2, 0.9])
def test_the_loss_is_torchs_own_with_label_smoothing(smoothing: float) -> None:
    head, (metrics,), _ = trained(Config(**SGD, label_smoothing=smoothing))

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(logits, labels, label_smoothing=smoothing)

    torch.testing.assert_close(weights(head), after_one_step(loss))
    torch.manual_seed(0)
    expected = loss(nn.Linear(4, 3)(clouds().features), clouds().labels)
    assert metrics["train:loss"] == pytest.approx(float(expected.detach()), rel=1e-5)
    assert metrics["step_losses"] == [metrics["train:loss"]]


def test_smoothing_by_hand_spreads_its_share_over_all_classes() -> None:
    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        targets = 0.7 * functional.one_hot(labels, 3) + 0.3 / 3
        return -(targets * logits.log_softmax(1)).sum(1).mean()

    torch.testing.assert_close(weights(trained(Config(**SGD, label_smoothing=0.3))[0]), after_one_step(loss))


class WithSecondAnswer(nn.Module):
    """A head with a second output, like a backbone with an auxiliary classifier in training."""

    def __init__(self, head: nn.Linear) -> None:
        super().__init__()
        self.head = head

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.head(inputs)
        return logits, 2 * logits


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_the_loss_of_the_auxiliary_answers_counts_with_its_weight(weight: float) -> None:
    torch.manual_seed(0)
    head, data = nn.Linear(4, 3), clouds()
    stage = head_stage(head, data, data, Config(**SGD), World())
    stage.updates.model, stage.auxiliary = WithSecondAnswer(head), weight
    stage.predict = lambda model: (predict(head, data, World()), data.labels)
    fit(stage, lambda epoch, metrics: None)

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(logits, labels) + weight * functional.cross_entropy(2 * logits, labels)

    torch.testing.assert_close(weights(head), after_one_step(loss))


def test_the_weight_decay_of_the_configuration_shrinks_the_weights() -> None:
    expected = after_one_step(functional.cross_entropy, decay=0.5)
    torch.testing.assert_close(weights(trained(Config(**SGD, weight_decay=0.5))[0]), expected)


def test_the_momentum_of_the_configuration_carries_the_first_step_into_the_second() -> None:
    plain, carried = (
        [weights(trained(Config(**SGD | {"epochs": n, "momentum": m}))[0]) for n in (1, 2)] for m in (0.0, 0.5)
    )
    first = plain[0] - after_no_step()
    torch.testing.assert_close(carried[0], plain[0])
    torch.testing.assert_close(carried[1], plain[1] + 0.5 * first)


def after_no_step() -> Tensor:
    torch.manual_seed(0)
    return nn.Linear(4, 3).weight.detach()


class Twice(nn.Module):
    """A model with two outputs; the second is auxiliary."""

    def __init__(self) -> None:
        super().__init__()
        self.main, self.second = nn.Linear(4, 3), nn.Linear(4, 3)

    def forward(self, features: Tensor) -> Any:
        return (self.main(features), self.second(features)) if self.training else self.main(features)


def test_the_auxiliary_loss_counts_by_its_weight() -> None:
    torch.manual_seed(0)
    model, data = Twice(), clouds()
    first, second = (
        functional.cross_entropy(layer(data.features), data.labels) for layer in (model.main, model.second)
    )
    expected = float((first + 0.3 * second).detach())
    second.backward()
    moved = (model.second.weight - RATE * 0.3 * model.second.weight.grad).detach()
    stage = head_stage(nn.Linear(4, 3), data, data, Config(**SGD), World())
    stage.updates = Updates(model=model, optimizer=torch.optim.SGD(model.parameters(), lr=RATE))
    stage.auxiliary = 0.3
    epochs = Epochs()
    fit(stage, lambda epoch, metrics: epochs.append(metrics))
    assert epochs[0]["train:loss"] == pytest.approx(expected, rel=1e-5)
    torch.testing.assert_close(model.second.weight.detach(), moved)


def test_mixed_labels_are_learnt_as_probabilities_and_count_as_their_largest() -> None:
    shares = torch.tensor([0.2, 0.7, 0.1])

    def mix(features: Tensor, labels: Tensor) -> Batch:
        return features, shares.expand(len(labels), 3)

    head, (metrics,), _ = trained(Config(**SGD), mix=mix)
    torch.testing.assert_close(
        weights(head), after_one_step(lambda logits, labels: functional.cross_entropy(logits, shares.expand(8, 3)))
    )
    torch.manual_seed(0)
    hits = (nn.Linear(4, 3)(clouds().features).argmax(1) == 1).sum()
    assert 0 < hits < 8 and metrics["train:accuracy"] == pytest.approx(float(hits) / 8)


def steps_of(seed: int, epochs: int) -> list[list[list[int]]]:
    """Return the photos' indices in each step of each epoch."""
    seen: list[list[list[int]]] = []
    data = clouds()

    def batches(epoch: int, steps: Sequence[Tensor]) -> Generator[Batch, None, None]:
        seen.append([step.tolist() for step in steps])
        for step in steps:
            yield data.features[step], data.labels[step]

    trained(Config(**SGD | {"epochs": epochs, "batch_size": 3}), seed, batches=batches)
    return seen


def test_each_epoch_sees_every_row_once_in_an_order_of_its_own() -> None:
    seen = steps_of(seed=5, epochs=3)
    orders = [[place for step in steps for place in step] for steps in seen]
    assert [[len(step) for step in steps] for steps in seen] == [[3, 3, 2]] * 3
    assert [sorted(order) for order in orders] == [list(range(8))] * 3
    assert len({tuple(order) for order in orders}) == 3 and list(range(8)) not in orders
    assert steps_of(seed=5, epochs=3) == seen and steps_of(seed=6, epochs=3) != seen


def test_an_epoch_says_the_mean_of_its_losses_the_share_of_its_hits_and_its_rate() -> None:
    _, (metrics,), _ = trained(Config(**SGD | {"batch_size": 3}))
    assert len(metrics["step_losses"]) == len(metrics["step_seconds"]) == 3
    assert metrics["train:loss"] == pytest.approx(sum(metrics["step_losses"]) / 3)
    assert metrics["learning_rate"] == RATE
    assert metrics["epoch:seconds"] == pytest.approx(sum(metrics["step_seconds"]))
    assert metrics["images_per_second"] == pytest.approx(8 / metrics["epoch:seconds"])
    assert 0 <= metrics["data_wait_share"] <= 1


def test_the_rate_that_an_epoch_says_is_the_highest() -> None:
    head, data, epochs = nn.Linear(4, 3), clouds(), Epochs()
    stage = head_stage(head, data, data, Config(**SGD), World())
    stage.updates.optimizer = torch.optim.SGD(
        [{"params": [head.bias], "lr": 0.01}, {"params": [head.weight], "lr": 0.02}]
    )
    fit(stage, lambda epoch, metrics: epochs.append(metrics))
    assert epochs[0]["learning_rate"] == 0.02


def judged(answers: Sequence[tuple[Sequence[int], float]]) -> Callable[[nn.Module], tuple[Tensor, Tensor]]:
    """Return a function that gives each epoch's logits and labels: the predictions for photos of classes 0, 1, 2, and their certainty."""
    left = iter(answers)

    def judge(model: nn.Module) -> tuple[Tensor, Tensor]:
        predicted, sure = next(left)
        return sure * functional.one_hot(torch.tensor(predicted), 3).float(), torch.arange(3)

    return judge


TWO, THREE = [0, 1, 0], [0, 1, 2]


@pytest.mark.parametrize(
    ("answers", "kept"),
    [
        ([(TWO, 1.0), (THREE, 1.0), (TWO, 1.0)], 2),  # the highest accuracy
        ([(THREE, 0.1), (TWO, 1.0)], 1),  # even if another epoch has a lower loss
        ([(THREE, 1.0), (THREE, 2.0), (THREE, 0.5)], 2),  # with equal accuracy, the lowest loss
        ([(THREE, 1.0), (THREE, 1.0)], 1),  # with equal accuracy and loss, the first epoch
    ],
)
def test_the_epoch_that_is_kept_is_the_most_accurate_then_the_one_of_the_lowest_loss(
    answers: list[tuple[list[int], float]], kept: int
) -> None:
    seen: list[Tensor] = []
    predict = judged(answers)

    def watched(model: nn.Module) -> tuple[Tensor, Tensor]:
        seen.append(model.weight.detach().clone())
        return predict(model)

    head, _, best = trained(Config(**SGD | {"epochs": len(answers)}), predict=watched)
    assert best is not None and best.epoch == kept
    assert torch.equal(weights(head), seen[kept - 1]) and torch.equal(best.model["weight"], seen[kept - 1])
    assert len({tuple(one.flatten().tolist()) for one in seen}) == len(answers)


@pytest.mark.parametrize(("name", "plain"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)])
def test_a_head_with_a_hidden_layer_learns_as_by_torchs_plain_adam(name: str, plain: type[torch.optim.Adam]) -> None:
    torch.manual_seed(0)
    head, data = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3)), clouds()
    expected = copy.deepcopy(head)
    optimizer = plain(expected.parameters(), lr=0.01, weight_decay=0.0, foreach=False)
    for _ in range(4):
        optimizer.zero_grad()
        functional.cross_entropy(expected(data.features), data.labels).backward()
        optimizer.step()
    stage = head_stage(head, data, data, Config(optimizer=name, lr=0.01, epochs=4), World())
    stage.predict = judged([(THREE, sure) for sure in (1.0, 2.0, 3.0, 4.0)])  # the last epoch is the best
    fit(stage, lambda epoch, metrics: None)
    torch.testing.assert_close(head.state_dict(), expected.state_dict())


@pytest.mark.parametrize(("patience", "ended"), [(0, 7), (1, 2), (2, 5), (3, 6)])
def test_a_stage_ends_after_so_many_epochs_that_were_no_better(patience: int, ended: int) -> None:
    answers = [(TWO, 1.0), (TWO, 0.9), (THREE, 1.0), (TWO, 1.0), (TWO, 1.0), (TWO, 1.0), (TWO, 1.0)]
    _, epochs, _ = trained(Config(**SGD | {"epochs": 7, "early_stopping": patience}), predict=judged(answers))
    assert len(epochs) == ended


def test_normalisation_keeps_its_statistics_and_dropout_is_on_in_training_alone() -> None:
    model = nn.Sequential(nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 3))
    seen: list[list[bool]] = []
    model[1].register_forward_hook(lambda module, inputs, output: seen.append([layer.training for layer in model]))
    data = clouds()
    stage = head_stage(nn.Linear(4, 3), data, data, Config(**SGD | {"epochs": 2}), World())
    stage.updates = Updates(model=model, optimizer=torch.optim.SGD(model.parameters(), lr=RATE))
    stage.predict = lambda model: (predict(model, data, World()), data.labels)
    fit(stage, lambda epoch, metrics: None)
    assert seen == [[False, True, True], [False, False, False]] * 2
    assert torch.equal(model[0].running_mean, torch.zeros(4)) and torch.equal(model[0].running_var, torch.ones(4))


def test_the_random_numbers_of_a_step_follow_from_seed_epoch_and_step() -> None:
    def drawn(seed: int, before: int) -> list[float]:
        numbers: list[float] = []

        def mix(features: Tensor, labels: Tensor) -> Batch:
            numbers.append(float(torch.rand(1)))
            return features, labels

        torch.manual_seed(before)
        trained(Config(**SGD | {"epochs": 2, "batch_size": 4}), seed, mix=mix)
        return numbers

    first = drawn(0, before=1)
    assert len(set(first)) == 4 and drawn(0, before=2) == first and not set(drawn(3, before=1)) & set(first)


def test_two_stages_of_one_job_draw_different_numbers() -> None:
    def order(name: str) -> list[int]:
        seen: list[int] = []
        data = clouds()

        def batches(epoch: int, steps: Sequence[Tensor]) -> Generator[Batch, None, None]:
            for step in steps:
                seen.extend(step.tolist())
                yield data.features[step], data.labels[step]

        trained(Config(**SGD), batches=batches, name=name)
        return seen

    assert order("head") == order("head") != order("finetune")


def test_the_head_stage_has_the_settings_of_the_configuration() -> None:
    data = clouds()
    config = Config(epochs=7, batch_size=5, early_stopping=3, label_smoothing=0.1, lr=0.02)
    stage: Stage = head_stage(nn.Linear(4, 3), data, data, config, World())
    assert (stage.epochs, stage.batch_size, stage.early_stopping, stage.label_smoothing) == (7, 5, 3, 0.1)
    assert [group["lr"] for group in stage.updates.optimizer.param_groups] == [0.02, 0.02]
    assert stage.class_weights is None and stage.updates.clip_norm == 0 and stage.name == "head"


@pytest.mark.parametrize(
    ("scaler", "remedy"),
    [
        (None, "at step 1 of epoch 1; lower lr, now 0.1"),
        (torch.amp.GradScaler("cpu"), "at step 1 of epoch 1; set precision to bf16 or fp32, or lower lr, now 0.1"),
    ],
)
def test_an_overflow_is_reported_with_the_precision_where_that_is_fp16(scaler: Any, remedy: str) -> None:
    def mix(features: Tensor, labels: Tensor) -> Batch:
        return features * torch.inf, labels

    with pytest.raises(ConfigError) as refused:
        trained(Config(**SGD), mix=mix, scaler=scaler)
    assert str(refused.value).endswith(remedy)


@pytest.mark.parametrize(
    ("size", "taken"), [(1, [[3, 0, 5], [1, 2], [4]]), (2, [[3, 5], [1], []])], ids=["one process", "two processes"]
)
def test_each_step_of_the_head_has_the_rows_that_the_process_owns(size: int, taken: list[list[int]]) -> None:
    data = clouds(6)
    rows = torch.arange(6)[1::size] if size > 1 else torch.arange(6)
    mine = Features(features=data.features[rows], rows=rows, labels=data.labels, photos=(), fingerprint="")
    stage = head_stage(nn.Linear(4, 3), mine, mine, Config(**SGD), World(0, size))
    steps = [torch.tensor(step) for step in ([3, 0, 5], [1, 2], [4])]
    for (features, labels), expected in zip(stage.batches(1, steps), taken, strict=True):
        assert torch.equal(features, data.features[expected]) and torch.equal(labels, data.labels[expected])
