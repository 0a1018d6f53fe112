"""Features on disk, found again by the photo's content: <folder>/<key>/<hash>.safetensors, each a shard of some photos.

A shard is written beside its place and renamed, so several processes may share the folder: at worst they compute the
same photo twice.
"""

import hashlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

SHARD = 1024  # photos; what a killed process loses at most


class FeatureCache:
    """The features of one backbone, preprocessing and precision, which together are the `key`."""

    def __init__(self, folder: Path, key: str) -> None:
        self._folder = folder / key
        self._pending: dict[bytes, Tensor] = {}

    def read(self) -> dict[bytes, Tensor]:
        """Return all kept features [D] by the SHA-256 of the photo's bytes; damaged shards are named and skipped."""
        found: dict[bytes, Tensor] = {}
        for path in sorted(self._folder.glob("*.safetensors")):
            try:
                shard = load_file(path)
                found |= {
                    row.numpy().tobytes(): feature
                    for row, feature in zip(shard["digests"], shard["features"], strict=True)
                }
            except Exception as error:  # safetensors raises a type of its own, and KeyError for another file
                print(f"feature cache: {path} is damaged ({error}) and left out", file=sys.stderr)
        return found

    def add(self, features: Mapping[bytes, Tensor]) -> None:
        """Keep features [D] by digest; they reach the disk a shard at a time."""
        self._pending |= features
        if len(self._pending) >= SHARD:
            self.flush()

    def flush(self) -> None:
        """Write what is pending."""
        if not self._pending:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        digests = b"".join(self._pending)
        path = self._folder / f"{hashlib.sha256(digests).hexdigest()}.safetensors"
        temporary = path.with_name(f".{path.stem}.{os.getpid()}")
        shard = {
            "digests": torch.frombuffer(bytearray(digests), dtype=torch.uint8).view(-1, 32),
            "features": torch.stack(list(self._pending.values())),
        }
        try:
            save_file(shard, temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        self._pending = {}
