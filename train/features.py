"""Stage 1: one pass of the frozen backbone over the photos; the features are kept and the head trains on them."""

import contextlib
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from classifier.device import gpu_precision
from classifier.errors import ConfigError, DataError
from classifier.fold import folded
from classifier.images import load_pixels, read_photo
from classifier.models import Classifier
from classifier.photos import Photo
from classifier.progress import Progress
from classifier.spec import Preprocessing
from classifier.unreadable import faults, too_many
from train import stop
from train.cache import FeatureCache, cache_key
from train.collector import BATCH, collected
from train.lanes import CHUNK, Lane, Work, compute_exactly, in_flight
from train.pack import Pack
from train.share import Report, Share, make_room
from train.world import World, local_threads

# Images to compute from which a folded backbone saves more than folding costs, 0.1 to 0.8 s. In bf16 on 2 shared
# cores it was 1.34 times as fast for efficientnet-lite0 and 1.07 for inception_v3 (medians of ten turns). Lite0's features
# of 120 photos are then 3.3 % off float32's on average, 3.1 % without.
FOLDED_FROM = 1000


@dataclass(frozen=True)
class Features:
    """A split's features, in the rows that this process owns, and labels and photos of all rows of all processes.

    `features` is float32 [n, D], `rows` int64 [n] the places of these among the N, `labels` int64 [N]. With views, the N
    are all readable photos, then the first view of each, and so on. `fingerprint` is the SHA-256 over the photos' content
    and labels. `sample` is uint8 [S, crop, crop, 3], the pixels of a few photos, where they were asked for.
    """

    features: Tensor
    rows: Tensor
    labels: Tensor
    photos: tuple[Photo, ...]
    fingerprint: str
    sample: Tensor = field(default_factory=lambda: torch.empty(0, 0, 0, 3, dtype=torch.uint8))


@dataclass(frozen=True)
class Unreadable:
    """A photo that was left out, and why."""

    path: Path
    reason: str


def extract(
    model: Classifier,
    splits: Mapping[str, Sequence[Photo]],
    preprocessing: Preprocessing,
    *,
    precision: str,
    cache: Path | None,
    max_unreadable: float,
    views: int = 0,
    sample: int = 0,
    pack: Pack | None = None,
    world: World = World(),  # noqa: B008 - frozen
    classes: Sequence[str] = (),
    label: str = "features",
) -> tuple[dict[str, Features], list[Unreadable]]:
    """Return every split's features, and the photos that could not be read.

    Each core runs a lane of its own, one thread that reads, decodes and forwards eight photos at a time: no lane waits
    for another, which a forward pass spread over the cores does. On a GPU the lanes only decode, and this thread sends
    what they have through the backbone. The processes of `world` share the photos out. The split
    train also gets `views` augmented copies of each photo. `pack` gives the bytes that it holds and keeps the others;
    `sample` photos of each split leave their pixels. Raises DataError when more than `max_unreadable` percent of all photos
    are unreadable, at once if this process is alone, when all of a split are, and when all of one of `classes` in train are;
    and Stopped on SIGTERM. What is done by then stays in the cache.
    """
    compute_exactly()
    store = FeatureCache(cache, cache_key(model.backbone, preprocessing, precision)) if cache else None
    device = next(model.parameters()).device
    works = _works(splits, views, sample, world)
    shares = {name: Share([work for work in works if work.split == name]) for name in splits}
    mine, done = sum(len(work.photos) for work in works), 0
    images = sum(len(photos) * (1 + views * (name == "train")) for name, photos in splits.items())
    if images - (0 if store is None else len(store)) >= FOLDED_FROM:
        backbone = folded(model.backbone, preprocessing.crop)
        model = Classifier(backbone, nn.Identity(), preprocessing, 1.0).eval().to(device)
    lane = Lane(model, preprocessing, precision, store, pack)
    batch = BATCH[device.type]
    passed = collected(lane, batch, works, local_threads()) if batch else in_flight(lane.run, works, local_threads())
    threads = torch.get_num_threads()
    try:
        with (
            Progress(label, mine, "photos", shown=world.chief) as progress,
            contextlib.closing(passed) as chunks,
        ):
            for chunk in chunks:
                make_room(shares, chunk)
                shares[chunk.work.split].take(chunk)
                if world.size == 1 and chunk.unreadable:
                    now = {name: share.unreadable for name, share in shares.items()}
                    if fault := too_many(splits, now, max_unreadable):
                        raise DataError(fault)
                progress.advance(len(chunk.work.photos))
                done += len(chunk.work.photos)
                if stop.requested.is_set() and (done < mine or world.size > 1):
                    raise _stopped(done, mine, cache)
    finally:
        if store is not None:
            store.flush()
        # Trap: the one thread that each lane sets for itself reaches libraries below torch for all threads.
        torch.set_num_threads(threads)
    try:
        everyone: list[dict[str, Report]] = world.gather({name: share.report() for name, share in shares.items()})
    except RuntimeError:
        if stop.requested.is_set():  # another process was stopped before it came here
            raise _stopped(done, mine, cache) from None
        raise
    reports = {name: [one[name] for one in everyone] for name in splits}
    missing = {name: {n: why for one in all_ for n, why in one.unreadable.items()} for name, all_ in reports.items()}
    for fault in faults(splits, missing, max_unreadable, classes):
        raise DataError(fault)
    return {
        name: _assemble(photos, shares[name], reports[name], preprocessing, sample) for name, photos in splits.items()
    }, _listed(splits, missing)


def resolve_precision(precision: str) -> str:
    """Return `auto` as bf16 where the processor or GPU computes it natively, else fp16 on a GPU that is fast in it, else fp32.

    Raises ConfigError for fp16 without a GPU.
    """
    if precision == "fp16" and not torch.cuda.is_available():
        raise ConfigError("hyperparameter precision is fp16, which needs a GPU; leave it at auto")
    if precision != "auto":
        return precision
    if torch.cuda.is_available():
        return gpu_precision()
    return "bf16" if torch.ops.mkldnn._is_mkldnn_bf16_supported() else "fp32"


def _works(splits: Mapping[str, Sequence[Photo]], views: int, sample: int, world: World) -> list[Work]:
    """Return this process's chunks, in the listed order."""
    works, number = [], 0
    for name, photos in splits.items():
        # Small enough that each process has some of a small split.
        step = max(1, min(CHUNK, len(photos) // world.size))
        wanted = range(0, len(photos), max(1, len(photos) // sample))[:sample] if sample else range(0)
        first = 0
        for start in range(0, len(photos), step):
            if number % world.size == world.rank:
                part = photos[start : start + step]
                kept = [place - start for place in wanted if 0 <= place - start < len(part)]
                works.append(Work(name, part, start, first, views if name == "train" else 0, kept))
                first += len(part)
            number += 1
    return works


def _assemble(
    photos: Sequence[Photo],
    share: Share,
    reports: Sequence[Report],
    preprocessing: Preprocessing,
    sample: int,
) -> Features:
    """Return a split's features, of which all processes know the same but the rows."""
    places = np.concatenate([report.readable for report in reports])
    order = places.argsort()
    places, digests = places[order], np.concatenate([report.digests for report in reports])[order]
    kept = tuple(photos[place] for place in places)
    labels = np.array([photo.label for photo in kept], np.int64)
    mine = np.searchsorted(places, share.report().readable)
    rows = np.concatenate([mine + view * len(kept) for view in range(share.copies)])
    pixels = {place: pixels for report in reports for place, pixels in report.pixels.items()}
    if sample and not pixels:  # all of them are unreadable
        pixels = {0: load_pixels(read_photo(kept[0].path), preprocessing)}
    return Features(
        features=share.features(max(report.columns for report in reports)),
        rows=torch.from_numpy(rows),
        labels=torch.from_numpy(np.tile(labels, share.copies)),
        photos=kept * share.copies,
        fingerprint=hashlib.sha256(digests.tobytes() + labels.tobytes()).hexdigest(),
        **({"sample": torch.from_numpy(np.stack([pixels[place] for place in sorted(pixels)]))} if pixels else {}),
    )


def _listed(splits: Mapping[str, Sequence[Photo]], missing: Mapping[str, Mapping[int, str]]) -> list[Unreadable]:
    return [
        Unreadable(splits[name][place].path, reason)
        for name, reasons in missing.items()
        for place, reason in sorted(reasons.items())
    ]


def _stopped(done: int, total: int, cache: Path | None) -> stop.Stopped:
    kept = f"the features of {done} photos are kept in {cache}" if cache else "no feature was kept"
    return stop.Stopped(f"stopped by SIGTERM after {done} of {total} photos; {kept}, no model was written")
