"""Reads the facts about a training run from the artifact's model.json, for a run without records."""

from pathlib import Path

from classifier.names import one_line
from reports.facts import Run, Split
from reports.sources import kinds
from reports.sources.text import parse, read_text
from reports.sources.values import Fields

MODEL = "model.json"


def read_artifact(path: Path) -> Run | None:
    """Return the hyperparameters, versions and results in a model.json; None if another program wrote the file."""
    missing: list[str] = []
    value = parse(read_text(path, missing))
    whole = Fields(value if isinstance(value, dict) else {})
    training = whole.inside("training")
    if not training.values:
        return None
    metrics = training.inside("metrics")
    kept = {"stage": training.text("stage"), "best_epoch": training.values.get("best_epoch")}
    results = [kinds.result(Fields({**metrics.inside(name).values, **kept, "split": name})) for name in metrics.values]
    job = kinds.job(Fields({**training.values, "classes": whole.inside("model").items("classes")}))
    missing.append(
        f"The records (records.jsonl) are missing: the report shows only the result and the settings from {one_line(path)}, "
        "without epochs, steps and the scores of classes."
    )
    return Run(
        source=one_line(path),
        job=job,
        epochs=(),
        trials=(),
        splits=tuple(Split(name=one.split, result=one, confusion=(), classes=()) for one in results if one),
        layers=(),
        unreadable=(),
        part_seconds={},
        peak_memory_bytes=None,
        finished=True,
        last_time=None,
        missing=tuple(missing),
    )
