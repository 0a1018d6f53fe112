"""Runs the parts of a benchmark. The results file holds the machine and the date of each part, so each part can run alone."""

import argparse
import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import machine
from benchmarks.machine import NotRun
from classifier.errors import UserError

RESULTS = machine.ROOT / "benchmarks" / "results"
Options = argparse.Namespace


@dataclass(frozen=True)
class Figure:
    """A measured value. `low` and `high` are the extremes of several measurements. `at_least` or `at_most` is the target."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    at_least: float | None = None
    at_most: float | None = None

    @classmethod
    def of(cls, name: str, values: Sequence[float], **limit: float | None) -> "Figure":
        """Return a figure with the median of several measurements."""
        return cls(name, median(values), low=min(values), high=max(values), **limit)


Part = Callable[[Options], Iterable[Figure]]


def parse(
    name: str, parts: Iterable[str], options: Mapping[str, tuple[Any, str]], folder: str | None = None
) -> Options:
    """Read the command line of `python -m benchmarks.NAME`: --part (or --only) and `options`, which hold a default and a help text.

    If `folder` is given, the command line also takes a folder of photos, whose default is `folder`.
    """
    parser, names = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}"), list(parts)
    text = f"parts to run, separated by commas: {', '.join(names)}"
    parser.add_argument("--part", "--only", type=lambda given: _chosen(given, names), default=names, help=text)
    if folder:
        parser.add_argument("folder", type=Path, nargs="?", default=Path(folder), help="photos (default: %(default)s)")
    for option, (default, text) in options.items():
        if isinstance(default, bool):
            parser.add_argument(f"--{option}", action="store_true", help=text)
        else:
            kind = int if default is None else type(default)
            parser.add_argument(f"--{option}", type=kind, default=default, help=f"{text} (default: %(default)s)")
    return parser.parse_args()


def _chosen(text: str, parts: list[str]) -> list[str]:
    """Return the parts whose names begin with one of the listed texts. Raises ArgumentTypeError if no name begins with a text."""
    wanted = text.split(",")
    unknown = [prefix for prefix in wanted if not any(name.startswith(prefix) for name in parts)]
    if unknown:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is not a part; the parts are {', '.join(parts)}")
    return [name for name in parts if name.startswith(tuple(wanted))]


def main(
    name: str, parts: Mapping[str, Part], options: Mapping[str, tuple[Any, str]], folder: str | None = None
) -> int:
    """Run the parts that the command line of `python -m benchmarks.NAME` names. Write and print the figures of results/NAME.json.

    The file holds figures, machine and options of each part. Parts that do not run keep their old figures. See `parse` for the
    arguments.
    """
    given, path = parse(name, parts, options, folder), RESULTS / f"{name}.json"
    # On SIGTERM, exit in the usual way, so that the processes of a part are ended too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    known: dict[str, Any] = json.loads(path.read_text())["parts"] if path.exists() else {}
    settings = {key: value for key, value in vars(given).items() if isinstance(value, int | float | str)}
    for part in given.part:
        described = machine.describe()
        try:
            figures = [vars(figure) for figure in parts[part](given)]
        except (NotRun, UserError, subprocess.CalledProcessError) as error:
            print(f"{part}: not run, because {error}\n")
            continue
        rows = [{key: value for key, value in figure.items() if value is not None} for figure in figures]
        known[part] = {"machine": described, "settings": settings, "figures": rows}
        _write(path, {"parts": {each: known[each] for each in parts if each in known}})
    for part, entry in known.items():
        print(f"\n{part}, {entry['machine']['date']}")
        for figure in entry["figures"]:
            limits = [f"at {end} {figure[f'at_{end}']:g}" for end in ("least", "most") if f"at_{end}" in figure]
            print(f"  {figure['name']:86} {figure['value']:12,.5g} {''.join(limits)}")
    return 0


def _write(path: Path, results: Mapping[str, Any]) -> None:
    """Write the results and print the path. Numbers have five significant digits; each innermost object takes one line."""
    path.parent.mkdir(exist_ok=True)
    rounded = json.loads(json.dumps(results), parse_float=lambda digits: float(f"{float(digits):.5g}"))
    indented = json.dumps(rounded, indent=1)
    path.write_text(re.sub(r"[\[{][^\[\]{}]*[\]}]", lambda inner: " ".join(inner[0].split()), indented) + "\n")
    print(f"wrote {path}", flush=True)
