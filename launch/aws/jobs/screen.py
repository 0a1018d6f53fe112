"""Shows a running job to the user: a line for each phase, its log, and one line of metrics for each epoch."""

import json
import sys
from collections.abc import Mapping
from typing import Any, TextIO

from classifier.errors import ConfigError
from launch.aws.jobs.events import Line, clock, shown
from train.config import METRICS, parse

KEPT = 8  # number of the log's last lines that are shown if a job fails
WORTH = ("validation:accuracy", "validation:loss", "train:loss", "images_per_second")


class Screen:
    """Writes lines, each with the time of day."""

    def __init__(self, file: TextIO | None = None) -> None:
        self._file = file or sys.stdout
        self.tail: list[str] = []  # the last lines of the log that are not metrics
        self._answered = self._counted = 0  # number of the requests that succeeded

    def say(self, text: str, moment: float | None = None) -> None:
        print(f"{clock(moment)} {text}", file=self._file, flush=True)

    def log(self, line: Line, hosts: int, epochs: int) -> None:
        """Show a line of the log. Keep the last lines, because they may say why a job fails."""
        metrics = read_metrics(line.text)
        if metrics:
            self.say(progress(metrics, epochs), line.time)
        elif is_answer(line.text):
            self._answered += 1
        elif line.text.strip():
            self.say(f"  {shown(line, hosts)}", line.time)
            self.tail = [*self.tail[1 - KEPT :], shown(line, hosts)]

    def count(self) -> None:
        """Show the number of answered requests if it has grown since the last call."""
        if self._answered > self._counted:
            self._counted = self._answered
            self.say(f"  {self._answered:,} requests answered")


class Phases:
    """The phases of a training job. Each answer of AWS lists all phases so far, and each phase is shown once."""

    def __init__(self) -> None:
        self._shown: set[tuple[str, object]] = set()

    def new(self, answer: Mapping[str, Any]) -> list[tuple[float, str]]:
        """Return the phases that earlier answers did not hold, each with the time of its start."""
        found = []
        for entry in answer.get("SecondaryStatusTransitions") or []:
            key = str(entry.get("Status", "")), entry["StartTime"]
            if key not in self._shown:
                self._shown.add(key)
                message = entry.get("StatusMessage", "")
                found.append((entry["StartTime"].timestamp(), f"{key[0]}{': ' + message if message else ''}"))
        return found


class Status:
    """Shows the status of a job or an endpoint without phases when it has changed."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._shown = ""

    def look(self, status: str, more: str = "") -> None:
        text = f"{status}{': ' + more if more else ''}"
        if text != self._shown:
            self._shown = text
            self._screen.say(text)


def read_metrics(text: str) -> dict[str, float]:
    """Return the metrics in a metric line of our training program; an empty dict for any other line."""
    if not text.startswith("epoch="):
        return {}
    found = {}
    for word in text.split():
        name, equals, value = word.partition("=")
        if not equals or name not in ("epoch", *METRICS):
            return {}
        try:
            found[name] = float(value)
        except ValueError:
            return {}
    return found


def is_answer(text: str) -> bool:
    """Return whether a line is our server's log line of a successful request.

    These lines are only counted, because there is one for each photo.
    """
    try:
        said = json.loads(text) if text.startswith("{") else None
        return isinstance(said, dict) and "request_id" in said and int(said["code"]) < 400
    except (ValueError, KeyError, TypeError):
        return False


def progress(metrics: Mapping[str, float], epochs: int) -> str:
    """Return an epoch's metrics as one line. `epochs` is the number of all epochs, or 0 if it is unknown."""
    of = f" of {epochs}" if epochs else ""
    values = ", ".join(f"{name} {metrics[name]:.4g}" for name in WORTH if name in metrics)
    return f"epoch {metrics['epoch']:.0f}{of}: {values}"


def epochs_of(hyperparameters: Mapping[str, str]) -> int:
    """Return the number of epochs that a job will have; 0 if it is unknown beforehand."""
    try:
        config = parse({name: value for name, value in hyperparameters.items() if not name.startswith("_")})
    except ConfigError:
        return 0
    return 0 if config.search_trials else config.epochs + config.finetune_epochs
