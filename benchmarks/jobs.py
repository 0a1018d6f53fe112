"""Runs whole jobs of the training program. Holds the parts of benchmarks.train that use such jobs: the comparison with the
training loop of benchmarks.baseline (the copied loop), fine-tuning, and growing numbers of photos.

Trap: this module must not import torch. On Linux, the peak memory of a new process starts at that of its parent, so a parent that
has loaded torch would spoil the measurement.
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
# Photos that the part growth copies: the same for every size, so that decoding a photo takes equally long.
SOURCES = 1000
CLASSES, VALIDATION = 10, 10  # for the part growth: number of classes; one photo in VALIDATION is for validation


@dataclass(frozen=True)
class Run:
    """A finished job of the training program: its duration in seconds, and its records."""

    seconds: float
    records: list[dict[str, Any]]

    def record(self, kind: str) -> dict[str, Any]:
        """Return the first record of a kind. The record `done` holds the seconds of each part and the peak memory."""
        return next(record for record in self.records if record["kind"] == kind)

    def epochs(self, stage: str) -> list[dict[str, Any]]:
        """Return the records of the epochs of a stage, which is head or finetune."""
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
    """Run the training program. It uses cached features only if `cache` holds some.

    `base` is the job's folder. It is kept, and may hold checkpoints of the same job. Without `base`, the folder is temporary.
    Raises UserError if the job fails.
    """
    with TemporaryDirectory(prefix="bench-ours-") as name:
        job = base or Path(name) / "job"
        job.mkdir(parents=True, exist_ok=True)
        # Ours and the copied loop start from the same kind of weights: those in a package, or random ones.
        fixed = {"backbone": backbone, "weights": "pretrained" if backbone == LITE else "random"}
        fixed |= {option: str(value) for option, value in hyperparameters.items()}
        recipe = Recipe(data=folder, hyperparameters=fixed, channels={}, feature_cache=cache or Path(name) / "cache")
        taken = seconds(lambda: train(job, recipe, {}, threads=threads, quiet=True))
        return Run(taken, read_records(job))


def epochs(options: Options, folder: Path, backbone: str, **limits: int | None) -> Iterator[Figure]:
    """Compare time and accuracy of five epochs of our program and of the copied loop. Our program runs before and after the loop.

    `limits` are keyword arguments of `selected`.
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
        # The progress lines of the loop go to standard error, like those of our program.
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
    """Measure the speed of fine-tuning, its waiting time for photos, and the accuracy with and without it."""
    with (
        TemporaryDirectory(prefix="bench-cache-") as cache,
        selected(options.folder, classes=options.finetune_classes) as split,
    ):
        if "test" not in split.counts:
            raise NotRun(f"{options.folder} holds no test photos; add a folder test")
        # The frozen run leaves its features in the cache, so the second run does not compute them again.
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
    """Train on growing numbers of photos. Compare the photos per second of the feature pass, and the peak memory of the process."""
    sizes = sorted(map(int, options.growth_sizes.split(",")))
    runs: dict[int, list[Run]] = {size: [] for size in sizes}
    with TemporaryDirectory(prefix="bench-growth-") as name:
        photos = Path(name) / "photos"
        _multiply(sample_photos(options.folder, SOURCES), sizes[-1], photos)
        # Smaller sizes run before and after the largest, because the machine's speed drifts and one short pass is not reliable.
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
    """Write `count` photos of CLASSES classes. All files differ, because the number of a file is appended to its JPEG data."""
    bodies = [path.read_bytes() for path in sources]
    for number in range(count):
        split = "validation" if number % VALIDATION == 0 else "train"
        path = folder / split / f"class{number // VALIDATION % CLASSES}" / f"{number:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bodies[number % len(bodies)] + number.to_bytes(8, "little"))
    os.sync()  # otherwise the disk would still write them while the first size is measured
