"""Whole runs to compare: this project's training program and the copied loop, each in a process of its own.

Nothing here imports torch. Linux counts the largest memory of the process that starts another as that one's own until
it is exceeded, so a heavy benchmark would spoil the `peak_memory_bytes` of every run that it starts.
"""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from classifier.photos import Photo, load_photo_set
from launch.training import Recipe, result, train

LITE = "timm/tf_efficientnet_lite0"


class NotRun(Exception):
    """Why a part could not be measured, as one sentence."""


@dataclass(frozen=True)
class Ratio:
    """A figure by name, and what it is to reach, if anything."""

    name: str
    value: float
    target: float | None = None
    at_most: bool = False

    @property
    def reached(self) -> bool | None:
        if self.target is None:
            return None
        return self.value <= self.target if self.at_most else self.value >= self.target

    def to_json(self) -> dict[str, Any]:
        """Return what results/train.json says of it beside its name."""
        return {"value": self.value, "target": self.target, "at_most": self.at_most, "reached": self.reached}


@dataclass(frozen=True)
class Measured:
    """What a part found: its ratios, the settings and raw times behind them, and sentences to read them with."""

    ratios: list[Ratio]
    settings: dict[str, Any]
    raw: dict[str, Any]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Split:
    """A folder with train/ and validation/ (and test/) of some photos of another folder, as links."""

    folder: Path
    counts: dict[str, int]
    classes: int


def weights(backbone: str) -> str:
    """Return the weights that both sides start from: real ones where a package brings them."""
    return "pretrained" if backbone == LITE else "random"


@contextmanager
def selected(
    folder: Path, *, photos: int | None = None, classes: int | None = None, splits: tuple[str, ...] | None = None
) -> Iterator[Split]:
    """Lay out some of a folder's photos for the length of a block: all or about `photos`, of all or `classes` classes.

    Each split keeps its share and takes the same number from each class, and from classes all over the list.
    """
    found = load_photo_set({"training": folder}, validation_share=0.1, seed=0)
    kept = classes or len(found.classes)
    labels = {index * len(found.classes) // kept for index in range(kept)}
    wanted = {
        split: [photo for photo in listed if photo.label in labels]
        for split, listed in found.splits.items()
        if splits is None or split in splits
    }
    share = min(1.0, photos / sum(map(len, wanted.values()))) if photos else 1.0
    with TemporaryDirectory(prefix="bench-") as name:
        base = Path(name)
        counts = {}
        for split, listed in wanted.items():
            chosen = _in_turn(listed)[: round(share * len(listed))]
            counts[split] = len(chosen)
            for number, photo in enumerate(chosen):
                target = base / split / found.classes[photo.label]
                target.mkdir(parents=True, exist_ok=True)
                (target / f"{number:06d}{photo.path.suffix}").symlink_to(photo.path.resolve())
        yield Split(base, counts, len(labels))


def _in_turn(photos: list[Photo]) -> list[Photo]:
    """Return the first photo of every class, then the second of every class, and so on."""
    ranks: dict[int, int] = {}
    ordered = []
    for photo in photos:
        ranks[photo.label] = ranks.get(photo.label, -1) + 1
        ordered.append((ranks[photo.label], photo.label, photo))
    return [photo for _, _, photo in sorted(ordered, key=lambda item: item[:2])]


def ours(
    folder: Path, backbone: str, threads: int, hyperparameters: Mapping[str, str], cache: Path | None = None
) -> dict[str, Any]:
    """Run the training program, with no features kept from before unless `cache` holds some, and return its times."""
    with TemporaryDirectory(prefix="bench-ours-") as name:
        base = Path(name) / "job"
        base.mkdir()
        fixed = {"backbone": backbone, "weights": weights(backbone)}
        recipe = Recipe(data=folder, hyperparameters=fixed, channels={}, feature_cache=cache or Path(name) / "cache")
        started, cpu = time.perf_counter(), _cpu_seconds()
        records = train(base, recipe, hyperparameters, threads=threads, quiet=True)
        seconds, cpu = time.perf_counter() - started, _cpu_seconds() - cpu
        spec = json.loads((base / "model" / "model.json").read_text())
    done = next(record for record in records if record["kind"] == "done")
    kept = ("stage", "epoch", "validation_accuracy", "epoch_seconds", "data_wait_share", "images_per_second")
    return {
        "seconds": seconds,
        "cpu_seconds": cpu,
        "steps": done["seconds"],
        "peak_memory_bytes": done["peak_memory_bytes"],
        "features": spec["model"]["features"],
        "hyperparameters": dict(hyperparameters),
        "epochs": [{key: r[key] for key in kept if key in r} for r in records if r["kind"] == "epoch"],
        "results": {
            split: {key: result(records, split)[key] for key in ("count", "accuracy", "accuracy_interval")}
            for split in {record["split"] for record in records if record["kind"] == "result"}
        },
    }


def baseline(
    folder: Path,
    backbone: str,
    threads: int,
    *,
    epochs: int = 5,
    lr: float = 0.003,
    batch_size: int = 64,
    steps: int | None = None,
) -> dict[str, Any]:
    """Run the copied loop and return its times; with `steps`, only so many of each phase."""
    with TemporaryDirectory(prefix="bench-baseline-") as name:
        out = Path(name) / "baseline.json"
        command = [sys.executable, "-m", "benchmarks.baseline", str(folder), "--out", str(out), "--backbone", backbone]
        command += ["--epochs", str(epochs), "--lr", str(lr), "--batch-size", str(batch_size)]
        command += ["--steps", str(steps)] if steps else []
        started, cpu = time.perf_counter(), _cpu_seconds()
        # Its lines are progress, and go where ours goes.
        subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": str(threads)}, check=True, stdout=sys.stderr)
        seconds, cpu = time.perf_counter() - started, _cpu_seconds() - cpu
        found: dict[str, Any] = json.loads(out.read_text())
    loop = sum(sum(phase["step_seconds"]) for phase in found["phases"])
    return found | {"seconds": seconds, "cpu_seconds": cpu, "startup": seconds - loop, "batch_size": batch_size}


def _cpu_seconds() -> float:
    """Return the processor time of the processes that have ended; far below wall time times threads, others had the cores."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def extrapolated(runs: list[dict[str, Any]], counts: Mapping[str, int], epochs: float) -> dict[str, Any]:
    """Return what `epochs` of the copied loop take by the steps that were measured, start-up included."""
    rates = {phase: _rate(runs, phase) for phase in ("train", "validation")}
    epoch = sum(counts[phase] / rate for phase, rate in rates.items())
    startup = sum(run["startup"] for run in runs) / len(runs)
    return {
        "seconds": startup + epochs * epoch,
        "epoch_seconds": epoch,
        "startup": startup,
        "images_per_second": rates,
        "measured_steps": sum(len(phase["step_photos"]) for run in runs for phase in run["phases"]),
        "measured_photos": sum(sum(phase["step_photos"]) for run in runs for phase in run["phases"]),
    }


def _rate(runs: list[dict[str, Any]], name: str) -> float:
    photos, seconds = 0, 0.0
    for run in runs:
        for phase in run["phases"]:
            # The very first step of a run warms up; leaving it out favours the copied loop.
            first = 1 if phase is run["phases"][0] and len(phase["step_photos"]) > 1 else 0
            if phase["phase"] == name:
                photos += sum(phase["step_photos"][first:])
                seconds += sum(phase["step_seconds"][first:])
    return photos / seconds
