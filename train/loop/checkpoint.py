"""Checkpoints: the state with which a killed job continues as if it had not been interrupted. Only the chief writes them.

The folder holds the newest two checkpoints and the best model of each stage. `head-0003-000040.<digest>.pt` was written after step
40 of epoch 3, `best-head-0002.<digest>.pt` holds the model after epoch 2. A file is written under a temporary name and then renamed. Its
name holds the digest of its content, which reveals damage. Files are read by torch.load(weights_only=True), which runs no code.
"""

import dataclasses
import hashlib
import io
import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from classifier.errors import ConfigError
from train.config import FREE
from train.loop.stage import Best, Stage, State
from train.processes.world import World

FORMAT = 1
KEPT = 2
STAGES = ("head", "finetune")  # in the order in which they are trained


@dataclasses.dataclass(frozen=True)
class Kept:
    """The best model of a stage. If the stage is over, `finished` holds the hyperparameters that a search may have chosen."""

    best: Best
    finished: Mapping[str, Any] | None
    epochs: list[dict[str, Any]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Saved:
    """A checkpoint: the place in its stage, the state of the stage's updates, and the finished epochs of both stages."""

    stage: str
    state: State
    updates: Mapping[str, Any]
    epochs: list[dict[str, Any]]

    def restore(self, stage: Stage) -> State:
        """Put a stage into the state of this checkpoint, and return its epoch and step."""
        stage.updates.load_state_dict(self.updates)
        print(f"{stage.name}: goes on after step {self.state.step} of epoch {self.state.epoch}", flush=True)
        return dataclasses.replace(self.state)


class Checkpoints:
    """The checkpoints of one job in `folder`, written every `every` seconds.

    `job` holds the values that must be the same when the job continues: hyperparameters, classes, and the photos' fingerprints.
    """

    def __init__(self, folder: Path, job: Mapping[str, Any], every: float, world: World) -> None:
        self._folder, self._every, self._world = folder, every, world
        self._job = json.loads(json.dumps(job))
        self._last = time.monotonic()
        # The epochs so far, for the records: an interruption loses records.jsonl.
        self.epochs: list[dict[str, Any]] = []
        if world.chief:
            folder.mkdir(parents=True, exist_ok=True)
            for left in folder.glob(".*.part"):
                left.unlink()

    def due(self) -> bool:
        """Return whether it is time for a checkpoint; always False in processes other than the chief."""
        return self._world.chief and time.monotonic() - self._last >= self._every

    def save(self, stage: Stage, state: State) -> None:
        """Write a checkpoint of a stage. If that fails, say so and keep the earlier ones."""
        if not self._world.chief:
            return
        content = {
            "stage": stage.name,
            "state": dataclasses.asdict(state),
            **stage.updates.state_dict(),
            "epochs": self.epochs,
        }
        if self._write(f"{stage.name}-{state.epoch:04d}-{state.step:06d}", content):
            for old in self._found()[KEPT:]:
                old.unlink(missing_ok=True)
        self._last = time.monotonic()

    def save_best(self, name: str, best: Best, finished: Mapping[str, Any] | None = None) -> None:
        """Write the best model of a stage. If the stage is over, `finished` holds the hyperparameters that it chose."""
        if not self._world.chief:
            return
        content = {"best": dict(vars(best)), "finished": finished, "epochs": self.epochs}
        before = set(self._folder.glob(f"best-{name}-*.pt"))
        written = self._write(f"best-{name}-{best.epoch:04d}", content)
        for old in before - {written} if written else ():
            old.unlink(missing_ok=True)

    def load(self) -> Saved | None:
        """Return the newest undamaged checkpoint, the same in all processes; None if there is no such checkpoint.

        Raises ConfigError if it comes from a job with other hyperparameters, classes or photos.
        """
        content = self._read_first(self._found() if self._world.chief else [])
        if content is None:
            return None
        state = State(**content["state"])
        return Saved(stage=content["stage"], state=state, updates=content, epochs=content["epochs"])

    def load_best(self, name: str) -> Kept | None:
        """Return the best model of a stage, in all processes, or None; raises ConfigError as load() does."""
        found = sorted(self._folder.glob(f"best-{name}-*.pt"), reverse=True) if self._world.chief else []
        content = self._read_first(found)
        if content is None:
            return None
        best = content["best"] | {"score": tuple(content["best"]["score"])}
        return Kept(Best(**best), content["finished"], content["epochs"])

    def discard(self) -> None:
        """Remove all checkpoints."""
        for path in self._folder.glob("*-*.pt") if self._world.chief else ():
            path.unlink(missing_ok=True)

    def _found(self) -> list[Path]:
        """Return the checkpoints, newest first. They are ordered by name, because files copied from S3 have other times."""
        found = [path for stage in STAGES for path in sorted(self._folder.glob(f"{stage}-*.pt"))]
        return found[::-1]

    def _write(self, name: str, content: Mapping[str, Any]) -> Path | None:
        buffer = io.BytesIO()
        torch.save({"format": FORMAT, "job": self._job, **content}, buffer)
        data = buffer.getbuffer()
        path = self._folder / f"{name}.{_digest(data)}.pt"
        part = self._folder / f".{name}.part"
        try:
            with part.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except OSError as error:
            part.unlink(missing_ok=True)
            print(
                f"checkpoint {name} could not be written ({error.strerror}): training goes on, what was saved before is kept; "
                f"{len(data) / 1e6:.0f} MB are needed in {self._folder}",
                flush=True,
            )
            return None
        return path

    def _read_first(self, paths: list[Path]) -> dict[str, Any] | None:
        """Return the content of the first undamaged file. The chief reads it and sends it to all processes."""
        content, refusal = None, None
        for path in paths:
            try:
                data = path.read_bytes()
                if _digest(data) != path.name.split(".")[1]:
                    raise ValueError("its content does not match the digest in its name")
                content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
            except Exception as error:  # torch raises many types
                print(f"checkpoint {path} is damaged and left out: {error}", file=sys.stderr, flush=True)
                # A damaged file must not count as one of the two newest.
                path.unlink(missing_ok=True)
                continue
            refusal = self._difference(path, content)
            break
        found: dict[str, Any] | None
        found, refusal = self._world.broadcast((content, refusal))
        if refusal:
            raise ConfigError(refusal)
        return found

    def _difference(self, path: Path, content: Mapping[str, Any]) -> str | None:
        """Return a sentence on how the job that wrote a checkpoint differs from this one, or None."""
        remedy = f"empty {self._folder} to start anew, or give the settings and photos with which it was written"
        if content.get("format") != FORMAT:
            return f"checkpoint {path} has format {content.get('format')!r}, this program writes {FORMAT}; {remedy}"
        then, now = content["job"], self._job
        for name, value in now["hyperparameters"].items():
            if name not in FREE and then["hyperparameters"].get(name) != value:
                before = then["hyperparameters"].get(name)
                return f"checkpoint {path} is of a job with {name} {before!r}, this one has {value!r}; {remedy}"
        if then["classes"] != now["classes"]:
            changed = sorted(set(then["classes"]) ^ set(now["classes"]))
            return (
                f"checkpoint {path} is of a job with {len(then['classes'])} classes, this one has {len(now['classes'])}; "
                f"they differ in {', '.join(map(repr, changed[:5])) or 'their order'}; {remedy}"
            )
        for split, fingerprint in now["photos"].items():
            if then["photos"].get(split) != fingerprint:
                return f"checkpoint {path} is of a job with other {split} photos or labels; {remedy}"
        return None


def _digest(data: "bytes | memoryview") -> str:
    return hashlib.sha256(data).hexdigest()[:16]
