"""Whole trainings to compare: this project's training program and the copied loop, each in a process of its own.

Nothing here imports torch. Linux counts the largest memory of the process that starts another as that one's own until
it is exceeded, so a heavy benchmark would spoil the peak memory of every run that it starts.
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

from benchmarks.machine import seconds
from launch.training import Recipe, read_records, train

LITE = "timm/tf_efficientnet_lite0"


@dataclass(frozen=True)
class Run:
    """A job of the training program: the seconds that it took, the records that it wrote, and its features of one photo."""

    seconds: float
    records: list[dict[str, Any]]
    features: int

    @property
    def done(self) -> dict[str, Any]:
        """The last record, which has the seconds of each step and the largest memory."""
        return next(record for record in self.records if record["kind"] == "done")

    def epochs(self, stage: str) -> list[dict[str, Any]]:
        """Return the records of a stage's epochs: head or finetune."""
        return [record for record in self.records if record["kind"] == "epoch" and record["stage"] == stage]


@dataclass(frozen=True)
class Copied:
    """A run of the copied loop: its seconds, and what each phase of each epoch took and reached."""

    seconds: float
    phases: list[dict[str, Any]]

    def of(self, phase: str) -> list[dict[str, Any]]:
        """Return one phase, train or validation, of every epoch."""
        return [found for found in self.phases if found["phase"] == phase]

    @property
    def startup(self) -> float:
        """The seconds outside of all steps."""
        return self.seconds - sum(sum(phase["step_seconds"]) for phase in self.phases)


def ours(
    folder: Path,
    backbone: str,
    hyperparameters: Mapping[str, object],
    threads: int | None = None,
    *,
    cache: Path | None = None,
    base: Path | None = None,
) -> Run:
    """Run the training program, with no features kept from before unless `cache` holds some.

    The job's folder is `base`, which stays and may hold the same job's checkpoints. Raises UserError when the job fails.
    """
    with TemporaryDirectory(prefix="bench-ours-") as name:
        job = base or Path(name) / "job"
        job.mkdir(parents=True, exist_ok=True)
        # Both sides start from the weights that a package brings, or from random ones.
        fixed = {"backbone": backbone, "weights": "pretrained" if backbone == LITE else "random"}
        fixed |= {option: str(value) for option, value in hyperparameters.items()}
        recipe = Recipe(data=folder, hyperparameters=fixed, channels={}, feature_cache=cache or Path(name) / "cache")
        taken = seconds(lambda: train(job, recipe, {}, threads=threads, quiet=True))
        features = json.loads((job / "model" / "model.json").read_text())["model"]["features"]
        return Run(taken, read_records(job), features)


def copied(folder: Path, backbone: str, threads: int, **options: float) -> Copied:
    """Run the copied loop with its options."""
    with TemporaryDirectory(prefix="bench-baseline-") as name:
        out = Path(name) / "baseline.json"
        command = [sys.executable, "-m", "benchmarks.baseline", str(folder), "--out", str(out), "--backbone", backbone]
        for option, value in options.items():
            command += [f"--{option.replace('_', '-')}", str(value)]
        environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
        # Its lines are progress, and go where ours goes.
        taken = seconds(lambda: subprocess.run(command, env=environment, check=True, stdout=sys.stderr))
        return Copied(taken, json.loads(out.read_text())["phases"])


def extrapolated(runs: Sequence[Copied], counts: Mapping[str, int], epochs: float) -> float:
    """Return the seconds that `epochs` of the copied loop take by the steps that were measured, start-up included."""
    found = sum(run.startup for run in runs) / len(runs)
    for name in ("train", "validation"):
        phases = [(run.phases[0] is phase, phase) for run in runs for phase in run.of(name)]
        # The very first step of a run warms up; leaving it out favours the copied loop.
        steps = [(phase, int(first and len(phase["step_photos"]) > 1)) for first, phase in phases]
        taken = sum(sum(phase["step_seconds"][start:]) for phase, start in steps)
        found += epochs * counts[name] * taken / sum(sum(phase["step_photos"][start:]) for phase, start in steps)
    return found
