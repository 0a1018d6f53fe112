"""Features on disk, found again by the photo's content. They are in shards of up to 1,024 photos,
<folder>/<key>/<hash>.safetensors. A shard is written under a temporary name and then renamed, so several processes may share
the folder; at worst two of them compute the same photo.
"""

import contextlib
import hashlib
import json
import os
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from classifier.spec import Preprocessing

SHARD = 1024  # photos in a shard; a process that is killed loses at most this many features
OPEN = 32  # the number of shards mapped at a time; photos are mostly read in the order in which they were kept
# Raise this number when images.py makes other pixels from the same bytes, or the pass other features from the same pixels. Then old
# features are no longer found.
PIXELS_VERSION = 5


def cache_key(backbone: nn.Module, preprocessing: Preprocessing, precision: str) -> str:
    """Return the SHA-256 of everything except the photo that decides a feature: weights, preprocessing and precision.

    OpenVINO and torch share a key, since at one precision they have the same numerics. At float32 a probe holds them within 1e-4 of
    each other. At bfloat16 lite0's features of 540 photos differed by 0.8 % of their length between OpenVINO and the folded torch,
    and by 4.7 % between torch with and without folding.
    """
    digest = hashlib.sha256(json.dumps([PIXELS_VERSION, precision, asdict(preprocessing)]).encode())
    for name, value in sorted(backbone.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


class FeatureCache:
    """The kept features of one `key`: a combination of backbone, preprocessing and precision.

    In memory it holds only the place of each feature on disk. A damaged shard is left out, and named unless `quiet`. Threads may
    share it.
    """

    def __init__(self, folder: Path, key: str, *, quiet: bool = False) -> None:
        self._folder = folder / key
        self._pending: dict[bytes, Tensor] = {}
        self._shards: list[Path] = []
        self._places: dict[bytes, int] = {}  # shard * _ROWS + row: one number takes less memory than two
        self._mapped: dict[int, Any] = {}
        self._lock = threading.Lock()
        for path in sorted(self._folder.glob("*.safetensors")):
            try:
                digests = _digests(path)
            except Exception as error:  # safetensors raises its own type of error, and KeyError for another file
                if not quiet:
                    print(f"feature cache: {path} is damaged ({error}) and left out", file=sys.stderr)
                continue
            start = len(self._shards) * _ROWS
            self._shards.append(path)
            self._places |= {digest: start + row for row, digest in enumerate(digests)}

    def __len__(self) -> int:
        return len(self._places)

    def find(self, digest: bytes) -> Tensor | None:
        """Return the feature, float32 [D], that is kept under a digest (SHA-256 of a photo's bytes), or None."""
        place = self._places.get(digest)
        if place is None:
            return None
        shard, row = divmod(place, _ROWS)
        with self._lock:
            if shard not in self._mapped:
                while len(self._mapped) >= OPEN:
                    del self._mapped[next(iter(self._mapped))]
                opened: Any = safe_open(self._shards[shard], framework="pt")
                self._mapped[shard] = opened.get_slice("features")
            feature: Tensor = self._mapped[shard][row]
        return feature

    def add(self, features: Mapping[bytes, Tensor]) -> None:
        """Keep features [D] under their digests; they are written to disk when a shard is full."""
        with self._lock:
            self._pending |= features
            full = len(self._pending) >= SHARD
        if full:
            self.flush()

    def flush(self) -> None:
        """Write the features that wait for a full shard. A failure is only printed: training does not need the files."""
        with self._lock:
            pending, self._pending = self._pending, {}
        if not pending:
            return
        digests = b"".join(pending)
        path = self._folder / f"{hashlib.sha256(digests).hexdigest()}.safetensors"
        temporary = path.with_name(f".{path.stem}.{os.getpid()}")
        shard = {
            "digests": torch.frombuffer(bytearray(digests), dtype=torch.uint8).view(-1, 32),
            "features": torch.stack(list(pending.values())),
        }
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            save_file(shard, temporary)
            temporary.replace(path)
        except (OSError, SafetensorError) as error:
            print(
                f"feature cache: {len(pending)} photos' features are not kept in {self._folder}: {error}",
                file=sys.stderr,
            )
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


_ROWS = 2**32


def _digests(path: Path) -> list[bytes]:
    """Return the digests of a shard's rows; raises the errors of safetensors, and ValueError."""
    with safe_open(path, framework="np") as shard:
        digests = shard.get_tensor("digests")
        if digests.ndim != 2 or shard.get_slice("features").get_shape()[0] != len(digests):
            raise ValueError("its digests and features differ in number")
    return [row.tobytes() for row in digests]
