"""Reads the files that SageMaker's Debugger saved for any training program: losses, and statistics of gradients and outputs.

smdebug writes a folder with `collections/`, `index/` and `events/<step>/<step>_<worker>.tfevents`. This module reads the tensors from
the event files, and the names of the losses from the collections. It does not need the index, which holds the tensors' positions.
"""

import dataclasses
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from classifier.names import one_line
from reports.facts import LayerStatistics, Run
from reports.sources.smdebug_events import SavedTensor, saved_tensors
from reports.sources.smdebug_losses import epochs, finite
from reports.sources.smdebug_wire import Damaged
from reports.sources.text import parse, read_text
from reports.sources.values import Fields

MOST_FILES = 20_000
FILE = re.compile(r"\d+_.+\.tfevents")
REDUCED = re.compile(r"smdebug/reductions/(\w+?)/(.+)")  # reduction, tensor
GRADIENT = "gradient/"
END = "training_job_end.ts"


@dataclass
class _Found:
    # Tensors by name, then by step and mode.
    losses: dict[str, dict[tuple[int, int], list[SavedTensor]]] = field(default_factory=dict)
    # Value of each reduction by tensor and step.
    reduced: dict[tuple[str, int], dict[str, float]] = field(default_factory=dict)
    layers: list[LayerStatistics] = field(default_factory=list)


def read_tensors(folder: Path, run: Run | None) -> tuple[Run | None, tuple[str, ...]]:
    """Return a run with the tensors that the Debugger saved below a folder, and sentences on what is missing.

    A run with our own records has better losses than the Debugger's, so it gets only the statistics of layers. Without our own records,
    a new run is made of the tensors, without settings and results. Without tensors the run is returned unchanged.
    """
    missing: list[str] = []
    root, paths = _files(folder, missing)
    if root is None:
        return run, ()
    found = _read(paths, _losses(root), missing)
    layers = (*found.layers, *_reduced(found, missing))
    if run is None:
        run = _own(root, found, missing)
    if layers and not run.layers:
        run = dataclasses.replace(run, layers=layers)
    return run, tuple(missing)


def _files(folder: Path, missing: list[str]) -> tuple[Path | None, list[Path]]:
    """Return the Debugger folder with the most event files, and the paths of these files in the order of their steps."""
    folders: dict[Path, list[Path]] = {}
    for path in sorted(folder.rglob("*.tfevents")) if folder.is_dir() else ():
        if FILE.fullmatch(path.name) and path.parent.parent.name == "events":
            folders.setdefault(path.parents[2], []).append(path)
    if not folders:
        return None, []
    root, paths = max(folders.items(), key=lambda item: len(item[1]))
    if others := sorted(folders.keys() - {root}):
        names = ", ".join(one_line(other) for other in others)
        missing.append(f"The tensors of other jobs in {names} were not read; only those in {one_line(root)} were.")
    if len(paths) > MOST_FILES:
        missing.append(f"{one_line(root)} holds {len(paths):,} event files; only the first {MOST_FILES:,} were read.")
    return root, paths[:MOST_FILES]


def _losses(root: Path) -> frozenset[str]:
    """Return the names of the tensors in the collection `losses`; empty if no collection file can be read."""
    names: set[str] = set()
    for path in sorted(root.glob("collections/*/*.json")):
        value = parse(read_text(path, []))
        held = Fields(value if isinstance(value, dict) else {}).inside("collections").inside("losses")
        names |= {name for name in held.items("tensor_names") if isinstance(name, str)}
    return frozenset(names)


def _read(paths: Iterable[Path], losses: frozenset[str], missing: list[str]) -> _Found:
    found = _Found()
    damaged: list[tuple[Path, str]] = []
    for path in paths:
        try:
            for tensor in saved_tensors(path):
                _take(tensor, losses, found)
        except Damaged as error:
            damaged.append((path, str(error)))
        except OSError as error:
            damaged.append((path, error.strerror or "it cannot be read"))
    if damaged:
        path, reason = damaged[0]
        files = f"{len(damaged)} event {'file' if len(damaged) == 1 else 'files'}"
        missing.append(f"{files} could only be read in part; the first is {one_line(path)}: {reason}.")
    return found


def _take(tensor: SavedTensor, losses: frozenset[str], found: _Found) -> None:
    reduced = REDUCED.fullmatch(tensor.name)
    if reduced:
        found.reduced.setdefault((reduced[2], tensor.step), {})[reduced[1]] = tensor.mean
    elif tensor.name.startswith(GRADIENT):
        found.layers.append(_layer(tensor.name, tensor.step, tensor.mean, tensor.std, tensor.share_zero))
    elif tensor.name in losses or (not losses and "loss" in tensor.name.lower()):
        found.losses.setdefault(tensor.name, {}).setdefault((tensor.step, tensor.mode), []).append(tensor)
    elif "_output_" in tensor.name:
        found.layers.append(_layer(tensor.name, tensor.step, tensor.mean, tensor.std, tensor.share_zero))


def _layer(name: str, step: int, mean: float, std: float, share_zero: float | None) -> LayerStatistics:
    return LayerStatistics(
        kind="gradients" if name.startswith(GRADIENT) else "activations",
        layer=one_line(name.removeprefix(GRADIENT)),
        step=step,
        mean=finite(mean),
        std=finite(std),
        share_zero=share_zero,
    )


def _reduced(found: _Found, missing: list[str]) -> Iterable[LayerStatistics]:
    """Return the statistics of the tensors that were saved only as reductions, if these include mean and std."""
    layers, lacking = [], set()
    for (name, step), values in found.reduced.items():
        if {"mean", "std"} <= values.keys():
            zero = values.get("min") == 0 and values.get("max") == 0
            known = {"min", "max"} <= values.keys()
            layers.append(_layer(name, step, values["mean"], values["std"], float(zero) if known else None))
        else:
            lacking.add(name)
    if lacking:
        missing.append(
            f"The rules need mean and std, but the Debugger saved {len(lacking)} tensors as reductions without them; the first is "
            f"{one_line(min(lacking))}."
        )
    return layers


def _own(root: Path, found: _Found, missing: list[str]) -> Run:
    """Return a run that holds only losses."""
    missing.append(
        "The report is based only on the files of SageMaker's Debugger, which hold no settings, no accuracy and no classes."
    )
    name = min(found.losses, key=lambda name: (-len(found.losses[name]), len(name), name), default="")
    if not name:
        missing.append("The Debugger saved no loss.")
    if others := sorted(found.losses.keys() - {name}):
        missing.append(
            f"The loss that is shown is {one_line(name)}; not shown: {', '.join(one_line(other) for other in others)}."
        )
    return Run(
        source=one_line(root),
        job=None,
        epochs=tuple(epochs(found.losses.get(name, {}))),
        trials=(),
        splits=(),
        layers=(),
        unreadable=(),
        part_seconds={},
        peak_memory_bytes=None,
        finished=(root / END).exists(),
        last_time=None,
        missing=(),
    )
