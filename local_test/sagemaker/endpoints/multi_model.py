"""The models of one instance of a multi-model endpoint.

Each model is loaded at its first invocation, and unloaded when another model needs room.
"""

import hashlib
import json
import shutil
import threading
import time
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from local_test.sagemaker.endpoints.client import Answer, Body, TimedOut
from local_test.sagemaker.endpoints.model_data import NoModelData, Source, bring
from local_test.sagemaker.storage import S3Uri, Storage

if TYPE_CHECKING:
    from local_test.sagemaker.endpoints.instance import Instance

FOLDER = PurePosixPath("/opt/ml/models")
# Seconds that loading may take; after 60 the client gets the answer that the model is still loading (C 3.4).
LOADING = 360.0
MODEL_WAIT = 60.0
NO_ROOM, LOADED, UNKNOWN = 507, 409, 404


class NotReady(Exception):
    """The model is still loading."""


class Refused(Exception):
    """The container refused to load the model; `answer` is its answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


class Models:
    """The models that one container of a multi-model endpoint has loaded."""

    def __init__(self, instance: "Instance", prefix: S3Uri, storage: Storage, folder: Path, cached: bool) -> None:
        self.cached = cached
        self._instance = instance
        self._prefix = prefix
        self._storage = storage
        self._folder = folder
        self._used: dict[str, float] = {}  # the time of each loaded model's last invocation, by its target
        self._busy: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()
        instance.on_start = self._forget

    def load(self, target: str) -> bool:
        """Load a model unless it is loaded, and return True if it was already loaded.

        Raises NoModelData, NotReady, Refused, Gone and TimedOut.
        """
        with self._lock:
            busy = self._busy.setdefault(target, threading.Lock())
        if not busy.acquire(timeout=MODEL_WAIT):
            raise NotReady
        try:
            hit = target in self._used
            if not hit:
                self._load(target)
            self._used[target] = time.monotonic()
            return hit
        finally:
            busy.release()

    def invoke(self, target: str, seconds: float, headers: dict[str, str], body: Body) -> Answer:
        """Return the answer of a loaded model."""
        path = f"/models/{identity(target)}/invoke"
        try:
            return self._instance.ask("POST", path, seconds, headers, body)
        finally:
            if not self.cached:
                self.unload(target)

    def unload(self, target: str) -> None:
        if self._used.pop(target, None) is not None:
            self._instance.ask("DELETE", f"/models/{identity(target)}", MODEL_WAIT, {}, None)
            shutil.rmtree(self._folder / identity(target), ignore_errors=True)

    def count(self) -> int:
        return len(self._used)

    def remove(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def _load(self, target: str) -> None:
        name = identity(target)
        folder = self._folder / name
        if not folder.exists():
            try:
                source = Source(self._prefix.below(target.lstrip("/")), prefix=False, packed=True)
                bring(source, self._storage, folder / "model")
            except NoModelData:
                shutil.rmtree(folder, ignore_errors=True)
                raise
        url = self._instance.path(FOLDER / name / "model")
        body = json.dumps({"model_name": name, "url": url}).encode()
        while True:
            try:
                answer = self._instance.ask("POST", "/models", LOADING, {"Content-Type": "application/json"}, body)
            except TimedOut:
                raise NotReady from None
            if answer.status == NO_ROOM and self._used:
                self.unload(min(self._used, key=self._used.__getitem__))
                continue
            if answer.status not in (200, LOADED):
                shutil.rmtree(folder, ignore_errors=True)
                raise Refused(answer)
            return

    def _forget(self) -> None:
        """Forget all models, because a container that has just started has not loaded any."""
        self._used.clear()


def identity(target: str) -> str:
    """Return the container's name for a model, which is opaque and differs from the TargetModel (C 3.4)."""
    return hashlib.sha256(target.encode()).hexdigest()[:32]
