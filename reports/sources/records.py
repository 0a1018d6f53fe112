"""Reads our own records: records.jsonl. docs/records.md defines the format."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from classifier.names import one_line
from reports.facts import ClassScore, Epoch, Job, LayerStatistics, Result, Run, Split, Trial
from reports.photos import records as photos
from reports.photos.facts import Answer, Duplicates, Photos, Suspects
from reports.sources import kinds
from reports.sources.contradictions import contradictions
from reports.sources.kinds import Matrix
from reports.sources.machines import read_machines
from reports.sources.measured import Measurements
from reports.sources.text import json_lines
from reports.sources.values import Fields

VERSION = 1  # the newest version of the format that this module can read
CLOCK = 5.0  # seconds; a smaller correction of the clock is not reported


@dataclass
class _Collected:
    """Collects the records of one file."""

    job: Job | None = None
    epochs: dict[tuple[str, int], Epoch] = field(default_factory=dict)
    trials: dict[int, Trial] = field(default_factory=dict)  # by the number of the trial
    results: dict[str, Result] = field(default_factory=dict)
    confusions: dict[str, Matrix] = field(default_factory=dict)
    classes: dict[str, tuple[ClassScore, ...]] = field(default_factory=dict)
    layers: list[LayerStatistics] = field(default_factory=list)
    suspects: Suspects | None = None
    duplicates: Duplicates | None = None
    answers: dict[str, tuple[Answer, ...]] = field(default_factory=dict)
    measured: Measurements = field(default_factory=Measurements)
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    done: Fields | None = None
    last_time: float | None = None
    unusable: Counter[str] = field(default_factory=Counter)  # number of unusable records by kind
    # Number of records by version, for versions that are not known.
    versions: Counter[str] = field(default_factory=Counter)

    def take(self, record: Fields) -> None:
        """Add one record."""
        version = record.number("version")
        if version is None or version > VERSION:
            self.versions[str(record.values.get("version"))] += 1
            return
        self.last_time = record.number("time") or self.last_time
        self.measured.sign(record.number("time"))
        kind = record.text("kind")
        if not self._taken(kind, record):
            self.unusable[kind] += 1

    def _taken(self, kind: str, record: Fields) -> bool:
        """Add a record; return False if it could not be used. An unknown kind is ignored, as docs/records.md requires."""
        split = record.text("split")
        match kind:
            case "job":
                self.job = kinds.job(record)
            case "epoch":
                if (epoch := kinds.epoch(record)) is None:
                    return False
                # After an interruption, earlier epochs may be recorded a second time: the last record of an epoch counts.
                self.epochs[epoch.stage, epoch.number] = epoch
            case "trial":
                if (trial := kinds.trial(record)) is None:
                    return False
                self.trials[trial.number] = trial
            case "result":
                if (result := kinds.result(record)) is None:
                    return False
                self.results[split] = result
            case "confusion":
                if (matrix := kinds.confusion(record)) is None:
                    return False
                self.confusions[split] = matrix
            case "classes":
                if (classes := kinds.classes(record)) is None:
                    return False
                self.classes[split] = classes
            case "steps" | "batches" | "operators" | "inputs":
                return self.measured.take(kind, record)
            case "gradients" | "updates" | "activations":
                if (layers := kinds.layers(record)) is None:
                    return False
                self.layers += layers
            case "mislabelled":
                if (suspects := photos.suspects(record)) is None:
                    return False
                self.suspects = suspects
            case "near_duplicates":
                if (duplicates := photos.duplicates(record)) is None:
                    return False
                self.duplicates = duplicates
            case "thumbnails":
                if (answers := photos.answers(record)) is None:
                    return False
                self.answers[split] = answers
            case "unreadable":
                self.unreadable.append((record.text("path"), record.text("reason")))
            case "done":
                self.done = record
        return True


def read_records(path: Path) -> Run:
    """Return the run that a records file describes. No content of the file makes this function raise."""
    missing: list[str] = []
    found = _Collected()
    for values in json_lines(path, missing):
        found.take(Fields(values))
    machines = read_machines(path, missing)
    missing += _missing(path, found)
    return Run(
        source=one_line(path),
        job=found.job,
        epochs=tuple(found.epochs.values()),
        trials=tuple(found.trials[number] for number in sorted(found.trials)),
        splits=tuple(
            Split(
                name=name,
                result=found.results.get(name),
                confusion=found.confusions.get(name, ()),
                classes=found.classes.get(name, ()),
            )
            for name in dict.fromkeys([*found.results, *found.confusions, *found.classes])
        ),
        layers=tuple(found.layers),
        unreadable=tuple(found.unreadable),
        part_seconds=_part_seconds(found.done) if found.done else {},
        peak_memory_bytes=found.done.amount("peak_memory_bytes") if found.done else None,
        finished=found.done is not None,
        last_time=found.last_time,
        missing=tuple(missing),
        photos=Photos(
            suspects=found.suspects,
            duplicates=found.duplicates,
            answers=tuple(answer for held in found.answers.values() for answer in held),
        ),
        measured=found.measured.found(machines),
    )


def _part_seconds(done: Fields) -> dict[str, float]:
    held = done.inside("seconds")
    return {name: seconds for name in held.values if (seconds := held.amount(name)) is not None}


def _missing(path: Path, found: _Collected) -> list[str]:
    sentences = contradictions(found.results, found.confusions, _part_seconds(found.done) if found.done else {})
    if found.measured.back > CLOCK:
        sentences.append(
            f"A record is {found.measured.back:,.0f} seconds older than the record before it: the clock was set back, or the file was "
            "joined from several files. Times between records may be wrong."
        )
    if found.versions:
        count, names = sum(found.versions.values()), ", ".join(sorted(found.versions))
        sentences.append(
            f"{one_line(path)} holds {count} records of version {names}; this program knows versions up to {VERSION}."
        )
    for kind, count in sorted(found.unusable.items()):
        sentences.append(f"{count} records of kind {kind} lack required members and were left out.")
    if found.job is None:
        sentences.append("The job record is missing: hyperparameters, classes and versions are not known.")
    if not found.epochs:
        sentences.append("No epoch was recorded: there are no learning curves.")
    if not found.results:
        sentences.append("No result was recorded: the accuracy is not known.")
    if found.done is None:
        sentences.append("The record of a finished job is missing: training failed, was stopped, or still runs.")
    return sentences
