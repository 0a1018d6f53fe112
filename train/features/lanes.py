"""Lanes: threads that work on photos side by side. Each reads, decodes, cuts out views and runs the backbone."""

import hashlib
import time
from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from classifier.backends import Forward
from classifier.errors import PhotoError
from classifier.images import Decoded, Pixels, read_photo
from classifier.models import Classifier
from classifier.photos import Photo
from train.features.cache import FeatureCache
from train.features.inputs import PHOTOS, Moments, moments
from train.features.views import draw, view_key
from train.precision import autocast
from train.spool.pack import Pack

# The number of photos that a lane takes at a time. On a processor it also sends them through the backbone together: 8 photos fit into a
# core's cache. On 2 cores efficientnet-lite0 in bf16 did 154 photos/s by 8 and 102 by 32; benchmarks/features.py measures the
# whole pass. On a GPU, train.features.collector sends the photos of several lanes together.
CHUNK = 8


@dataclass(frozen=True, kw_only=True)
class Work:
    """A run of photos for one lane.

    They are consecutive photos of `split`. `start` is the first one's index among all photos of the split, `first` its index among those of
    this process. Each photo gets `views` augmented copies.
    """

    split: str
    photos: Sequence[Photo]
    start: int
    first: int
    views: int
    wanted: Collection[int]  # indices in `photos` of the photos whose pixels are kept


@dataclass(frozen=True)
class Chunk:
    """The results of some work; photos are identified by their index in `work.photos`."""

    work: Work
    digests: dict[int, bytes] = field(default_factory=dict)
    rows: list[tuple[int, int, Tensor]] = field(default_factory=list)  # photo, view (0 is the photo itself), [D]
    pixels: dict[int, Pixels] = field(default_factory=dict)
    unreadable: dict[int, str] = field(default_factory=dict)
    waiting: "list[View]" = field(default_factory=list)  # views that have no features yet
    seconds: "PassSeconds" = field(default_factory=lambda: PassSeconds())
    inputs: list[Moments] = field(default_factory=list)  # the moments of some photos of train


@dataclass
class PassSeconds:
    """The seconds that some photos took: reading and decoding, copying to the device, and the backbone's pass."""

    read: float = 0.0
    move: float = 0.0
    forward: float = 0.0

    def add(self, other: "PassSeconds", share: float) -> None:
        """Add a share of the times of several chunks."""
        self.move += share * other.move
        self.forward += share * other.forward


@dataclass(frozen=True, kw_only=True)
class View:
    """Pixels for the backbone: those of a photo (view 0), or of one of its augmented copies (view 1 and above)."""

    photo: int
    view: int
    key: bytes
    pixels: Pixels


@dataclass(frozen=True, kw_only=True)
class Shared:
    """The objects that all lanes share: the model, the features on disk, and the photos' bytes on disk.

    An `opened` backend computes in place of torch. Each lane calls it from its own thread.
    """

    model: Classifier
    precision: str
    opened: Forward | None
    store: FeatureCache | None
    pack: Pack | None

    def run(self, work: Work) -> Chunk:
        """Do all work on some photos. Photos whose features are stored are read, but neither decoded nor forwarded."""
        started, chunk = time.perf_counter(), Chunk(work)
        for photo in self._photos(chunk):
            chunk.waiting.extend(photo)
            while len(chunk.waiting) >= CHUNK:
                self._compute(chunk, CHUNK)
        if chunk.waiting:
            self._compute(chunk, CHUNK)
        seconds = chunk.seconds
        seconds.read = time.perf_counter() - started - seconds.move - seconds.forward
        return chunk

    def decode(self, work: Work) -> Chunk:
        """Do all work on some photos except for the backbone; views without stored features are left in `waiting`."""
        started, chunk = time.perf_counter(), Chunk(work)
        for photo in self._photos(chunk):
            chunk.waiting.extend(photo)
        chunk.seconds.read = time.perf_counter() - started
        return chunk

    def keep(self, chunk: Chunk, views: Sequence[View], features: Tensor) -> None:
        """Put the features of some views into the chunk and the store.

        The store gets them at once, because a stopped pass collects no further chunks.
        """
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
        """Read a photo, decode it if necessary, and return its views that have no stored features."""
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
            if 0 not in known and chunk.work.split == "train" and chunk.work.start < PHOTOS:
                chunk.inputs.append(moments(result[0].pixels))
        chunk.rows.extend((index, view, row) for view, row in known.items())
        chunk.digests[index] = digest
        if self.pack is not None:
            self.pack.add(photo.path, data)
        return result

    def _compute(self, chunk: Chunk, count: int) -> None:
        views = chunk.waiting[:count]
        pixels = np.stack([view.pixels for view in views])
        if self.opened is None:
            features = forward(self.model, torch.from_numpy(pixels), self.precision, chunk.seconds)
        else:
            started = time.perf_counter()
            features = torch.from_numpy(self.opened(pixels))
            chunk.seconds.forward += time.perf_counter() - started
        self.keep(chunk, views, features)
        del chunk.waiting[:count]


def _cut(decoded: Decoded, view: int, key: bytes) -> Pixels:
    if not view:
        return decoded.pixels()
    drawn = draw(key, *decoded.size)
    return decoded.pixels(drawn.box, flip=drawn.flip)


def forward(model: Classifier, pixels: Tensor, precision: str, seconds: PassSeconds | None = None) -> Tensor:
    """Return float32 features [N, D] on the CPU for uint8 pixels [N, H, W, 3], and add the time that it took to `seconds`.

    On a GPU, copying counts only the start of the copy; the copy itself is part of the forward pass.
    """
    device = next(model.parameters()).device
    started = time.perf_counter()
    with torch.inference_mode(), autocast(device.type, precision):
        moved = pixels.to(device, non_blocking=True)
        between = time.perf_counter()
        features = model.features(moved).cpu()
    if seconds:
        seconds.move += between - started
        seconds.forward += time.perf_counter() - between
    return features


def in_flight(run: Callable[[Work], Chunk], works: Iterable[Work], lanes: int) -> Generator[Chunk, None, None]:
    """Run the works on `lanes` threads, in order, and yield each chunk when it is done; at most 4 for each lane are in progress."""
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
