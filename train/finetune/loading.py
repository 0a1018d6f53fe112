"""Worker processes that read, decode and augment photos, and the batches that come from them."""

import ctypes
import functools
import multiprocessing
import os
import signal
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from classifier.errors import DataError, PhotoError
from classifier.images import Pixels, decode, read_photo
from classifier.photos import Photo
from classifier.spec import Preprocessing
from train.config import Config
from train.finetune.augment import photo_augmentation
from train.loop.seeds import seed_torch
from train.loop.stage import Batch
from train.processes.world import local_threads
from train.spool.pack import Pack

Sample = tuple[Pixels, int] | str
PR_SET_PDEATHSIG = 1  # an option of prctl(2)


@dataclass(kw_only=True)
class Photos(Dataset[Sample]):
    """Augmented photos, by epoch and index: pixels uint8 [crop, crop, 3] and a label, or a sentence about an unreadable photo."""

    photos: Sequence[Photo]
    config: Config
    preprocessing: Preprocessing
    pack: Pack | None

    def __post_init__(self) -> None:
        self._augment = photo_augmentation(self.config, self.preprocessing)
        # Photos are decoded so large that even the smallest crop is not enlarged.
        smallest = self.preprocessing.crop / self.config.crop_scale**0.5
        self._short_side = int(max(self.preprocessing.resize, smallest))

    def __getitem__(self, place: tuple[int, int]) -> Sample:
        epoch, position = place
        photo = self.photos[position]
        seed_torch(torch.device("cpu"), self.config.seed, "augment", epoch, position)
        try:
            data = self.pack.read(photo.path) if self.pack else read_photo(photo.path)
            return self._augment(decode(data, short_side=self._short_side)), photo.label
        except PhotoError as error:
            return f"{photo.path}: {error}"


def load(photos: Photos, steps: list[list[tuple[int, int]]]) -> Generator[Batch, None, None]:
    """Yield the batches of an epoch; each step is a list of (epoch, place). Raises DataError for an unreadable photo."""
    # The main process decodes nothing, since its threads compute.
    loader: DataLoader[Any] = DataLoader(
        photos,
        batch_sampler=steps,
        collate_fn=functools.partial(_collate, photos.preprocessing.crop),
        num_workers=local_threads(),
        worker_init_fn=functools.partial(die_with_parent, os.getpid()),
        multiprocessing_context=multiprocessing.get_context("fork"),
    )
    # Trap: torchrun sends SIGTERM to the whole process group, and DataLoader's handler would end a worker while the training
    # process still waits for the batch of its last step. So workers start with SIGTERM blocked, and it stays blocked.
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
    """Ask the kernel to kill this worker process when its parent ends."""
    # Trap: a worker whose parent was killed would wait without end to write its batch. No signal comes if the parent was killed before
    # prctl; then the worker already has another parent.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _collate(crop: int, samples: list[Sample]) -> Any:
    """Return a batch as arrays, which DataLoader sends through a pipe; it would put tensors into /dev/shm.

    If a photo cannot be read, return the sentence on the first such photo.
    """
    if not samples:  # the other processes may have all photos of a small last step
        return np.empty((0, crop, crop, 3), np.uint8), np.empty(0, np.int64)
    wrong = next((sample for sample in samples if isinstance(sample, str)), None)
    if wrong is not None:
        return wrong
    return np.stack([sample[0] for sample in samples]), np.array([sample[1] for sample in samples])
