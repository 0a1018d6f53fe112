"""The start of a job: opens its records, builds its model, and decides how photos go through the model."""

import contextlib
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import torch

from classifier import __version__
from classifier.photos import Photo, PhotoSet
from train import environment
from train.build import Start, build_start
from train.config import Config
from train.contract import Job
from train.features import FeaturePass
from train.foreign_names.checks import check_size
from train.precision import resolve_precision
from train.processes.world import World, device, local_threads
from train.report import (
    Board,
    Monitor,
    Records,
    Report,
    StepRecords,
    TensorRecords,
    Tracer,
    open_hook,
    open_sampler,
)
from train.spool.pack import Pack

LIBRARIES = ("torch", "torchvision", "timm", "numpy", "Pillow", "safetensors", "openvino")


@dataclass(frozen=True, kw_only=True)
class Setup:
    """The parts of a job that stay the same from its start to its end."""

    job: Job
    start: Start
    feature_pass: FeaturePass
    report: Report

    @property
    def config(self) -> Config:
        """The hyperparameters, with those that an earlier job's artifact decides."""
        return self.start.config

    @property
    def world(self) -> World:
        return self.feature_pass.world


def set_up(job: Job, config: Config, photos: PhotoSet, world: World) -> Setup:
    """Build a job's model and return all that its steps share; raises a UserError as build_start and check_size do."""
    torch.set_num_threads(local_threads())
    torch.manual_seed(config.seed)
    records = Records(job.output_data_dir if world.chief else None)
    records.write(
        "job",
        program=__version__,
        libraries=versions(),
        hyperparameters=config.to_json(),
        classes=photos.classes,
        photos={name: len(split) for name, split in photos.splits.items()},
        class_photos={name: _class_counts(split, len(photos.classes)) for name, split in photos.splits.items()},
        notes=photos.notes,
        processes=world.size,
        cores=len(os.sched_getaffinity(0)),
        loaders=local_threads() * environment.LOCAL_WORLD_SIZE.read(),
    )
    start = build_start(job, config, photos.classes)
    check_size(job.hyperparameters, start.config.backbone, start.spec.preprocessing.crop)
    # Hosts of different kinds would choose different precisions, but all features must be computed at the same one.
    precision = world.broadcast(resolve_precision(start.config.precision))
    pack = Pack() if job.fast_file and start.config.finetune_epochs else None
    report = Report(
        records=records,
        board=Board(job.places.tensorboard if world.chief else None),
        monitor=_monitor(job, start.config, records) if world.chief else Monitor(),
        sampler=open_sampler(job.output_data_dir, job.current_host, _interval(job, start.config)),
    )
    print(
        f"{start.config.backbone} with weights from {start.source}; {precision} on {device()}, {local_threads()} threads"
        + (f" in each of {world.size} processes" if world.size > 1 else ""),
        flush=True,
    )
    feature_pass = FeaturePass(
        model=start.model.to(device()), precision=precision, pack=pack, world=world, times=report.monitor.steps
    )
    return Setup(job=job, start=start, feature_pass=feature_pass, report=report)


def _monitor(job: Job, config: Config, records: Records) -> Monitor:
    return Monitor(
        steps=StepRecords(records),
        tensors=TensorRecords(records, config.tensor_stats_steps),
        tracer=Tracer(records, config.trace_steps, job.places.profiling.folder or job.output_data_dir),
        hook=open_hook(job.base),
    )


def _interval(job: Job, config: Config) -> float | None:
    """Return the seconds between two measurements of this host; None if this process does not measure the host."""
    wanted = config.system_metrics == "on" and environment.LOCAL_RANK.read() == 0
    return job.places.profiling.seconds if wanted else None


def _class_counts(photos: Sequence[Photo], classes: int) -> list[int]:
    counts = Counter(photo.label for photo in photos)
    return [counts[label] for label in range(classes)]


def versions() -> dict[str, str]:
    """Return the versions of the installed libraries that influence a model's results."""
    found = {}
    for name in LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):  # the CUDA image has no openvino
            found[name] = version(name)
    return found
