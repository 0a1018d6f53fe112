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
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from classifier.photos import load_photo_set
from launch.training import Recipe, result, train

LITE = "timm/tf_efficientnet_lite0"


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
    in_turn: dict[str, list[tuple[int, int, Path]]] = {}  # the first photo of every class, then every second one
    for split in splits or tuple(found.splits):
        seen: dict[int, int] = defaultdict(int)
        in_turn[split] = []
        for photo in found.splits.get(split, ()):
            if photo.label in labels:
                in_turn[split].append((seen[photo.label], photo.label, photo.path))
                seen[photo.label] += 1
    share = min(1.0, photos / sum(map(len, in_turn.values()))) if photos else 1.0
    with TemporaryDirectory(prefix="bench-") as name:
        counts = {split: round(share * len(listed)) for split, listed in in_turn.items()}
        for split, listed in in_turn.items():
            for number, (_, label, path) in enumerate(sorted(listed)[: counts[split]]):
                target = Path(name) / split / found.classes[label]
                target.mkdir(parents=True, exist_ok=True)
                (target / f"{number:06d}{path.suffix}").symlink_to(path.resolve())
        yield Split(Path(name), counts, len(labels))


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
    epochs = [record for record in records if record["kind"] == "epoch"]
    kept = ("epoch", "epoch_seconds", "data_wait_share", "images_per_second")
    return {
        "seconds": seconds,
        "cpu_seconds": cpu,
        "peak_memory_bytes": done["peak_memory_bytes"],
        "features": spec["model"]["features"],
        "steps": done["seconds"],
        "validation_accuracy": [epoch["validation_accuracy"] for epoch in epochs if epoch["stage"] == "head"],
        "finetuning": [{key: epoch[key] for key in kept} for epoch in epochs if epoch["stage"] == "finetune"],
        "results": {
            split: {key: result(records, split)[key] for key in ("count", "accuracy", "accuracy_interval")}
            for split in {record["split"] for record in records if record["kind"] == "result"}
        },
    }


def baseline(folder: Path, backbone: str, threads: int, **options: float) -> dict[str, Any]:
    """Run the copied loop with its options and return its times, of each phase over all epochs."""
    with TemporaryDirectory(prefix="bench-baseline-") as name:
        out = Path(name) / "baseline.json"
        command = [sys.executable, "-m", "benchmarks.baseline", str(folder), "--out", str(out), "--backbone", backbone]
        for option, value in options.items():
            command += [f"--{option.replace('_', '-')}", str(value)]
        started, cpu = time.perf_counter(), _cpu_seconds()
        # Its lines are progress, and go where ours goes.
        subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": str(threads)}, check=True, stdout=sys.stderr)
        seconds, cpu = time.perf_counter() - started, _cpu_seconds() - cpu
        phases = json.loads(out.read_text())["phases"]
    found: dict[str, Any] = {
        "seconds": seconds,
        "cpu_seconds": cpu,
        "startup": seconds - sum(sum(phase["step_seconds"]) for phase in phases),
        "steps": sum(len(phase["step_photos"]) for phase in phases),
        "photos": sum(sum(phase["step_photos"]) for phase in phases),
    }
    # The very first step of a run warms up; leaving it out favours the copied loop.
    if len(phases[0]["step_photos"]) > 1:
        phases[0] |= {key: phases[0][key][1:] for key in ("step_photos", "step_seconds")}
    for kind in ("train", "validation"):
        own = [phase for phase in phases if phase["phase"] == kind]
        found[kind] = {
            "photos": sum(sum(phase["step_photos"]) for phase in own),
            "seconds": sum(sum(phase["step_seconds"]) for phase in own),
            "accuracy": [phase["accuracy"] for phase in own],
        }
    return found


def extrapolated(runs: list[dict[str, Any]], counts: Mapping[str, int], epochs: float) -> dict[str, Any]:
    """Return what `epochs` of the copied loop take by the steps that were measured, start-up included."""
    rates = {
        phase: sum(run[phase]["photos"] for run in runs) / sum(run[phase]["seconds"] for run in runs)
        for phase in ("train", "validation")
    }
    epoch = sum(counts[phase] / rate for phase, rate in rates.items())
    startup = sum(run["startup"] for run in runs) / len(runs)
    return {
        "seconds": startup + epochs * epoch,
        "images_per_second": rates,
        "measured_steps": sum(run["steps"] for run in runs),
        "measured_photos": sum(run["photos"] for run in runs),
    }


def _cpu_seconds() -> float:
    """Return the processor time of the processes that have ended; far below wall time times threads, others had the cores."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
