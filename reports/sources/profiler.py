"""Reads SageMaker's profiler output: all files below a folder. The content of a file determines its kind, not its name."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from classifier.names import one_line
from reports.sources import details, metrics, platform, traces
from reports.sources.text import parse, read_text
from reports.sources.values import Fields
from reports.system import Profile, Span, StepStatistics

MOST_FILES = 20_000
NAMED = (".json", ".json.gz", ".jsonl", ".corrupt", ".trace")
OURS = ("summary.json", "tuning.json", "records.jsonl", "report.json", "compare.json")  # files of our own runs
OURS_NAMED = ("system-", "trace-head-", "trace-finetune-")
OURS_BELOW = ("input", "model", "trials")
DEBUGGERS_BELOW = ("collections", "index")  # folders that reports.sources.smdebug reads
GAP = 3600  # seconds without a point; after a longer gap, the files may be of several jobs
OTHERS = 5  # a sentence names at most this many unread files


@dataclass
class _Found:
    points: metrics.Metrics = field(default_factory=metrics.Metrics)
    spans: dict[str, list[Span]] = field(default_factory=dict)  # spans by node
    verdicts: dict[str, Fields] = field(default_factory=dict)  # content of the file by rule
    others: list[str] = field(default_factory=list)
    files: int = 0


def read_profile(folder: Path) -> Profile | None:
    """Return the profiler output in a folder (profiler-output, profiler-reports) or in one file; None if there is no such file."""
    missing: list[str] = []
    found = _Found()
    for path in _files(folder, missing):
        if not _take(path, found, missing):
            found.others.append(path.name)
    if not found.files:
        return None
    series = found.points.series()
    spans = tuple(span for held in found.spans.values() for span in held)
    overall = found.verdicts.get("OverallFrameworkMetrics", Fields({}))
    missing += _missing(found, bool(series), bool(spans))
    missing += [
        f"The system metrics of {host} have a gap of {gap / 3600:,.1f} hours; the files may be of several jobs."
        for host, gap in metrics.gaps(series).items()
        if gap > GAP
    ]
    return Profile(
        source=one_line(folder),
        files=found.files,
        series=series,
        spans=spans,
        usage=metrics.usage(series) or platform.usage(found.verdicts.get("OverallSystemUsage", Fields({}))),
        verdicts=tuple(platform.verdict(rule, value) for rule, value in sorted(found.verdicts.items())),
        steps=tuple(_steps(found.spans)) or platform.steps(found.verdicts.get("StepOutlier", Fields({}))),
        phases=_phases(spans) or platform.phases(overall, missing),
        operators=_operators(spans) or platform.operators(overall),
        details=details.details(found.verdicts) if found.verdicts else None,
        missing=tuple(missing),
    )


def _files(folder: Path, missing: list[str]) -> list[Path]:
    if folder.is_file():
        return [folder]
    paths = list[Path]()
    for path in sorted(folder.rglob("*")):
        ours = (
            path.name.startswith(OURS_NAMED)
            or path.name in OURS
            or not set(path.relative_to(folder).parts).isdisjoint(OURS_BELOW + DEBUGGERS_BELOW)
        )
        if ours or not path.name.endswith(NAMED) or not path.is_file():
            continue
        if len(paths) == MOST_FILES:
            missing.append(f"{one_line(folder)} holds more than {MOST_FILES:,} files; the rest was not read.")
            break
        paths.append(path)
    return paths


def _take(path: Path, found: _Found, missing: list[str]) -> bool:
    """Read one file; return True if it is one of the profiler's."""
    problems: list[str] = []
    text = read_text(path, problems)
    head = text.lstrip()[:1]
    whole = parse(text) if head == "{" else None
    if isinstance(whole, dict) and platform.is_verdict(whole):
        found.verdicts[path.name.partition(".")[0]] = Fields(whole)
    elif head == "[" or (isinstance(whole, dict) and "traceEvents" in whole):
        spans, damaged = traces.spans(text, path.name)
        if not spans and '"ph"' not in text:
            return False
        found.spans.setdefault(traces.node(path.name), []).extend(spans)
        if damaged:
            problems.append(f"{one_line(path)} is damaged or cut off: {len(spans)} complete events were read.")
    elif head == "{" and '"Dimension"' in text:
        _points(path, text, found, problems)
    elif path.name.partition(".")[0] in platform.RULES:
        problems.append(f"{one_line(path)} is not valid JSON; so this verdict of SageMaker is missing.")
    else:
        return False
    found.files += 1
    missing += problems
    return True


def _points(path: Path, text: str, found: _Found, problems: list[str]) -> None:
    lines = [parse(line) for line in text.split("\n") if line.strip()]
    unknown = found.points.unknown
    for line in lines:
        if isinstance(line, dict):
            found.points.take(Fields(line))
    damaged = sum(not isinstance(line, dict) for line in lines)
    if damaged:
        problems.append(f"{one_line(path)}: {damaged} of {len(lines)} lines are damaged; the others were read.")
    if found.points.unknown > unknown:
        count = found.points.unknown - unknown
        problems.append(f"{one_line(path)}: {count} points are of an unknown kind, or hold an impossible number.")


def _missing(found: _Found, series: bool, spans: bool) -> list[str]:
    sentences = []
    if not series and "OverallSystemUsage" not in found.verdicts:
        sentences.append(
            "System metrics are missing: the report shows no use of processors, GPUs, memory, disk and network."
        )
    elif not series:
        sentences.append(
            "The raw system metrics are missing: the report shows SageMaker's summaries, without values over time."
        )
    if not spans and "OverallFrameworkMetrics" not in found.verdicts:
        sentences.append("Framework traces are missing: the report shows no steps, phases and operators.")
    if absent := sorted(platform.RULES - found.verdicts.keys()):
        named = "All of SageMaker's verdicts" if not found.verdicts else f"SageMaker's verdicts on {', '.join(absent)}"
        sentences.append(f"{named} are missing.")
    if found.others:
        more = f" and {len(found.others) - OTHERS} more" if len(found.others) > OTHERS else ""
        names = ", ".join(one_line(name) for name in found.others[:OTHERS])
        sentences.append(f"Not read, because they are not files of the profiler: {names}{more}.")
    return sentences


def _steps(spans: dict[str, list[Span]]) -> list[StepStatistics]:
    """Return the durations of the steps of each node and phase."""
    groups: dict[tuple[str, str], list[float]] = {}
    for node, held in spans.items():
        for span in held:
            if span.name.startswith(traces.STEP):
                groups.setdefault((node, span.name.removeprefix(traces.STEP)), []).append(span.seconds)
    found = []
    for (node, phase), seconds in groups.items():
        values = np.array(seconds)
        limit = values.mean() + 3 * values.std()
        p50, p95 = np.percentile(values, (50, 95))
        found.append(
            StepStatistics(
                node=node,
                phase=phase,
                count=len(values),
                mean=float(values.mean()),
                p50=float(p50),
                p95=float(p95),
                maximum=float(values.max()),
                outliers=int((values > limit).sum()),
                lost=float((values[values > limit] - p50).sum()),
            )
        )
    return found


def _phases(spans: tuple[Span, ...]) -> dict[str, float]:
    """Return the share of each phase in the time from the first step to the end of the last, in percent.

    Time in which steps overlap counts once, for the earlier step.
    """
    steps = sorted((span for span in spans if span.name.startswith(traces.STEP)), key=lambda span: span.start)
    if not steps:
        return {}
    seconds: dict[str, float] = {}
    reached = begun = steps[0].start
    for step in steps:
        end = step.start + step.seconds
        if end > reached:
            name = step.name.removeprefix(traces.STEP)
            seconds[name] = seconds.get(name, 0.0) + end - max(step.start, reached)
            reached = end
    total = reached - begun
    if not total > 0:
        return {}
    shares = {name: 100 * spent / total for name, spent in seconds.items()}
    return {**shares, "between steps": max(0.0, 100 - sum(shares.values()))}


def _operators(spans: tuple[Span, ...]) -> dict[str, float]:
    """Return the seconds of the events that are not steps, the longest first. The time of a nested event also counts in the outer event."""
    seconds: dict[str, float] = {}
    for span in spans:
        if not span.name.startswith(traces.STEP):
            seconds[span.name] = seconds.get(span.name, 0.0) + span.seconds
    return dict(sorted(seconds.items(), key=lambda item: -item[1])[:30])
