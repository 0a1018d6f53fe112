"""Whole trainings to compare: this project's training program and the copied loop, each in a process of its own.

Trap: nothing here may import torch. Linux starts the peak memory of a new process at that of its parent, so a parent that
holds torch would spoil the measurement.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.machine import LITE, seconds
from launch.training import Recipe, read_records, train


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


@dataclass(frozen=True)
class Copied:
    """A run of the copied loop: its seconds, and what each phase of each epoch took and reached."""

    seconds: float
    phases: list[dict[str, Any]]


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


def copied(folder: Path, backbone: str, threads: int, **options: float) -> Copied:
    """Run the copied loop with its options."""
    with TemporaryDirectory(prefix="bench-baseline-") as name:
        out = Path(name) / "baseline.json"
        command = [sys.executable, "-m", "benchmarks.baseline", str(folder), f"--out={out}", f"--backbone={backbone}"]
        command += [f"--{option.replace('_', '-')}={value}" for option, value in options.items()]
        environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
        # Its lines show progress, so they go to standard error like those of our own program.
        taken = seconds(lambda: subprocess.run(command, env=environment, check=True, stdout=sys.stderr))
        return Copied(taken, json.loads(out.read_text()))


def extrapolated(runs: Sequence[Copied], counts: Mapping[str, int], epochs: float) -> float:
    """Return the seconds that `epochs` of the copied loop take, start-up included, by the steps that were measured."""
    outside = [run.seconds - sum(sum(phase["step_seconds"]) for phase in run.phases) for run in runs]
    found = sum(outside) / len(runs)
    for name in ("train", "validation"):
        # The first step of a run is slower. Leaving it out makes the copied loop look faster than it is.
        phases = [(run.phases[0] is phase, phase) for run in runs for phase in run.phases if phase["phase"] == name]
        starts = [(int(first and len(phase["step_photos"]) > 1), phase) for first, phase in phases]
        taken, photos = (
            sum(sum(phase[key][start:]) for start, phase in starts) for key in ("step_seconds", "step_photos")
        )
        found += epochs * counts[name] * taken / photos
    return found
