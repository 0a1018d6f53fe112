"""Fine-tuning: the backbone, and the head that was trained before it, learn together from photos (LP-FT, Kumar et al. 2022)."""

import contextlib
import copy
import dataclasses
import functools
from collections.abc import Generator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from classifier.models import Classifier
from classifier.photos import Photo, PhotoSet
from classifier.progress import Progress
from train.config import Config
from train.features import CHUNK, FeaturePass
from train.finetune.augment import batch_augmentation
from train.finetune.loading import Photos, load
from train.head.stage import class_weights, classes_of, predict
from train.loop.optimizers import layer_groups, make_optimizer, warmup_cosine
from train.loop.stage import Batch, Stage
from train.loop.updates import Updates
from train.precision import autocast


def finetune_stage(
    feature_pass: FeaturePass,
    train: Sequence[Photo],
    validation: Sequence[Photo],
    config: Config,
    auxiliary: tuple[str, nn.Module] | None = None,
) -> Stage:
    """Return the stage that trains the whole classifier of `feature_pass` on photos. The same feature pass judges it on validation.

    Batches come from worker processes as plain arrays through pipes. Nothing is kept in /dev/shm, which has only 64 MB in
    some containers.
    """
    model, world = feature_pass.model, feature_pass.world
    device = next(model.parameters()).device
    labels = torch.tensor([photo.label for photo in train])
    classes = classes_of(model.head)
    weights = class_weights(labels, classes, config)
    trained: nn.Module = model if auxiliary is None else WithAuxiliary(model, *auxiliary)
    trained.to(device)
    above = [model.head] + ([] if auxiliary is None else [auxiliary[1]])
    groups = layer_groups(model.backbone, above, config.finetune_lr, config.layer_decay)
    steps = -(-len(train) // config.finetune_batch_size)
    photos = Photos(photos=train, config=config, preprocessing=model.preprocessing, pack=feature_pass.pack)

    def batches(epoch: int, steps: Sequence[Tensor]) -> Generator[Batch, None, None]:
        mine = [[(epoch, int(position)) for position in world.mine(step.tolist())] for step in steps]
        with Progress(f"fine-tuning, epoch {epoch} of {config.finetune_epochs}", len(train), "photos") as progress:
            progress.advance(len(train) - sum(map(len, steps)))
            with contextlib.closing(load(photos, mine)) as loaded:
                for step, batch in zip(steps, loaded, strict=True):
                    yield batch
                    progress.advance(len(step))

    def judge(candidate: nn.Module) -> tuple[Tensor, Tensor]:
        inner = candidate.classifier if isinstance(candidate, WithAuxiliary) else candidate
        assert isinstance(inner, Classifier)
        return predict_photos(dataclasses.replace(feature_pass, model=inner), validation)

    return Stage(
        name="finetune",
        seed=config.seed,
        updates=_updates(trained, groups, config, feature_pass.precision, steps * config.finetune_epochs),
        epochs=config.finetune_epochs,
        batch_size=config.finetune_batch_size,
        labels=labels,
        batches=batches,
        predict=judge,
        world=world,
        mix=batch_augmentation(config, classes),
        label_smoothing=config.label_smoothing,
        class_weights=weights if weights is None else weights.to(device),
        early_stopping=config.early_stopping,
        auxiliary=config.auxiliary,
        autocast=functools.partial(autocast, device.type, feature_pass.precision),
        accumulate=config.accumulate,
        lane=CHUNK if device.type == "cpu" and not config.compile and _fits_lanes(trained) else 0,
        compile=config.compile,
    )


def _updates(
    trained: nn.Module, groups: list[dict[str, object]], config: Config, precision: str, steps: int
) -> Updates:
    """Return the updates of a model over `steps` steps; `groups` are its parameters with their learning rates."""
    optimizer = make_optimizer(groups, config, config.finetune_lr)
    average = get_ema_multi_avg_fn(config.ema)  # type: ignore[no-untyped-call]
    averaged = AveragedModel(trained, multi_avg_fn=average) if config.ema else None
    if averaged:
        averaged.update_parameters(trained)  # without this, the average would start after the first step
    device = next(trained.parameters()).device
    return Updates(
        model=trained,
        optimizer=optimizer,
        schedule=warmup_cosine(optimizer, steps, config.warmup),
        scaler=torch.amp.GradScaler(device.type) if precision == "fp16" else None,
        ema=averaged,
        clip_norm=config.clip_norm,
    )


class WithAuxiliary(nn.Module):
    """A classifier with a second classifier on one of its backbone's layers, as in the training of Inception-v3.

    In training mode it returns both classifiers' logits, else the first one's.
    """

    def __init__(self, classifier: Classifier, layer: str, auxiliary: nn.Module) -> None:
        super().__init__()
        self.classifier, self.auxiliary = classifier, auxiliary
        self._seen: Tensor | None = None
        classifier.backbone.get_submodule(layer).register_forward_hook(self._see)

    def forward(self, pixels: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        logits: Tensor = self.classifier(pixels)
        seen, self._seen = self._seen, None
        return (logits, self.auxiliary(seen)) if self.training else logits

    def _see(self, module: nn.Module, inputs: Any, output: Tensor) -> None:
        if self.training:
            self._seen = output


def predict_photos(
    feature_pass: FeaturePass, photos: Sequence[Photo], split: str = "validation"
) -> tuple[Tensor, Tensor]:
    """Return the classifier's logits [N, classes] for the photos of a split, and their labels [N]."""
    feature_pass.model.eval()
    splits, _ = feature_pass.extract(PhotoSet((), {split: tuple(photos)}))
    head = copy.deepcopy(feature_pass.model.head).cpu()
    return predict(head, splits[split], feature_pass.world), splits[split].labels


def _fits_lanes(model: nn.Module) -> bool:
    """Return whether several threads may run a model at once.

    They may not if the model draws random numbers, because the threads' order changes, or if it remembers its inputs.
    """
    names = ("dropout", "stochasticdepth", "droppath")
    return not isinstance(model, WithAuxiliary) and not any(
        type(module).__name__.lower().startswith(names) and getattr(module, "p", getattr(module, "drop_prob", 1))
        for module in model.modules()
    )
