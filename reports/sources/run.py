"""Finds the records in a run's folder, and the trials of a tuning run beside them."""

import dataclasses
from pathlib import Path

from classifier.names import one_line
from reports.facts import Run, Trial
from reports.sources.archives import inside
from reports.sources.artifact import MODEL, read_artifact
from reports.sources.records import read_records
from reports.sources.text import parse, read_text
from reports.sources.values import Fields, number, setting

RECORDS = "records.jsonl"
# The folders of the records, relative to the folder of byoc run, of byoc train, of a SageMaker job and of its unpacked output.tar.gz.
PLACES = ("job/output/data", "output/data", "data", "")
MODELS = ("job/model", "model", "")
# SageMaker's archives in S3, relative to the prefix of a job.
OUTPUTS = ("output/output.tar.gz", "output.tar.gz")
ARTIFACTS = ("output/model.tar.gz", "model.tar.gz")


def read_run(folder: Path) -> tuple[Run | None, tuple[str, ...]]:
    """Return the run in a folder or a records file (None without records), and sentences on what is missing."""
    missing: list[str] = []
    trials = _tuning(folder, missing)
    records = _records(folder) or _best_records(folder, trials)
    run = read_records(records) if records else _artifact(folder)
    if run is not None and trials and not run.trials:
        run = _with_trials(run, trials)
    return run, tuple(missing)


def _records(folder: Path) -> Path | None:
    if folder.is_file():
        return folder if folder.name.removesuffix(".gz") == RECORDS else inside(folder, RECORDS)
    names = [folder / place / name for place in PLACES for name in (RECORDS, f"{RECORDS}.gz")]
    archives = (found for place in OUTPUTS if (found := inside(folder / place, RECORDS)))
    return next((path for path in names if path.is_file()), None) or next(archives, None)


def _artifact(folder: Path) -> Run | None:
    paths = (folder / place / MODEL for place in MODELS)
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        archives = (folder,) if folder.is_file() else tuple(folder / place for place in ARTIFACTS)
        path = next((found for archive in archives if (found := inside(archive, MODEL))), None)
    return read_artifact(path) if path else None


def _best_records(folder: Path, trials: tuple[Trial, ...]) -> Path | None:
    """Return the path of the records of the best trial, for a folder that holds only a tuning run."""
    for trial in trials:
        path = folder / f"{trial.number:03d}" / "output" / "data" / RECORDS
        if path.is_file():
            return path
    return None


def _tuning(folder: Path, missing: list[str]) -> tuple[Trial, ...]:
    """Return the trials of tuning.json in the order of the file, which is the best first."""
    path = next((path for path in (folder / "trials" / "tuning.json", folder / "tuning.json") if path.is_file()), None)
    if path is None:
        return ()
    value = parse(read_text(path, missing))
    items = [Fields(item) for item in value if isinstance(item, dict)] if isinstance(value, list) else []
    trials = tuple(
        Trial(
            number=item.count("trial") or place,
            hyperparameters={name: _parsed(value) for name, value in item.inside("hyperparameters").values.items()},
            accuracy=item.number("validation_accuracy"),
            loss=item.number("validation_loss"),
            seconds=item.number("seconds"),
            reason="",
        )
        for place, item in enumerate(items, 1)
    )
    if not trials:
        missing.append(f"{one_line(path)} does not hold a list of trials.")
    return trials


def _parsed(value: object) -> str | float | bool | None:
    """Return the value of a hyperparameter. In tuning.json all values are texts; the text of a number becomes a number."""
    if isinstance(value, str):
        try:
            found = number(float(value))
        except ValueError:
            return value
        return value if found is None else found
    return setting(value)


def _with_trials(run: Run, trials: tuple[Trial, ...]) -> Run:
    return dataclasses.replace(run, trials=tuple(sorted(trials, key=lambda trial: trial.number)))
