"""A benchmark in parts: each is kept in the results file with its own machine and date, so that it can be made in pieces."""

import argparse
import json
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks import machine
from classifier.errors import UserError


class NotRun(Exception):
    """Why a part could not be measured, as one sentence."""


@dataclass(frozen=True)
class Ratio:
    """A figure by name, and what it is to reach, if anything."""

    name: str
    value: float
    target: float | None = None
    at_most: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return what the results file says of it beside its name."""
        reached = None
        if self.target is not None:
            reached = self.value <= self.target if self.at_most else self.value >= self.target
        return {"value": self.value, "target": self.target, "at_most": self.at_most, "reached": reached}


@dataclass(frozen=True)
class Measured:
    """What a part found: its ratios, the settings and medians behind them, and sentences to read them with."""

    ratios: list[Ratio]
    settings: dict[str, Any]
    figures: dict[str, Any]
    notes: tuple[str, ...] = ()


Part = Callable[[argparse.Namespace], Measured]


def add_options(parser: argparse.ArgumentParser, parts: Iterable[str], options: Mapping[str, tuple[Any, str]]) -> None:
    """Add --part and options, each with its default value and help text."""
    names = list(parts)
    parser.add_argument(
        "--part", type=lambda text: _chosen(text, names), default=names, help=f"some of {', '.join(names)}"
    )
    for name, (default, text) in options.items():
        kind = type(default) if default is not None else int
        parser.add_argument(f"--{name}", type=kind, default=default, help=f"{text} (default: %(default)s)")


def _chosen(text: str, parts: list[str]) -> list[str]:
    """Return the parts that a list of names, or of how they begin, names; raises ArgumentTypeError for an unknown one."""
    wanted = text.split(",")
    unknown = [prefix for prefix in wanted if not any(name.startswith(prefix) for name in parts)]
    if unknown:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is no part; known are {', '.join(parts)}")
    return [name for name in parts if name.startswith(tuple(wanted))]


def run(results: str, parts: Mapping[str, Part], options: argparse.Namespace) -> None:
    """Run the chosen parts, keep each in results/NAME.json, and print all that is known; a part not run keeps its former entry."""
    for name in options.part:
        started = time.perf_counter()
        try:
            measured = parts[name](options)
        except (NotRun, UserError, subprocess.CalledProcessError) as error:
            print(f"{name}: not run, since {error}\n")
            continue
        entry = {
            "machine": machine.describe(),
            "threads": options.threads,
            "seconds": time.perf_counter() - started,
            "ratios": {ratio.name: ratio.to_json() for ratio in measured.ratios},
            "settings": measured.settings,
            "notes": measured.notes,
            "figures": measured.figures,
        }
        known = _known(results) | {name: entry}
        machine.write_results(results, {"parts": {part: known[part] for part in parts if part in known}})
        print("".join(f"{name}: {note}\n" for note in measured.notes))
    print(f"{'figure':78} {'value':>15} {'target':>16}  {'':3} date")
    for entry in _known(results).values():
        for name, ratio in entry["ratios"].items():
            bound = "at most" if ratio["at_most"] else "at least"
            target = f"{bound} {ratio['target']:.6g}" if ratio["target"] is not None else ""
            reached = {True: "yes", False: "no", None: ""}[ratio["reached"]]
            print(f"{name:78} {ratio['value']:15,.4g} {target:>16}  {reached:3} {entry['machine']['date']}")


def _known(results: str) -> dict[str, Any]:
    path = machine.RESULTS / f"{results}.json"
    parts: dict[str, Any] = json.loads(path.read_text())["parts"] if path.exists() else {}
    return parts
