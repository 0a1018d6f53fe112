"""One training job: configuration -> photos -> features -> head -> test -> artifact. Run it with `python -m train`."""

import argparse
import dataclasses
import importlib.util
import itertools
import os
import resource
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from classifier import __version__
from classifier.errors import ConfigError, UserError
from classifier.photos import PhotoSet, load_photo_set
from train import script, stop
from train.config import Config, help_table, metric_line, parse, searched
from train.contract import Job, read_job, write_failure
from train.records import Records

if TYPE_CHECKING:
    from classifier.models import Classifier
    from classifier.spec import ModelSpec
    from train.features import Features

SELFTEST_PHOTOS = 4
LIBRARIES = ("torch", "torchvision", "timm", "numpy", "Pillow", "safetensors")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the job and return the exit status: 0, 143 when stopped by SIGTERM, or 1.

    On failure output/failure says why, the useful sentence first.
    """
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
        help="keep the photos' features in this folder (default: checkpoints/features where checkpoints/ exists)",
    )
    options = parser.parse_args(argv)
    base = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
    stop.install()
    # Checkpoints survive a spot interruption, so what the feature pass did survives with them.
    checkpoints = base / "checkpoints"
    feature_cache = options.feature_cache or (checkpoints / "features" if checkpoints.is_dir() else None)
    try:
        if script.wanted(read_job(base).hyperparameters):
            return script.run(base)
        run(base, feature_cache)
    except stop.Stopped as stopped:
        print(stopped, flush=True)
        return stop.STATUS
    except UserError as error:
        return _failed(base, str(error))
    except Exception as error:
        trace = traceback.format_exc()
        return _failed(base, f"{type(error).__name__}: {error}\n\n{trace}")
    if stop.requested.is_set():
        print("stopped by SIGTERM; the best model so far was written", flush=True)
        return stop.STATUS
    return 0


def run(base: Path, feature_cache: Path | None) -> None:
    """Run one job; everything that can be wrong without torch is found before torch is imported."""
    started = time.perf_counter()
    job = read_job(base)
    config = parse(job.hyperparameters)
    if config.export_onnx and importlib.util.find_spec("onnxscript") is None:
        raise ConfigError("export-onnx needs the packages onnx and onnxscript; install them or leave it false")
    if config.search_trials and importlib.util.find_spec("optuna") is None:
        raise ConfigError("search-trials needs the package optuna; install it or leave it 0")
    photos = load_photo_set(job.photo_channels, validation_share=config.validation_share, seed=config.seed)
    records = Records(job.output_data_dir)
    records.write(
        "job",
        program=__version__,
        libraries=versions(),
        hyperparameters=config.to_json(),
        classes=photos.classes,
        photos={name: len(split) for name, split in photos.splits.items()},
        notes=photos.notes,
    )
    _announce(config, photos)
    seconds = _train(job, config, photos, records, feature_cache)
    seconds["total"] = time.perf_counter() - started
    # ru_maxrss is in KiB on Linux.
    records.write("done", seconds=seconds, peak_memory_bytes=1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    records.close()
    print("done in " + ", ".join(f"{name} {value:.1f} s" for name, value in seconds.items()), flush=True)


def _train(
    job: Job, config: Config, photos: PhotoSet, records: Records, feature_cache: Path | None
) -> dict[str, float]:
    import torch

    from classifier import artifact
    from train.calibrate import fit_temperature
    from train.engine import calibration_error, fit, judge, predict
    from train.features import extract, resolve_precision
    from train.search import search

    torch.manual_seed(config.seed)
    marks = [time.perf_counter()]
    model, spec, source = _build(job, config, photos)
    precision = resolve_precision(config.precision)
    device = next(model.parameters()).device
    print(
        f"{config.backbone} with weights from {source}; {precision} on {device}, {torch.get_num_threads()} threads",
        flush=True,
    )
    marks.append(time.perf_counter())

    splits, unreadable = extract(
        model,
        photos.splits,
        spec.preprocessing,
        precision=precision,
        cache=feature_cache,
        max_unreadable=config.max_unreadable,
    )
    for item in unreadable:
        records.write("unreadable", path=str(item.path), reason=item.reason)
        print(f"left out {item.path}: {item.reason}", flush=True)
    marks.append(time.perf_counter())

    def on_epoch(epoch: int, metrics: Mapping[str, Any]) -> None:
        records.write(
            "epoch", stage="head", epoch=epoch, **{name.replace(":", "_"): value for name, value in metrics.items()}
        )
        print(metric_line(epoch, metrics), flush=True)

    model.cpu()
    data = splits["train"], splits["validation"]
    if config.search_trials:
        config, best_epoch = search(model.head, *data, config, searched(job.hyperparameters), records, on_epoch)
    else:
        best_epoch = fit(model.head, *data, config, on_epoch)
    marks.append(time.perf_counter())

    logits = {name: predict(model.head, split) for name, split in splits.items() if name != "train"}
    model.temperature, sentence = fit_temperature(logits["validation"], splits["validation"].labels)
    spec = dataclasses.replace(spec, temperature=model.temperature)
    print(sentence, flush=True)
    results = {name: judge(outputs / model.temperature, splits[name].labels) for name, outputs in logits.items()}
    for name, result in results.items():
        calibration = {
            "temperature": model.temperature,
            "ece_uncalibrated": calibration_error(logits[name], splits[name].labels),
        }
        records.write("result", split=name, best_epoch=best_epoch, **result.metrics(), **calibration)
        records.write("confusion", split=name, matrix=result.confusion.tolist())
        records.write("classes", split=name, classes=result.per_class(photos.classes))
        low, high = result.metrics()["accuracy_interval"]
        print(f"{name}: accuracy {result.accuracy:.4f} ({low:.4f} to {high:.4f}) on {result.count} photos", flush=True)
    training = {
        "program": __version__,
        "libraries": versions(),
        "hyperparameters": config.to_json(),
        "weights": source,
        "metrics": {name: result.metrics() for name, result in results.items()},
    }
    pixels = _selftest_pixels(splits["validation"], spec)
    artifact.save(job.model_dir, model, spec, pixels, training, onnx=config.export_onnx)
    marks.append(time.perf_counter())
    names = ("model", "features", "head", "artifact")
    return {name: end - begin for name, (begin, end) in zip(names, itertools.pairwise(marks), strict=True)}


def _build(job: Job, config: Config, photos: PhotoSet) -> tuple["Classifier", "ModelSpec", str]:
    import torch

    from classifier.backbones import build_backbone
    from classifier.models import Classifier, build_head
    from classifier.spec import ModelSpec
    from classifier.weights import load_pretrained

    backbone, features, preprocessing = build_backbone(config.backbone)
    spec = ModelSpec(
        backbone=config.backbone,
        features=features,
        head_hidden=config.hidden,
        head_dropout=config.dropout,
        classes=photos.classes,
        preprocessing=preprocessing,
    )
    source = "random numbers (weights=random)"
    if config.weights == "pretrained":
        source = load_pretrained(backbone, config.backbone, job.channels.get("pretrained"))
    head = build_head(features, config.hidden, config.dropout, len(photos.classes))
    model = Classifier(backbone, head, preprocessing, spec.temperature).eval()
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    return model, spec, source


def _selftest_pixels(validation: "Features", spec: "ModelSpec") -> Any:
    import numpy as np
    import torch

    from classifier.images import load_pixels, read_photo

    stride = max(1, len(validation.photos) // SELFTEST_PHOTOS)
    photos = validation.photos[::stride][:SELFTEST_PHOTOS]
    return torch.from_numpy(np.stack([load_pixels(read_photo(photo.path), spec.preprocessing) for photo in photos]))


def _announce(config: Config, photos: PhotoSet) -> None:
    for note in photos.notes:
        print(note, flush=True)
    counts = ", ".join(f"{len(split):,} {name}" for name, split in photos.splits.items())
    settings = f"lr {config.lr:g}, batch-size {config.batch_size}, epochs {config.epochs}"
    if config.search_trials:
        settings = f"{config.search_trials} trials of the head"
    print(f"{len(photos.classes)} classes; photos: {counts}; {settings}", flush=True)


def _failed(base: Path, message: str) -> int:
    print(f"training failed: {message}", file=sys.stderr, flush=True)
    try:
        write_failure(base, message)
    except OSError as error:
        print(f"the failure text could not be written to {base}/output/failure: {error}", file=sys.stderr, flush=True)
    return 1


def versions() -> dict[str, str]:
    """Return the versions of the libraries that decide what a model computes."""
    return {name: version(name) for name in LIBRARIES}
