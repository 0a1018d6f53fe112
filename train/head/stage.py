"""The first stage: the head is trained on the features from the frozen backbone."""

from collections.abc import Generator, Sequence

import torch
from torch import Tensor, nn

from train.config import Config
from train.evaluation import judge
from train.features import Features
from train.loop.descent import last_layer
from train.loop.engine import copied
from train.loop.optimizers import make_optimizer
from train.loop.stage import Batch, Best, Stage
from train.loop.updates import Updates
from train.processes.world import World


def head_stage(head: nn.Module, train: Features, validation: Features, config: Config, world: World) -> Stage:
    """Return the stage that trains a head on features. In every step, each process computes the rows that it owns."""
    own = torch.full((len(train.labels),), -1)
    own[train.rows] = torch.arange(len(train.rows))

    def batches(epoch: int, steps: Sequence[Tensor]) -> Generator[Batch, None, None]:
        for step in steps:
            if world.size > 1:
                step = step[own[step] >= 0]
            yield train.features[own[step]], train.labels[step]

    optimizer = make_optimizer([{"params": head.parameters()}], config, config.lr, fused=True)
    return Stage(
        name="head",
        seed=config.seed,
        updates=Updates(model=head, optimizer=optimizer),
        epochs=config.epochs,
        batch_size=config.batch_size,
        labels=train.labels,
        batches=batches,
        predict=lambda model: (predict(model, validation, world), validation.labels),
        world=world,
        label_smoothing=config.label_smoothing,
        class_weights=class_weights(train.labels, classes_of(head), config),
        early_stopping=config.early_stopping,
    )


def predict(head: nn.Module, split: Features, world: World) -> Tensor:
    """Return a head's logits [N, classes] for all photos of a split, including those whose features other processes own."""
    head.eval()
    with torch.inference_mode():
        logits: Tensor = head(split.features)
    if world.size == 1:
        return logits
    whole = logits.new_empty(len(split.labels), logits.shape[1])
    for rows, part in world.gather((split.rows, logits)):
        whole[rows] = part
    return whole


def classes_of(head: nn.Module) -> int:
    """Return a head's number of classes. The photos may have fewer classes, if a class has no readable photo."""
    return last_layer(head).out_features


def class_weights(labels: Tensor, classes: int, config: Config) -> Tensor | None:
    """Return each class's weight in the loss, which is 1 on average over the photos; None if all weigh the same."""
    if config.class_weights == "none":
        return None
    return len(labels) / (classes * labels.bincount(minlength=classes).clamp(min=1))


def as_it_is(head: nn.Module, validation: Features, world: World) -> Best:
    """Return an untrained head as the best one so far, for a job that ended before its first epoch was finished."""
    logits = predict(head, validation, world)
    judged = judge(logits, validation.labels)
    return Best(epoch=0, score=(judged.accuracy, -judged.loss), model=copied(head), logits=logits)
