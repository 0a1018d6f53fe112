"""A benchmark in parts: each is kept in the results file with its own machine and date, so that it can be made in pieces."""

import argparse
import json
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from benchmarks import machine
from benchmarks.runs import Measured, NotRun
from classifier.errors import UserError

Part = Callable[[argparse.Namespace], Measured]


def chosen(text: str, parts: Iterable[str]) -> list[str]:
    """Return the parts that a list of names, or of how they begin, asks for; raises ArgumentTypeError for an unknown one."""
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
        _keep(results, parts, name, measured, options.threads, time.perf_counter() - started)
        for note in measured.notes:
            print(f"{name}: {note}")
        print()
    _print_table(_known(results))


def _known(results: str) -> dict[str, Any]:
    path = machine.RESULTS / f"{results}.json"
    known: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"ratios": {}, "parts": {}}
    return known


def _keep(results: str, parts: Mapping[str, Part], name: str, measured: Measured, threads: int, seconds: float) -> None:
    """Put a part into the results file beside what other parts left there."""
    entry = {
        "machine": machine.describe(),
        "threads": threads,
        "seconds": seconds,
        "ratios": {ratio.name: ratio.to_json() for ratio in measured.ratios},
        "settings": measured.settings,
        "notes": measured.notes,
        "raw": measured.raw,
    }
    known = _known(results)["parts"] | {name: entry}
    kept = {part: known[part] for part in parts if part in known}
    ratios = {
        figure: ratio | {"part": part, "date": found["machine"]["date"]}
        for part, found in kept.items()
        for figure, ratio in found["ratios"].items()
    }
    machine.write_results(results, {"ratios": ratios, "parts": kept})


def _print_table(known: dict[str, Any]) -> None:
    print(f"{'figure':78} {'value':>15} {'target':>16}  {'':3} date")
    for name, ratio in known["ratios"].items():
        bound = "at most" if ratio["at_most"] else "at least"
        target = f"{bound} {ratio['target']:.6g}" if ratio["target"] is not None else ""
        reached = {True: "yes", False: "no", None: ""}[ratio["reached"]]
        print(f"{name:78} {ratio['value']:15,.4g} {target:>16}  {reached:3} {ratio['date']}")
