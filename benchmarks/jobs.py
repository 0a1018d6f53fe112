"""Whole jobs of the training program, and the parts of benchmarks.train that run them: beside the copied loop, with fine-tuning, and
with ever more photos.

Trap: nothing here may import torch. Linux starts the peak memory of a new process at that of its parent, so a parent that holds
torch would spoil the measurement.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.machine import LITE, NotRun, has_bf16, sample_photos, seconds
from benchmarks.parts import Figure, Options
from benchmarks.photos import selected
from launch.training import Recipe, read_records, result, train

EPOCHS, LR = 5, 0.003
SOURCES = 1000  # photos that growth copies; the same for every size, so that they take equally long to decode
CLASSES, VALIDATION = 10, 10  # of growth: the number of classes; one photo in VALIDATION is for validation


@dataclass(frozen=True)
class Run:
    """A job of the training program: the seconds that it took, and the records that it wrote."""

    seconds: float
    records: list[dict[str, Any]]

    def record(self, kind: str) -> dict[str, Any]:
        """Return the first record of a kind; `done` has the seconds of each step and the largest memory."""
        return next(record for record in self.records if record["kind"] == kind)

    def epochs(self, stage: str) -> list[dict[str, Any]]:
        """Return the records of a stage's epochs; the stages are head and finetune."""
        return [record for record in self.records if record["kind"] == "epoch" and record["stage"] == stage]


def ours(
    folder: Path,
    backbone: str,
    hyperparameters: Mapping[str, object],
    threads: int | None = None,
    *,
    cache: Path | None = None,
    base: Path | None = None,
) -> Run:
    """Run the training program. It finds cached features only if `cache` holds some.

    `base` is the job's folder, which stays and may hold the same job's checkpoints; a temporary folder without it.
    Raises UserError when the job fails.
    """
    with TemporaryDirectory(prefix="bench-ours-") as name:
        job = base or Path(name) / "job"
        job.mkdir(parents=True, exist_ok=True)
        # Both sides start from the weights that a package brings, or from random ones.
        fixed = {"backbone": backbone, "weights": "pretrained" if backbone == LITE else "random"}
        fixed |= {option: str(value) for option, value in hyperparameters.items()}
        recipe = Recipe(data=folder, hyperparameters=fixed, channels={}, feature_cache=cache or Path(name) / "cache")
        taken = seconds(lambda: train(job, recipe, {}, threads=threads, quiet=True))
        return Run(taken, read_records(job))


def epochs(options: Options, folder: Path, backbone: str, **limits: int | None) -> Iterator[Figure]:
    """Compare time and accuracy of five epochs of ours and of the copied loop. Ours runs before and after it.

    `limits` are those of `selected`.
    """
    runs: dict[str, list[Run]] = {"auto": [], "fp32": []}
    settings = {"epochs": EPOCHS, "lr": LR, "batch-size": 64}
    with (
        selected(folder, splits=("train", "validation"), **limits) as split,  # the copied loop has no test photos
        TemporaryDirectory(prefix="bench-baseline-") as work,
    ):
        out = Path(work) / "baseline.json"
        words = {"out": out, "backbone": backbone, **settings}
        copied = [sys.executable, "-m", "benchmarks.baseline", str(split.folder)]
        copied += [f"--{name}={value}" for name, value in words.items()]
        environment = os.environ | {"OMP_NUM_THREADS": str(options.threads)}

        def run_ours() -> None:
            for precision, ran in runs.items():
                ran.append(ours(split.folder, backbone, settings | {"precision": precision}, options.threads))

        run_ours()
        # Its lines show progress, so they go to standard error like those of our own program.
        theirs = seconds(partial(subprocess.run, copied, env=environment, check=True, stdout=sys.stderr))
        run_ours()
        phases = json.loads(out.read_text())
    yield from split.figures()
    yield Figure("copied loop, s", theirs)
    for precision, ran in runs.items():
        taken = Figure.of(f"ours, {precision}, s", [run.seconds for run in ran])
        target = 10 if precision == "auto" and has_bf16() else 5
        yield taken
        yield Figure(f"copied loop / ours, {precision}", theirs / taken.value, at_least=target)
    best = max(phase["accuracy"] for phase in phases if phase["phase"] == "validation")
    yield Figure("validation accuracy of ours", runs["auto"][0].epochs("head")[-1]["validation_accuracy"])
    yield Figure("validation accuracy of the copied loop in its best epoch", best)


def finetune(options: Options) -> Iterator[Figure]:
    """Measure how fast fine-tuning is, how long it waits for photos, and how much it raises the accuracy of the frozen head."""
    with (
        TemporaryDirectory(prefix="bench-cache-") as cache,
        selected(options.folder, classes=options.finetune_classes) as split,
    ):
        if "test" not in split.counts:
            raise NotRun(f"{options.folder} holds no test photos; add a folder test")
        # The frozen run leaves its features in the cache, so that the other's seconds are those of fine-tuning alone.
        frozen, tuned = (
            ours(split.folder, LITE, {"finetune-epochs": number}, options.threads, cache=Path(cache))
            for number in (0, options.finetune_epochs)
        )
    stage = tuned.epochs("finetune")
    yield from split.figures()
    yield Figure("without fine-tuning, s", frozen.seconds)
    yield Figure("fine-tuning, s", sum(epoch["epoch_seconds"] for epoch in stage))
    yield Figure("fine-tuning, photos/s", mean(epoch["images_per_second"] for epoch in stage))
    wait = mean(epoch["data_wait_share"] for epoch in stage)
    yield Figure("share of its time that fine-tuning waits for photos", wait, at_most=0.1)
    for name, run in (("of the frozen head", frozen), ("after fine-tuning", tuned)):
        for part in ("validation", "test"):
            found = result(run.records, part)
            low, high = found["accuracy_interval"]
            yield Figure(f"{part} accuracy {name}", found["accuracy"], low=low, high=high)


def growth(options: Options) -> Iterator[Figure]:
    """Train on ever more photos and compare the feature pass's photos per second and the process's largest memory."""
    sizes = sorted(map(int, options.growth_sizes.split(",")))
    runs: dict[int, list[Run]] = {size: [] for size in sizes}
    with TemporaryDirectory(prefix="bench-growth-") as name:
        photos = Path(name) / "photos"
        _multiply(sample_photos(options.folder, SOURCES), sizes[-1], photos)
        # Smaller sizes run before and after the largest, because the machine's speed drifts and a short pass alone says little.
        for number, size in enumerate([*sizes, *sizes[-2::-1], *sizes[:-1]]):
            job = Path(name) / f"job-{number}"
            with selected(photos, photos=size) as split:
                runs[size].append(ours(split.folder, options.growth_backbone, {"epochs": 1}, options.threads, base=job))
        width = json.loads((job / "model" / "model.json").read_text())["model"]["features"]
    rates, beyond = [], []
    for size, ran in runs.items():
        done = [run.record("done") for run in ran]
        rate = Figure.of(f"{size:,} photos: photos/s", [size / each["seconds"]["features"] for each in done])
        memory, features = max(each["peak_memory_bytes"] for each in done), 4 * size * width
        rates.append(rate.value)
        beyond.append(memory - features)
        yield rate
        yield Figure(f"{size:,} photos: memory, MB", memory / 1e6, at_most=4000)
        yield Figure(f"{size:,} photos: of which features, MB", features / 1e6)
    yield Figure("photos/s, slowest size / fastest", min(rates) / max(rates), at_least=0.9)
    yield Figure("memory beyond the features, largest size / smallest", beyond[-1] / beyond[0], at_most=1.25)


def _multiply(sources: list[Path], count: int, folder: Path) -> None:
    """Write `count` photos of a few classes. Each file differs, because its number is appended to the JPEG data."""
    bodies = [path.read_bytes() for path in sources]
    for number in range(count):
        split = "validation" if number % VALIDATION == 0 else "train"
        path = folder / split / f"class{number // VALIDATION % CLASSES}" / f"{number:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bodies[number % len(bodies)] + number.to_bytes(8, "little"))
    os.sync()  # else the disk is still busy with them while the first size is measured
