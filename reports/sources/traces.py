"""Reads the framework traces of SageMaker's profiler: Chrome trace events, in a list or in an object with `traceEvents`."""

import re
from collections.abc import Mapping

from reports.sources.text import parse
from reports.sources.values import Fields, number
from reports.system import Span

STEP = "Step:ModeKeys."


def spans(text: str, name: str) -> tuple[list[Span], bool]:
    """Return the complete events of a trace, and True if its text is damaged. `name` is the name of the file.

    Times in a trace are microseconds since the start that its first metadata event holds. A trace that was cut off, because
    its job was killed for example, is read up to its last complete line.
    """
    events, damaged = _events(text)
    start, labels = 0.0, dict[object, str]()
    for event in events:
        if event.text("ph") == "M" and event.text("name") == "process_name":
            start = event.inside("args").number("start_time_since_epoch_in_micros") or start
            labels[_key(event)] = event.inside("args").text("name")
    found = [_span(event, start, labels) for event in [*events, *_paired(events)] if event.text("ph") == "X"]
    return [span for span in found if span is not None], damaged


def _events(text: str) -> tuple[list[Fields], bool]:
    value = parse(text)
    damaged = value is None
    if isinstance(value, dict):
        value = value.get("traceEvents")
    if not isinstance(value, list):  # the profiler writes one event a line
        value = [parse(line.strip().rstrip(",")) for line in text.split("\n")]
    return [Fields(event) for event in value if isinstance(event, dict)], damaged


def _key(event: Fields) -> object:
    return str(event.values.get("pid")), str(event.values.get("tid"))


def _paired(events: list[Fields]) -> list[Fields]:
    """Return complete events (X) made of pairs of begin and end events (B, E). An event without an end is left out."""
    opened: dict[object, list[Fields]] = {}
    found = []
    for event in events:
        if event.text("ph") == "B":
            opened.setdefault(_key(event), []).append(event)
        elif event.text("ph") == "E" and opened.get(_key(event)):
            begun = opened[_key(event)].pop()
            ends, begins = event.number("ts"), begun.number("ts")
            if ends is not None and begins is not None and ends >= begins:
                found.append(Fields({**begun.values, "ph": "X", "dur": ends - begins}))
    return found


def _span(event: Fields, start: float, labels: Mapping[object, str]) -> Span | None:
    begins, lasts = event.number("ts"), event.number("dur")
    if begins is None or lasts is None or lasts < 0:
        return None
    step = event.inside("args").values.get("step_num")
    counted = number(int(step)) if isinstance(step, str) and re.fullmatch(r"\d{1,15}", step) else number(step)
    return Span(
        process=labels.get(_key(event), ""),
        name=event.text("name") or "?",
        start=(start + begins) / 1e6,
        seconds=lasts / 1e6,
        step=None if counted is None else int(counted),
    )


def node(file_name: str) -> str:
    """Return node and process as <node>-<pid>, from the name of a trace's file, which is <us>_<pid>-<node>_<kind>.json."""
    found = re.match(r"\d+_(\d+)-(.+?)_[a-z_]*timeline", file_name)
    return f"{found[2]}-{found[1]}" if found else "node"
