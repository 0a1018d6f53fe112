"""The program `train`: it reads and checks one job, runs it, and reports its end. Start it with `python -m train`."""

import argparse
import contextlib
import dataclasses
import importlib.util
import io
import os
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from classifier import device
from classifier.errors import ConfigError, UserError
from classifier.names import printable
from classifier.photos import PhotoSet, load_photo_set
from train import environment, gpu_memory, processes, script, stop
from train.config import LBFGS, Config, help_table, parse, translated
from train.contract import Job, forget_failure, read_job, refuse_shards, write_failure
from train.foreign_names.checks import check_class_count
from train.places import check_writable, denied
from train.spool import pipe


def main(argv: Sequence[str] | None = None) -> int:
    """Run the job and return the exit status: 0, 143 if SIGTERM stopped it, 130 if Ctrl-C did, or 1 if it failed. If the job fails,
    output/failure holds the reason; its first sentence is the most useful one.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = _parser().parse_args(arguments)
    base = environment.BASE.read()
    stop.install()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files need not be valid UTF-8
    try:
        return _run(base, options.feature_cache, arguments)
    except stop.Stopped as stopped:
        print(stopped, flush=True)
        return stop.STATUS
    except UserError as error:
        return _failed(base, str(error))
    except KeyboardInterrupt:
        print("stopped by Ctrl-C, no model was written", file=sys.stderr, flush=True)
        return stop.INTERRUPTED
    except BrokenPipeError:
        # Discard the rest of the output: otherwise Python would fail to write it at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _failed(
            base,
            "the program that reads this output has ended, as head does; let it read to the end, or write to a file",
        )
    except Exception as error:
        if sentence := denied(error):
            return _failed(base, sentence)
        # An error of NCCL may mean a full GPU or a lost process.
        known = gpu_memory.remedy(error) or processes.lost(error)
        trace = traceback.format_exc()
        return _failed(base, f"{known or f'{type(error).__name__}: {error}'}\n\n{trace}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m train",
        description="Run the training job that SAGEMAKER_BASE_DIR (default /opt/ml) describes.",
        epilog=f"Hyperparameters, in input/config/hyperparameters.json:\n\n{help_table()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--feature-cache",
        type=Path,
        metavar="DIR",
        help="keep the photos' features in this folder (default: features/ in the folder of a warm pool, else beside the "
        "checkpoints, if there are any)",
    )
    return parser


def _run(base: Path, feature_cache: Path | None, arguments: Sequence[str]) -> int:
    """Run one job. All errors that can be found without torch are found before torch is loaded."""
    started = time.perf_counter()
    if not processes.started_by_torchrun():
        forget_failure(base)
        for sentence in environment.misspelt():
            print(printable(sentence), flush=True)
    if name := script.named(base):
        return script.run(base, name)
    job = read_job(base)
    config = parse(job.hyperparameters)
    if job.current_host == job.hosts[0]:  # only this host writes
        check_writable(base, job.places)
    for needs, package in ((config.export_onnx, "onnxscript"), (config.search_trials, "optuna")):
        if needs and importlib.util.find_spec(package) is None:
            name = "export-onnx" if package == "onnxscript" else "search-trials"
            raise ConfigError(
                f"{name} needs the package {package}, which is not installed; install it or leave {name} out"
            )
    refuse_shards(job)
    job = pipe.spooled(job)
    found = _listed(job, config)
    if not processes.started_by_torchrun():
        local = processes.per_host()
        if len(job.hosts) * local > 1:
            return processes.run_torchrun(job, local, arguments)
    from train.job import run
    from train.processes.agree import agreed

    world, watch = processes.join()
    if watch:
        watch.on_silence = lambda message: os._exit(_failed(base, message))
    photos = agreed(world, job, found)
    if world.chief:
        print(device.found(), flush=True)
        _announce(config, photos)
    seconds = run(job, config, photos, feature_cache, world, started)
    stopped = stop.requested.is_set()
    processes.leave(world, watch)
    if stopped:
        print("stopped by SIGTERM; the best model so far was written", flush=True)
        return stop.STATUS
    print("done in " + ", ".join(f"{name} {value:.1f} s" for name, value in seconds.items()), flush=True)
    return 0


def _listed(job: Job, config: Config) -> PhotoSet | UserError:
    """Return the job's photos. A problem with them is raised on a single host, and returned on one of several hosts."""
    try:
        photos = load_photo_set(job.photo_channels, validation_share=config.validation_share, seed=config.seed)
        check_class_count(job.hyperparameters, len(photos.classes))
    except UserError as error:
        if len(job.hosts) == 1:
            raise
        return error
    return dataclasses.replace(photos, notes=(*translated(job.hyperparameters).notes, *photos.notes))


def _announce(config: Config, photos: PhotoSet) -> None:
    for note in photos.notes:
        print(printable(note), flush=True)
    counts = ", ".join(f"{len(split):,} {name}" for name, split in photos.splits.items())
    settings = f"lr {config.lr:g}, batch-size {config.batch_size}, epochs {config.epochs}"
    if config.optimizer == LBFGS:
        settings = f"lbfgs, weight-decay {f'{config.weight_decay:g}' if config.weight_decay else 'searched'}"
    elif config.search_trials:
        settings = f"{config.search_trials} trials of the head"
    if config.finetune_epochs:
        settings += f"; then {config.finetune_epochs} epochs of fine-tuning"
    print(f"{len(photos.classes)} classes; photos: {counts}; {settings}", flush=True)


def _failed(base: Path, message: str) -> int:
    with contextlib.suppress(BrokenPipeError):  # the failure text is written even if nobody reads the output
        print(f"training failed: {printable(message)}", file=sys.stderr, flush=True)
    try:
        write_failure(base, message)
    except OSError as error:
        print(f"the failure text could not be written to {base}/output/failure: {error}", file=sys.stderr, flush=True)
    return 1
