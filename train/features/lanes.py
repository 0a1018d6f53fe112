"""The work on photos that many threads do side by side: read, decode, cut views out, forward through the backbone."""

import hashlib
from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from classifier.errors import PhotoError
from classifier.images import Decoded, Pixels, read_photo
from classifier.models import Classifier
from classifier.photos import Photo
from train.features.cache import FeatureCache
from train.features.views import draw, view_key
from train.precision import autocast
from train.spool.pack import Pack

# Photos that a lane takes at a time, and on a processor sends through the backbone together. 8 stays in a core's cache:
# efficientnet-lite0 in bf16 ran 154 photos/s with 8 and 102 with 32 on 2 cores (benchmarks/features.py measures the whole
# pass). On a GPU, train.features.collector sends the photos of several lanes together.
CHUNK = 8


@dataclass(frozen=True, kw_only=True)
class Work:
    """Photos that follow each other in a split from `start`; `first` counts only those that this process does."""

    split: str
    photos: Sequence[Photo]
    start: int
    first: int
    views: int
    wanted: Collection[int]  # places in `photos` of those whose pixels are kept


@dataclass(frozen=True)
class Chunk:
    """What came of some photos, each named by its place in `work.photos`."""

    work: Work
    digests: dict[int, bytes] = field(default_factory=dict)
    rows: list[tuple[int, int, Tensor]] = field(default_factory=list)  # photo, view (0 is the photo itself), [D]
    pixels: dict[int, Pixels] = field(default_factory=dict)
    unreadable: dict[int, str] = field(default_factory=dict)
    waiting: "list[View]" = field(default_factory=list)  # of which there are no features yet


@dataclass(frozen=True, kw_only=True)
class View:
    """What goes through the backbone: a photo's pixels (view 0) or those of one of its views."""

    photo: int
    view: int
    key: bytes
    pixels: Pixels


@dataclass(frozen=True, kw_only=True)
class Shared:
    """What all lanes share: the backbone, the features that are kept on disk, and the photos' bytes that are kept."""

    model: Classifier
    precision: str
    store: FeatureCache | None
    pack: Pack | None

    def run(self, work: Work) -> Chunk:
        """Do a chunk's photos; those that are in the store are only read."""
        chunk = Chunk(work)
        for photo in self._photos(chunk):
            chunk.waiting.extend(photo)
            while len(chunk.waiting) >= CHUNK:
                self._compute(chunk, CHUNK)
        if chunk.waiting:
            self._compute(chunk, CHUNK)
        return chunk

    def decode(self, work: Work) -> Chunk:
        """Do a chunk's photos but for the backbone, which those that are not in the store wait for."""
        chunk = Chunk(work)
        for photo in self._photos(chunk):
            chunk.waiting.extend(photo)
        return chunk

    def keep(self, chunk: Chunk, views: Sequence[View], features: Tensor) -> None:
        """Note the features of views, and keep them at once: a pass that is stopped takes no further chunks."""
        if self.store is not None:
            self.store.add({view.key: row for view, row in zip(views, features, strict=True)})
        chunk.rows.extend((view.photo, view.view, row) for view, row in zip(views, features, strict=True))

    def _photos(self, chunk: Chunk) -> Generator[list[View], None, None]:
        for index, photo in enumerate(chunk.work.photos):
            try:
                yield self._prepare(chunk, index, photo)
            except PhotoError as error:
                chunk.unreadable[index] = str(error)

    def _prepare(self, chunk: Chunk, index: int, photo: Photo) -> list[View]:
        """Read a photo and decode it if it must be; return its pixels and views whose features are to be computed."""
        data = self.pack.read(photo.path) if self.pack is not None else read_photo(photo.path)
        digest = hashlib.sha256(data).digest()
        keys = [digest, *(view_key(digest, number) for number in range(1, chunk.work.views + 1))]
        found = ((view, self.store.find(key)) for view, key in enumerate(keys)) if self.store is not None else ()
        known = {view: row for view, row in found if row is not None}
        result = []
        if len(known) < len(keys) or index in chunk.work.wanted:
            decoded = Decoded(data, self.model.preprocessing)
            if index in chunk.work.wanted:
                chunk.pixels[index] = decoded.pixels()
            for view, key in enumerate(keys):
                if view not in known:
                    result.append(View(photo=index, view=view, key=key, pixels=_cut(decoded, view, key)))
        chunk.rows.extend((index, view, row) for view, row in known.items())
        chunk.digests[index] = digest
        if self.pack is not None:
            self.pack.add(photo.path, data)
        return result

    def _compute(self, chunk: Chunk, count: int) -> None:
        views = chunk.waiting[:count]
        features = forward(self.model, torch.from_numpy(np.stack([view.pixels for view in views])), self.precision)
        self.keep(chunk, views, features)
        del chunk.waiting[:count]


def _cut(decoded: Decoded, view: int, key: bytes) -> Pixels:
    if not view:
        return decoded.pixels()
    drawn = draw(key, *decoded.size)
    return decoded.pixels(drawn.box, flip=drawn.flip)


def forward(model: Classifier, pixels: Tensor, precision: str) -> Tensor:
    """Return float32 features [N, D] on the CPU for uint8 pixels [N, H, W, 3]."""
    device = next(model.parameters()).device
    with torch.inference_mode(), autocast(device.type, precision):
        return model.features(pixels.to(device, non_blocking=True)).cpu()


def in_flight(run: Callable[[Work], Chunk], works: Iterable[Work], lanes: int) -> Generator[Chunk, None, None]:
    """Yield chunks as they are done, on `lanes` threads that start them in order, with a bounded number under way."""
    with ThreadPoolExecutor(lanes, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        waiting: set[Future[Chunk]] = set()
        try:
            for work in works:
                if len(waiting) >= 4 * lanes:
                    done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in done)
                waiting.add(pool.submit(run, work))
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        finally:
            pool.shutdown(cancel_futures=True)
