"""Reads our own records of the machines: the files system-HOST.jsonl beside records.jsonl. docs/records.md defines the format."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from classifier.names import one_line
from reports.facts import Run
from reports.sources import metrics
from reports.sources.archives import beginning
from reports.sources.measured import column
from reports.sources.text import json_lines
from reports.sources.values import Fields
from reports.system import MEASURES, MOST_PERCENT, Numbers, Profile, Series

NAME = "system-"  # the beginning of the names of these files
VERSION = 1
START = 10.0  # seconds; in the first seconds of a job, points are closer together than later
# Seconds. A shorter job keeps the dense points of its first seconds. In a longer job they would weigh more than later points.
SHORT = 15.0
SPACING = 0.5  # seconds between points after the dense points have been joined
CLOCK = 5.0  # seconds; a smaller correction of the clock is not reported
GAP = 3600.0  # seconds without a point; a longer gap is reported
# Column -> (device, measure). The column of a core is cpuN; that of a group of cores is cpuFIRST-LAST.
COLUMNS = {
    "busiest_core_percent": ("busiest core", "busiest_core"),
    "io_wait_percent": ("busiest core", "io_wait"),
    "receive": ("network", "receive"),
    "transmit": ("network", "transmit"),
    "disk_read": ("disk", "disk_read"),
    "disk_write": ("disk", "disk_write"),
}
GPU_COLUMNS = {"percent": "gpu", "memory_activity_percent": "gpu_memory", "memory_bytes": "gpu_memory_used"}
CORE = re.compile(r"cpu\d+(-\d+)?")
GPU = re.compile(r"gpu(\d+)_(\w+)")


def read_machines(records: Path, missing: list[str]) -> tuple[Series, ...]:
    """Return the series of all hosts, from the files in the folder or the archive of the records file."""
    folder = records.parent
    beside = sorted(folder.glob(f"{NAME}*.jsonl*"))
    paths = beginning(folder, NAME) if folder.is_file() else beside
    return tuple(series for path in paths for series in _host(path, missing))


def _host(path: Path, missing: list[str]) -> list[Series]:
    """Return the series of one file."""
    held = [Fields(values) for values in json_lines(path, missing)]
    if not held:
        missing.append(f"{one_line(path)} holds no record of the machine.")
    parts = [part for record in held if (part := _columns(record)) is not None]
    if len(parts) < len(held):
        missing.append(f"{one_line(path)}: {len(held) - len(parts)} records are not of kind system, or hold no times.")
    if not parts:
        return []
    about = parts[0][0]
    if reason := about.text("gpus_missing"):
        missing.append(f"The use of the GPUs of {about.text('host')} was not recorded: {one_line(reason)}")
    names = dict.fromkeys(name for _, columns in parts for name in columns)
    joined = {
        name: np.concatenate([columns.get(name, np.full(len(columns["times"]), np.nan)) for _, columns in parts])
        for name in names
    }
    missing += _clock(path, joined["times"])
    series, impossible = _series(about, joined)
    if impossible:
        missing.append(
            f"{one_line(path)}: {impossible} values above {MOST_PERCENT} % are impossible, and were left out."
        )
    return series


def _clock(path: Path, times: Numbers) -> list[str]:
    """Return a sentence if the clock was set back, and a sentence if there is a long gap between two points."""
    steps = np.diff(times)
    if not len(steps):
        return []
    said, back, gap = [], float(-steps.min()), float(np.diff(np.sort(times)).max())
    if back > CLOCK:
        said.append(
            f"{one_line(path)}: the clock was set back by {back:,.0f} seconds; its points are shown in the order of their times."
        )
    if gap > GAP:
        said.append(
            f"{one_line(path)} has a gap of {gap / 3600:,.1f} hours: the clock was set forward, or the machine was paused."
        )
    return said


def _columns(record: Fields) -> tuple[Fields, dict[str, Numbers]] | None:
    """Return a record of kind system and those of its columns that are as long as its times; None for another kind or version."""
    times = column(record, "times")
    ours = record.text("kind") == "system" and record.number("version") == VERSION
    if not ours or times is None or not len(times) or np.isnan(times).any():
        return None
    names = [name for name, value in record.values.items() if isinstance(value, list)]
    found = {name: values for name in names if (values := column(record, name)) is not None}
    return record, {name: values for name, values in found.items() if len(values) == len(times)}


def _series(about: Fields, columns: dict[str, Numbers]) -> tuple[list[Series], int]:
    """Return the series of a host, and the number of values that were left out because they are above MOST_PERCENT."""
    times = columns.pop("times")
    order = np.argsort(times, kind="stable")
    times, columns = _thinned(times[order], {name: values[order] for name, values in columns.items()})
    host, found, impossible = about.text("host") or "host", list[Series](), 0

    def add(device: str, measure: str, values: Numbers) -> None:
        nonlocal impossible
        above = (values > MOST_PERCENT) & (MEASURES[measure] == "%")
        impossible += int(above.sum())
        known = ~np.isnan(values) & ~above
        if known.any():
            found.append(Series(host=host, device=device, measure=measure, times=times[known], values=values[known]))

    memory = about.number("memory_limit_bytes")
    gpus = about.items("gpu_memory_limit_bytes")
    for name, values in columns.items():
        if CORE.fullmatch(name):
            add(name, "cpu", values)
        elif name in COLUMNS:
            add(*COLUMNS[name], values)
        elif name == "cpu_percent" and about.number("cpu_limit_cores"):
            add("cpu limit", "cpu_limit", values)
        elif name == "memory_bytes" and memory:
            add("memory", "memory", 100 * values / memory)
        elif (match := GPU.fullmatch(name)) and (measure := GPU_COLUMNS.get(match[2])):
            add(f"gpu{match[1]}", measure, values)
            place = int(match[1])
            limit = Fields({"": gpus[place]}).number("") if place < len(gpus) else None
            if measure == "gpu_memory_used" and limit:
                add(f"gpu{match[1]}", "gpu_memory_full", 100 * values / limit)
    return found, impossible


def _thinned(times: Numbers, columns: dict[str, Numbers]) -> tuple[Numbers, dict[str, Numbers]]:
    """Average the dense points of the first seconds, so that all points are about SPACING apart. A short job keeps its points."""
    since = times - times[0]
    if since[-1] < SHORT:
        return times, columns
    places = np.where(since < START, np.floor(since / SPACING), START / SPACING + np.arange(len(times)))
    starts = np.flatnonzero(np.concatenate(([True], np.diff(places) > 0)))
    joined = {}
    for name, values in columns.items():
        known = ~np.isnan(values)
        counts = np.add.reduceat(known, starts, dtype=int)
        sums = np.add.reduceat(np.where(known, values, 0.0), starts)
        joined[name] = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    return times[starts], joined


def with_machines(profile: Profile | None, run: Run | None) -> Profile | None:
    """Return the profile. If SageMaker's profiler recorded no series, the profile gets the series of our own records."""
    series: Sequence[Series] = run.measured.machines if run else ()
    if run is None or not series or (profile and profile.series):
        return profile
    usage = metrics.usage(series)
    if profile is None:
        hosts = len({one.host for one in series})
        return Profile(source=run.source, files=hosts, series=tuple(series), usage=usage)
    others = tuple(sentence for sentence in profile.missing if "ystem metrics are missing" not in sentence)
    return replace(profile, series=tuple(series), usage=usage, missing=others)
