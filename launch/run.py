"""`byoc run`: the whole job in local processes: check -> tune -> train -> test -> serve -> predict."""

import json
import shlex
import sys
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

from classifier.errors import DataError
from classifier.names import one_line
from classifier.photos import Photo, PhotoSet, load_photo_set
from launch.check import report, survey
from launch.predict import predict, table
from launch.server import check_port, serving
from launch.training import Recipe, new_folder, recipe, result, train
from launch.tune import check_tuning, tune
from reports.report import write
from train.config import parse

SENT = 4  # number of test photos that are sent to the server


def command(options: Namespace) -> int:
    """`byoc run`."""
    chosen = recipe(options)
    check_tuning(chosen, options.trials)
    check_port(options.port)
    seconds: dict[str, float] = {}
    started = time.monotonic()

    _step("check the photos")
    config = parse(chosen.hyperparameters)
    findings = survey(options.data, config)
    print(report(findings))
    if findings["fatal"]:
        raise DataError(findings["fatal"][0])
    photos = load_photo_set({"training": options.data}, validation_share=config.validation_share, seed=config.seed)
    if "test" not in photos.splits:
        raise DataError(
            f"{options.data} holds no test photos; byoc run needs them to test the trained model; add a folder named test"
        )
    folder = new_folder(options.out)
    seconds["check"] = time.monotonic() - started

    _step(f"tune: {options.trials} trials (SageMaker: a HyperparameterTuner job)")
    mark = time.monotonic()
    trials = tune(folder / "trials", chosen, options.trials)
    best = trials[0]
    seconds["tune"] = time.monotonic() - mark

    _step("train with the best hyperparameters and test (SageMaker: a training job)")
    mark = time.monotonic()
    records = train(folder / "job", chosen, best["hyperparameters"])
    seconds["train"] = time.monotonic() - mark

    _step("serve (SageMaker: an endpoint) and predict")
    mark = time.monotonic()
    model = folder / "job" / "model"
    with serving(model, options.port, folder / "serve.log") as url:
        seconds["serve"] = time.monotonic() - mark
        mark = time.monotonic()
        sent = [_prediction(url, photo, photos) for photo in _spread(photos.splits["test"])]
        seconds["predict"] = time.monotonic() - mark
        seconds["total"] = time.monotonic() - started
        summary = _summary(chosen, trials, result(records, "test"), sent, folder, seconds)
        (folder / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
        page = write(folder).page
        _print_results(summary, folder, url, page, kept=options.keep_serving)
        if options.keep_serving:
            print("serving until Ctrl-C", flush=True)
            while True:
                time.sleep(3600)
    return 0


def _step(text: str) -> None:
    print(f"\n== {text}", flush=True)


def _spread(photos: tuple[Photo, ...]) -> list[Photo]:
    stride = max(1, len(photos) // SENT)
    return list(photos[stride // 2 :: stride][:SENT])


def _prediction(url: str, photo: Photo, photos: PhotoSet) -> dict[str, Any]:
    best = predict(url, photo.path)[0][0]
    return {"file": one_line(photo.path), "truth": photos.classes[photo.label], **best}


def _summary(
    recipe: Recipe,
    trials: list[dict[str, Any]],
    test: dict[str, Any],
    sent: list[dict[str, Any]],
    folder: Path,
    seconds: dict[str, float],
) -> dict[str, Any]:
    return {
        "test_accuracy": test["accuracy"],
        "test_accuracy_interval": test["accuracy_interval"],
        "test_count": test["count"],
        "best_hyperparameters": {**recipe.hyperparameters, **trials[0]["hyperparameters"]},
        "trials": trials,
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
        "predictions": sent,
        "artifact": str(folder / "job" / "model"),
        "records": str(folder / "job" / "output" / "data"),
    }


def _print_results(summary: dict[str, Any], folder: Path, url: str, page: Path, *, kept: bool) -> None:
    print(f"\n{table(summary['predictions'])}")
    low, high = summary["test_accuracy_interval"]
    print(
        f"\ntest accuracy {summary['test_accuracy']:.4f} (95 % interval {low:.4f} to {high:.4f}) on {summary['test_count']} photos"
    )
    print("seconds: " + ", ".join(f"{name} {value:.1f}" for name, value in summary["seconds"].items()))
    print(
        f"artifact: {summary['artifact']}\nrecords: {summary['records']}\nsummary: {folder / 'summary.json'}\nreport: {page}"
    )
    if not kept:
        print(
            f"serve it again: {shlex.quote(sys.argv[0])} serve {shlex.quote(summary['artifact'])} --port {url.rpartition(':')[2]}"
        )
    photo = shlex.quote(summary["predictions"][0]["file"])
    kind = "image/png" if photo.lower().rstrip("'").endswith(".png") else "image/jpeg"
    print(f"query it: curl -H 'Content-Type: {kind}' --data-binary @{photo} {url}/invocations", flush=True)
