"""The feature pass: every photo goes once through the frozen backbone, and the head trains on the resulting features."""

import contextlib
import hashlib
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from classifier.backends import Forward
from classifier.errors import DataError
from classifier.images import load_pixels, read_photo
from classifier.models import Classifier
from classifier.photos import Photo, PhotoSet
from classifier.progress import Progress
from classifier.spec import Preprocessing
from classifier.unreadable import faults, too_many
from train import stop
from train.features import backend
from train.features.backend import Choice, without_head
from train.features.cache import FeatureCache, cache_key
from train.features.collector import BATCH, collected
from train.features.inputs import Moments, normalised
from train.features.lanes import CHUNK, Chunk, Shared, Work, in_flight
from train.features.sample import read_sample, share_missing
from train.features.share import Contribution, Share
from train.precision import compute_exactly
from train.processes.world import World, local_threads
from train.report import BatchTimes, StepRecords
from train.spool.pack import Pack

# From this number of images on, folding batch normalisation into the convolutions saves more time than it costs (0.1 to 0.8 s).
# Measured in bf16 on 2 shared cores, medians of ten turns: 1.34 times as fast for efficientnet-lite0, 1.07 times for
# inception_v3. The features of 120 photos from lite0 were 3.3 % off those in float32 on average, and 3.1 % without folding.
FOLDED_FROM = 1000


@dataclass(frozen=True, kw_only=True)
class Features:
    """One split. `features` holds only this process's rows; `labels` and `photos` cover all N rows of all processes.

    `features` is float32 [n, D]; `rows`, int64 [n], says which of the N rows they are. `labels` is int64 [N]. The N rows are
    all readable photos, then the first view of each photo, then the second, and so on. `fingerprint` is the SHA-256 of the
    photos' content and labels. `sample`, uint8 [S, crop, crop, 3], holds the pixels of a few photos, or of none.
    """

    features: Tensor
    rows: Tensor
    labels: Tensor
    photos: tuple[Photo, ...]
    fingerprint: str
    sample: Tensor = field(default_factory=lambda: torch.empty(0, 0, 0, 3, dtype=torch.uint8))


@dataclass(frozen=True)
class Unreadable:
    """A photo that cannot be read and is left out, and the reason."""

    path: Path
    reason: str


@dataclass(frozen=True, kw_only=True)
class FeaturePass:
    """Sends photos through a classifier's frozen backbone, at one precision and in all processes of `world`.

    With a `pack`, each photo's file is opened only once: its bytes come from the pack afterwards. `times` records how long
    the photos took. On a processor an open backend, `forward`, may compute in place of torch; choose() opens one.
    """

    model: Classifier
    precision: str  # fp32, bf16 or fp16
    pack: Pack | None = None
    world: World = World()  # noqa: RUF009 - frozen
    times: StepRecords | None = None
    forward: Forward | None = None

    def choose(self, photos: PhotoSet, *, cache: Path | None = None, views: int = 0) -> Choice:
        """Return the fastest backend for these photos. To use it, copy this pass with the returned `forward`."""
        images = _images(photos.splits, views)
        # For a small pass, decide without opening photos.
        enough = images >= backend.CONVERTED_FROM
        sampled = read_sample(photos, views, self.model.preprocessing, self.pack) if enough else []
        # Quiet, because `extract` opens the cache again, and names its damaged shards.
        store = self._store(cache, quiet=True) if enough and cache and self.world.chief else None
        missing = round(images * share_missing(sampled, store))
        return backend.choose(self.model, self.precision, missing, [one.pixels for one in sampled], self.world)

    def extract(
        self, photos: PhotoSet, *, cache: Path | None = None, max_unreadable: float = 0, views: int = 0, sample: int = 0
    ) -> tuple[dict[str, Features], list[Unreadable]]:
        """Return every split's features, and the photos that could not be read.

        The processes share the photos. On a processor each core has a lane: one thread that reads, decodes and forwards
        eight photos at a time. No lane waits for another, as cores do when they share one forward pass. On a GPU the lanes
        only decode, and this thread sends their photos through the backbone.

        Features that the folder `cache` holds are not computed again, and new ones are kept there. Each photo of the split
        train also gets `views` augmented copies. The pixels of `sample` photos of each split are returned too.

        Raises DataError when more than `max_unreadable` percent of all photos are unreadable, when all photos of a split
        are, and when all train photos of a class are. A single process checks `max_unreadable` after every chunk; several processes check
        it at the end. Raises Stopped on SIGTERM. Features computed before an error stay in the cache.
        """
        splits = photos.splits
        store = self._store(cache) if cache else None
        works = _works(splits, views, sample, self.world)
        rows = sum(len(work.photos) * (1 + work.views) for work in works)
        shares = {name: Share([work for work in works if work.split == name], rows) for name in splits}
        images = _images(splits, views)
        mine, done, inputs = sum(len(work.photos) for work in works), 0, list[Moments]()
        with (
            Progress(_label(splits), mine, "photos", shown=self.world.chief) as progress,
            contextlib.closing(self._chunks(works, images, store)) as chunks,
        ):
            for chunk in chunks:
                shares[chunk.work.split].take(chunk)
                self._record(chunk, splits)
                inputs += chunk.inputs
                if self.world.size == 1 and chunk.unreadable:
                    now = {name: share.unreadable for name, share in shares.items()}
                    if fault := too_many(splits, now, max_unreadable):
                        raise DataError(fault)
                progress.advance(len(chunk.work.photos))
                done += len(chunk.work.photos)
                if stop.requested.is_set() and (done < mine or self.world.size > 1):
                    raise _stopped(done, mine, cache)
        if self.times and inputs:
            self.times.inputs("train", len(inputs), **normalised(inputs, self.model.preprocessing))
        try:
            everyone = self.world.gather({name: share.contribution() for name, share in shares.items()})
        except RuntimeError:
            if stop.requested.is_set():  # another process was stopped before it reached this point
                raise _stopped(done, mine, cache) from None
            raise
        contributions: dict[str, list[Contribution]] = {name: [one[name] for one in everyone] for name in splits}
        missing = {
            name: {n: why for one in all_ for n, why in one.unreadable.items()} for name, all_ in contributions.items()
        }
        for fault in faults(splits, missing, max_unreadable, photos.classes):
            raise DataError(fault)
        found = {name: _assemble(splits[name], shares[name], contributions[name]) for name in splits}
        if sample:
            found = {name: _with_sample(split, self.model.preprocessing) for name, split in found.items()}
        return found, _listed(splits, missing)

    def _record(self, chunk: Chunk, splits: Mapping[str, Sequence[Photo]]) -> None:
        if self.times:
            # Only a pass for predictions leaves out the split train.
            stage = "features" if "train" in splits else "evaluation"
            times = BatchTimes(photos=len(chunk.work.photos), **vars(chunk.seconds))
            self.times.batch(stage, chunk.work.split, times)

    def _store(self, folder: Path, *, quiet: bool = False) -> FeatureCache:
        key = cache_key(self.model.backbone, self.model.preprocessing, self.precision)
        return FeatureCache(folder, key, quiet=quiet)

    def _chunks(self, works: Sequence[Work], images: int, store: FeatureCache | None) -> Generator[Chunk, None, None]:
        """Do this process's work and yield the results in any order.

        `images` counts the photos and views of all processes; it decides whether folding the backbone is worth its time.
        """
        compute_exactly()
        folds = self.forward is None and images - len(store or ()) >= FOLDED_FROM
        model = without_head(self.model) if folds else self.model
        shared = Shared(model=model, precision=self.precision, opened=self.forward, store=store, pack=self.pack)
        batch, lanes = BATCH[next(model.parameters()).device.type], local_threads()
        # OpenVINO computes in threads of its own, one a core, while the lane that asked waits. Two lanes a core keep the cores busy: the
        # pass is 1.05 times as fast as with one (lite0, two cores, medians of nine turns each; 1.01 with three lanes).
        lanes *= 2 if self.forward else 1
        threads = torch.get_num_threads()
        try:
            yield from collected(shared, batch, works, lanes) if batch else in_flight(shared.run, works, lanes)
        finally:
            if store is not None:
                store.flush()
            # Trap: set_num_threads(1) in a lane also reaches the libraries below torch, where it applies to all threads.
            torch.set_num_threads(threads)


def _label(splits: Mapping[str, Sequence[Photo]]) -> str:
    """Return the progress bar's label: "features"; or the names of the splits, if a pass for predictions leaves out the split train."""
    return "features" if "train" in splits else ", ".join(splits)


def _images(splits: Mapping[str, Sequence[Photo]], views: int) -> int:
    """Return how many photos and views all splits have together."""
    return sum(len(split) * (1 + views * (name == "train")) for name, split in splits.items())


def _works(splits: Mapping[str, Sequence[Photo]], views: int, sample: int, world: World) -> list[Work]:
    """Divide all splits into chunks, and return those of this process in the order of the photos."""
    works, number = [], 0
    for name, photos in splits.items():
        # In a small split the chunks are so small that each process gets one.
        step = max(1, min(CHUNK, len(photos) // world.size))
        wanted = range(0, len(photos), max(1, len(photos) // sample))[:sample] if sample else range(0)
        first = 0
        for start in range(0, len(photos), step):
            if number % world.size == world.rank:
                part = photos[start : start + step]
                kept = [place - start for place in wanted if 0 <= place - start < len(part)]
                copies = views if name == "train" else 0
                works.append(Work(split=name, photos=part, start=start, first=first, views=copies, wanted=kept))
                first += len(part)
            number += 1
    return works


def _assemble(photos: Sequence[Photo], share: Share, contributions: Sequence[Contribution]) -> Features:
    """Put a split's features together from the contributions of all processes. Only the rows differ between processes."""
    places = np.concatenate([one.readable for one in contributions])
    order = places.argsort()
    places, digests = places[order], np.concatenate([one.digests for one in contributions])[order]
    kept = tuple(photos[place] for place in places)
    labels = np.array([photo.label for photo in kept], np.int64)
    mine = np.searchsorted(places, share.contribution().readable)
    rows = np.concatenate([mine + view * len(kept) for view in range(share.copies)])
    pixels = {place: pixels for one in contributions for place, pixels in one.pixels.items()}
    return Features(
        features=share.features(max(one.columns for one in contributions)),
        rows=torch.from_numpy(rows),
        labels=torch.from_numpy(np.tile(labels, share.copies)),
        photos=kept * share.copies,
        fingerprint=hashlib.sha256(digests.tobytes() + labels.tobytes()).hexdigest(),
        **({"sample": torch.from_numpy(np.stack([pixels[place] for place in sorted(pixels)]))} if pixels else {}),
    )


def _with_sample(split: Features, preprocessing: Preprocessing) -> Features:
    """Return a split whose sample is not empty: if none of the chosen photos can be read, the sample is the first photo."""
    if len(split.sample):
        return split
    pixels = load_pixels(read_photo(split.photos[0].path), preprocessing)
    return replace(split, sample=torch.from_numpy(pixels[None]))


def _listed(splits: Mapping[str, Sequence[Photo]], missing: Mapping[str, Mapping[int, str]]) -> list[Unreadable]:
    return [
        Unreadable(splits[name][place].path, reason)
        for name, reasons in missing.items()
        for place, reason in sorted(reasons.items())
    ]


def _stopped(done: int, total: int, cache: Path | None) -> stop.Stopped:
    kept = f"the features of {done} photos are kept in {cache}" if cache else "no feature was kept"
    return stop.Stopped(f"stopped by SIGTERM after {done} of {total} photos; {kept}, no model was written")
