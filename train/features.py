"""Stage 1: one pass of the frozen backbone over the photos; the features are kept and the head trains on them."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from classifier.errors import DataError, PhotoError
from classifier.images import load_pixels, read_photo
from classifier.models import Classifier
from classifier.photos import Photo
from classifier.progress import Progress
from classifier.spec import Preprocessing
from train import stop
from train.cache import FeatureCache

# Photos that a lane decodes and sends through the backbone together. 8 stays in a core's cache: efficientnet-lite0 in
# bf16 ran 154 photos/s with 8 and 102 with 32 on 2 cores (benchmarks/features.py measures the whole pass).
CHUNK = {"cpu": 8, "cuda": 64}
# Change it whenever images.py gives other pixels for the same bytes, so that no feature of the old way is found again.
PIXELS_VERSION = 2
LISTED = 5  # unreadable photos named in a message


@dataclass(frozen=True)
class Features:
    """The features float32 [N, D] and labels int64 [N] of a split's readable photos."""

    features: Tensor
    labels: Tensor
    photos: tuple[Photo, ...]


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
) -> tuple[dict[str, Features], list[Unreadable]]:
    """Return every split's features, and the photos that could not be read.

    Each core runs a lane of its own, one thread that reads, decodes and forwards eight photos at a time: no lane waits
    for another, which a forward pass spread over the cores does. Raises DataError as soon as more than `max_unreadable`
    percent of all photos turn out to be unreadable, and Stopped on SIGTERM; what is done by then stays in the cache.
    """
    photos = [photo for split in splits.values() for photo in split]
    store = FeatureCache(cache, cache_key(model.backbone, preprocessing, precision)) if cache else None
    known = store.read() if store else {}
    device = next(model.parameters()).device
    rows: list[Tensor | None] = [None] * len(photos)
    unreadable: list[Unreadable] = []
    lanes = torch.get_num_threads() if device.type == "cpu" else os.cpu_count() or 1
    size = CHUNK[device.type]
    done = 0

    def lane(start: int) -> _Chunk:
        return _run_chunk(model, photos[start : start + size], start, preprocessing, precision, known)

    with (
        Progress("features", len(photos), "photos") as progress,
        ThreadPoolExecutor(lanes, initializer=_one_thread) as pool,
    ):
        try:
            for chunk in _in_flight(pool, lane, range(0, len(photos), size), 4 * lanes):
                for index, row in chunk.rows.items():
                    rows[index] = row
                unreadable += chunk.unreadable
                if 100 * len(unreadable) > max_unreadable * len(photos):
                    raise DataError(_too_many(unreadable, len(photos), max_unreadable))
                if store:
                    store.add(chunk.computed)
                progress.advance(chunk.count)
                done += chunk.count
                if stop.requested.is_set() and done < len(photos):
                    kept = f"the features of {done} photos are kept in {cache}" if cache else "no feature was kept"
                    raise stop.Stopped(
                        f"stopped by SIGTERM after {done} of {len(photos)} photos; {kept}, no model was written"
                    )
        finally:
            pool.shutdown(cancel_futures=True)
            if store:
                store.flush()
    torch.set_num_threads(lanes if device.type == "cpu" else torch.get_num_threads())
    return _split_up(splits, rows), unreadable


def resolve_precision(precision: str) -> str:
    """Return `auto` as bf16 where the processor or GPU computes it natively, else fp32."""
    if precision != "auto":
        return precision
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    return "bf16" if torch.ops.mkldnn._is_mkldnn_bf16_supported() else "fp32"


def cache_key(backbone: nn.Module, preprocessing: Preprocessing, precision: str) -> str:
    """Return the name under which features are kept: all that decides them but the photo itself."""
    digest = hashlib.sha256(json.dumps([PIXELS_VERSION, precision, asdict(preprocessing)]).encode())
    for name, value in sorted(backbone.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


@dataclass
class _Chunk:
    count: int
    rows: dict[int, Tensor]
    computed: dict[bytes, Tensor]
    unreadable: list[Unreadable]


def _run_chunk(
    model: Classifier,
    photos: Sequence[Photo],
    start: int,
    preprocessing: Preprocessing,
    precision: str,
    known: Mapping[bytes, Tensor],
) -> _Chunk:
    chunk = _Chunk(len(photos), {}, {}, [])
    indices, digests, pixels = [], [], []
    for index, photo in enumerate(photos, start):
        try:
            data = read_photo(photo.path)
            digest = hashlib.sha256(data).digest()
            if digest in known:
                chunk.rows[index] = known[digest]
                continue
            pixels.append(load_pixels(data, preprocessing))
        except PhotoError as error:
            chunk.unreadable.append(Unreadable(photo.path, str(error)))
            continue
        indices.append(index)
        digests.append(digest)
    if pixels:
        features = forward(model, torch.from_numpy(np.stack(pixels)), precision)
        chunk.rows.update(zip(indices, features, strict=True))
        chunk.computed.update(zip(digests, features, strict=True))
    return chunk


def forward(model: Classifier, pixels: Tensor, precision: str) -> Tensor:
    """Return float32 features [N, D] on the CPU for uint8 pixels [N, H, W, 3]."""
    device = next(model.parameters()).device
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
        return model.features(pixels.to(device)).cpu()


def _in_flight(
    pool: ThreadPoolExecutor, lane: Callable[[int], _Chunk], starts: Sequence[int], limit: int
) -> Iterator[_Chunk]:
    """Yield chunks as they are done, with a bounded number under way."""
    waiting: set[Future[_Chunk]] = set()
    for start in starts:
        if len(waiting) >= limit:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)
        waiting.add(pool.submit(lane, start))
    while waiting:
        done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
        yield from (future.result() for future in done)


def _split_up(splits: Mapping[str, Sequence[Photo]], rows: Sequence[Tensor | None]) -> dict[str, Features]:
    result, start = {}, 0
    for name, photos in splits.items():
        kept = [
            (photo, row)
            for photo, row in zip(photos, rows[start : start + len(photos)], strict=True)
            if row is not None
        ]
        start += len(photos)
        if not kept:
            raise DataError(
                f"none of the {len(photos)} {name} photos can be read; look at them with: byoc data check DIR"
            )
        labels = torch.tensor([photo.label for photo, _ in kept])
        result[name] = Features(
            torch.stack([row for _, row in kept]).float(), labels, tuple(photo for photo, _ in kept)
        )
    return result


def _too_many(unreadable: Sequence[Unreadable], total: int, limit: float) -> str:
    named = "; ".join(f"{item.path}: {item.reason}" for item in unreadable[:LISTED])
    return (
        f"{len(unreadable)} of {total} photos cannot be read, over the limit of {limit:g} % (hyperparameter max-unreadable): "
        f"{named}; remove or replace them, byoc data check DIR lists all"
    )


def _one_thread() -> None:
    torch.set_num_threads(1)
