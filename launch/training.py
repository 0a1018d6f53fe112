"""Runs the training program in its own process or container, in a folder that is laid out as SageMaker's /opt/ml."""

import json
import os
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from classifier.errors import ConfigError, UserError
from launch import container, gpus
from launch.child import ends_with_us
from launch.opt_ml import lay_out
from reports.report import write
from train.config import parse

_running: set["subprocess.Popen[bytes]"] = set()


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The inputs that all runs of a job share: photos, fixed hyperparameters, further channels, feature cache and image."""

    data: Path
    hyperparameters: Mapping[str, str]
    channels: Mapping[str, Path]  # the two further channels by their names: pretrained, model
    feature_cache: Path
    image: str | None = None  # image in which the program runs; None means this environment
    gpus: bool = False  # whether the container gets this machine's GPUs

    @property
    def all_channels(self) -> dict[str, Path]:
        return {"training": self.data, **self.channels}


def recipe(options: Namespace) -> Recipe:
    """Return the recipe that the command line describes.

    Raises ConfigError for a folder that does not exist, and for a hyperparameter that training would refuse.
    """
    channels = {name: getattr(options, name) for name in ("pretrained", "model") if getattr(options, name)}
    for name, folder in {"data": options.data, **channels}.items():
        if not folder.is_dir():
            problem = "is not a folder" if folder.exists() else "does not exist"
            raise ConfigError(f"--{name} {folder} {problem}; name a folder")
    fixed = {"backbone": options.backbone} if options.backbone else {}
    for pair in options.hyperparameters:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ConfigError(f"--set {pair!r} must read NAME=VALUE, as in --set lr=0.01")
        if fixed.setdefault(name, value) != value:
            raise ConfigError(f"{name} is given as {fixed[name]} and as {value}; keep only one of them")
    parse(fixed)
    named: str | None = getattr(options, "image", None)
    image = container.training_image(named) if named else None
    if image:
        container.check(image)
    seen = bool(image) and gpus.wanted(str(image), options.gpus)
    return Recipe(
        data=options.data,
        hyperparameters=fixed,
        channels=channels,
        feature_cache=options.feature_cache,
        image=image,
        gpus=seen,
    )


def new_folder(out: Path | None) -> Path:
    """Create and return the folder for results: `out`, or a new folder under runs/ with the time as its name."""
    folder = out or Path("runs") / time.strftime("%Y%m%d-%H%M%S")
    if folder.exists() and any(folder.iterdir()):
        raise ConfigError(f"{folder} is not empty; name another folder with --out, results are never overwritten")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def train(
    base: Path,
    recipe: Recipe,
    hyperparameters: Mapping[str, str],
    *,
    threads: int | None = None,
    quiet: bool = False,
    kept: bool = True,
) -> list[dict[str, Any]]:
    """Run the training program once in the folder `base` and return its records.

    With `quiet`, its metric lines go to base/log.txt and only its progress is shown. If `kept` is false, the artifact lacks the files that
    only serving needs. Raises UserError with the text of output/failure if the program fails.
    """
    lay_out(base, recipe.all_channels, {**recipe.hyperparameters, **hyperparameters})
    settings = {"OMP_NUM_THREADS": str(threads)} if threads else {}
    settings |= {} if kept else {"BYOC_DISCARD_MODEL": "1"}
    environment = os.environ | settings | {"SAGEMAKER_BASE_DIR": str(base.resolve())}
    if recipe.image:
        command = container.command(
            recipe.image, base, recipe.all_channels, recipe.feature_cache, settings, gpus=recipe.gpus
        )
    else:
        command = [sys.executable, "-P", "-m", "train", "--feature-cache", str(recipe.feature_cache.resolve())]
    with (base / "log.txt").open("w") as log:
        status = _wait(command, environment, log if quiet else None)
    if status:
        failure = base / "output" / "failure"
        raise UserError(
            failure.read_text(errors="replace")
            if failure.exists()
            else f"training ended with status {status}; {base / 'log.txt'} says more"
        )
    return read_records(base)


def terminate_running() -> None:
    """Send SIGTERM to every training program of this process, because threads that wait for a program do not notice Ctrl-C."""
    for process in tuple(_running):
        process.terminate()


def read_records(base: Path) -> list[dict[str, Any]]:
    """Return the records of a finished job."""
    lines = (base / "output" / "data" / "records.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def result(records: list[dict[str, Any]], split: str) -> dict[str, Any]:
    """Return the result record of a split."""
    return next(record for record in records if record["kind"] == "result" and record["split"] == split)


def command(options: Namespace) -> int:
    """`byoc train`."""
    chosen = recipe(options)
    folder = new_folder(options.out)
    train(folder, chosen, {})
    print(f"artifact: {folder / 'model'}\nrecords: {folder / 'output' / 'data'}", flush=True)
    print(f"report: {write(folder).page}")
    print(f"serve it: {sys.argv[0]} serve {folder / 'model'}")
    return 0


def _wait(command: list[str], environment: Mapping[str, str], log: IO[str] | None) -> int:
    # The program inherits standard error for its progress. Its metric lines go to standard output, which is `log`.
    with subprocess.Popen(ends_with_us(command), env=environment, stdin=subprocess.DEVNULL, stdout=log) as process:
        _running.add(process)
        try:
            return process.wait()
        except BaseException:
            process.terminate()
            raise
        finally:
            _running.discard(process)
