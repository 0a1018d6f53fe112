"""Stage 2: the backbone and the head that stage 1 trained learn on together, from photos (LP-FT, Kumar et al. 2022)."""

import contextlib
import copy
import ctypes
import dataclasses
import functools
import multiprocessing
import os
import signal
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset

from classifier.errors import DataError, PhotoError
from classifier.images import Pixels, decode, read_photo
from classifier.models import Classifier
from classifier.photos import Photo, PhotoSet
from classifier.progress import Progress
from classifier.spec import Preprocessing
from train.augment import batch_augmentation, photo_augmentation
from train.config import Config
from train.features import FeaturePass
from train.head import class_weights, classes_of, predict
from train.lanes import CHUNK, autocast
from train.optimizers import layer_groups, make_optimizer, warmup_cosine
from train.pack import Pack
from train.seeds import seed_for
from train.stage import Batch, Stage
from train.world import local_threads

Sample = tuple[Pixels, int] | str
PR_SET_PDEATHSIG = 1  # of prctl(2)


def finetune_stage(
    feature_pass: FeaturePass,
    train: Sequence[Photo],
    validation: Sequence[Photo],
    config: Config,
    auxiliary: tuple[str, nn.Module] | None = None,
) -> Stage:
    """Return the stage that trains all of a pass's classifier on photos, and judges it by that pass.

    Batches come from worker processes as plain arrays through pipes: nothing lies in /dev/shm, of which a container may
    have 64 MB.
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
    optimizer = make_optimizer(groups, config, config.finetune_lr)
    steps = -(-len(train) // config.finetune_batch_size)
    average = get_ema_multi_avg_fn(config.ema)  # type: ignore[no-untyped-call]
    averaged = AveragedModel(trained, multi_avg_fn=average) if config.ema else None
    if averaged:
        averaged.update_parameters(trained)  # else the average would begin after the first step
    photos = Photos(photos=train, config=config, preprocessing=model.preprocessing, pack=feature_pass.pack)

    def batches(epoch: int, steps: Sequence[Tensor]) -> Generator[Batch, None, None]:
        mine = [[(epoch, int(position)) for position in world.mine(step.tolist())] for step in steps]
        with Progress(f"fine-tuning, epoch {epoch} of {config.finetune_epochs}", len(train), "photos") as progress:
            progress.advance(len(train) - sum(map(len, steps)))
            with contextlib.closing(_load(photos, mine)) as loaded:
                for step, batch in zip(steps, loaded, strict=True):
                    yield batch
                    progress.advance(len(step))

    def judge(candidate: nn.Module) -> tuple[Tensor, Tensor]:
        inner = candidate.classifier if isinstance(candidate, WithAuxiliary) else candidate
        assert isinstance(inner, Classifier)
        return predict_photos(dataclasses.replace(feature_pass, model=inner), validation)

    return Stage(
        name="finetune",
        model=trained,
        optimizer=optimizer,
        epochs=config.finetune_epochs,
        batch_size=config.finetune_batch_size,
        labels=labels,
        batches=batches,
        predict=judge,
        mix=batch_augmentation(config, classes),
        label_smoothing=config.label_smoothing,
        class_weights=weights if weights is None else weights.to(device),
        early_stopping=config.early_stopping,
        auxiliary=config.auxiliary,
        schedule=warmup_cosine(optimizer, steps * config.finetune_epochs, config.warmup),
        ema=averaged,
        autocast=functools.partial(autocast, device.type, feature_pass.precision),
        scaler=torch.amp.GradScaler(device.type) if feature_pass.precision == "fp16" else None,
        clip_norm=config.clip_norm,
        accumulate=config.accumulate,
        lane=CHUNK if device.type == "cpu" and not config.compile and _fits_lanes(trained) else 0,
        compile=config.compile,
    )


class WithAuxiliary(nn.Module):
    """A classifier that in training also answers from a layer further down, as Inception-v3 was trained."""

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
    """Return a classifier's logits [N, classes] for the photos of a split, and their labels [N]."""
    feature_pass.model.eval()
    splits, _ = feature_pass.extract(PhotoSet((), {split: tuple(photos)}))
    head = copy.deepcopy(feature_pass.model.head).cpu()
    return predict(head, splits[split], feature_pass.world), splits[split].labels


@dataclass
class Photos(Dataset[Sample]):
    """Augmented photos by (epoch, position): pixels uint8 [crop, crop, 3] and a label, or what is wrong with the photo."""

    photos: Sequence[Photo]
    config: Config
    preprocessing: Preprocessing
    pack: Pack | None

    def __post_init__(self) -> None:
        self._augment = photo_augmentation(self.config, self.preprocessing)
        # So many pixels that the smallest crop need not be enlarged.
        smallest = self.preprocessing.crop / self.config.crop_scale**0.5
        self._short_side = int(max(self.preprocessing.resize, smallest))

    def __getitem__(self, place: tuple[int, int]) -> Sample:
        epoch, position = place
        photo = self.photos[position]
        torch.manual_seed(seed_for(self.config.seed, "augment", epoch, position))
        try:
            data = self.pack.read(photo.path) if self.pack else read_photo(photo.path)
            return self._augment(decode(data, short_side=self._short_side)), photo.label
        except PhotoError as error:
            return f"{photo.path}: {error}"


def _load(photos: Photos, steps: list[list[tuple[int, int]]]) -> Generator[Batch, None, None]:
    # The main process decodes nothing: its threads belong to the model.
    loader: DataLoader[Any] = DataLoader(
        photos,
        batch_sampler=steps,
        collate_fn=functools.partial(_collate, photos.preprocessing.crop),
        num_workers=local_threads(),
        worker_init_fn=functools.partial(die_with_parent, os.getpid()),
        multiprocessing_context=multiprocessing.get_context("fork"),
    )
    # Trap: torchrun sends SIGTERM to the whole process group, and DataLoader's handler would end a worker while the training
    # process still waits for the batch of its last step. Workers are born with SIGTERM blocked, and keep it so.
    unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        loaded = iter(loader)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
    for batch in loaded:
        if isinstance(batch, str):
            raise DataError(f"a photo that was readable before is no longer: {batch}")
        yield torch.from_numpy(batch[0]), torch.from_numpy(batch[1])


def die_with_parent(parent: int, number: int) -> None:
    # Trap: a worker whose parent was killed waits for ever to write what nobody reads, and one whose parent was killed before
    # this line gets no signal.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _collate(crop: int, samples: list[Sample]) -> Any:
    """Return arrays, which DataLoader sends through a pipe; tensors it would put into /dev/shm."""
    if not samples:  # of a small last step another process may have all
        return np.empty((0, crop, crop, 3), np.uint8), np.empty(0, np.int64)
    wrong = next((sample for sample in samples if isinstance(sample, str)), None)
    if wrong is not None:
        return wrong
    return np.stack([sample[0] for sample in samples]), np.array([sample[1] for sample in samples])


def _fits_lanes(model: nn.Module) -> bool:
    """Return whether threads may run a model side by side: not when it draws random numbers, whose order would differ each
    time, nor when it keeps what it saw."""
    names = ("dropout", "stochasticdepth", "droppath")
    return not isinstance(model, WithAuxiliary) and not any(
        type(module).__name__.lower().startswith(names) and getattr(module, "p", getattr(module, "drop_prob", 1))
        for module in model.modules()
    )
