"""The JSONPath that InputFilter and OutputFilter may have (G23 batch-transform-data-processing, its table of operators)."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from local_test.sagemaker.errors import invalid

Step = Callable[[Any], Any]
Path = tuple[Step, ...]
NAME = re.compile(r"\.([A-Za-z_][\w-]*)")
WILDCARD = re.compile(r"\.\*|\[\*\]|\.\[\*\]")
NAMES = re.compile(r"\.?\[\s*('[^']*'(?:\s*,\s*'[^']*')*)\s*\]")
INDEXES = re.compile(r"\.?\[\s*([-\d:]+(?:\s*,\s*[-\d:]+)*)\s*\]")
SLICE = re.compile(r"(-?\d+)?:(-?\d+)?")


class NoMatch(Exception):
    """A record does not have the value that a path names."""


def parse(text: str) -> Path:
    """Return the steps of a path; raises ApiError for operators that the guide does not list."""
    if not text.startswith("$"):
        raise invalid(f"the JSONPath '{text}' does not begin with $")
    return tuple(_steps(text))


def select(path: Path, record: Any) -> Any:
    """Return the part of a record that a path selects; raises NoMatch."""
    for step in path:
        record = step(record)
    return record


def _steps(text: str) -> Iterator[Step]:
    place = 1
    while place < len(text):
        for pattern, make in ((WILDCARD, _all), (NAME, _name), (NAMES, _names), (INDEXES, _indexes)):
            if match := pattern.match(text, place):
                yield make(match[1] if match.re.groups else "", text)
                place = match.end()
                break
        else:
            raise invalid(f"the JSONPath '{text}' has '{text[place:]}', which batch transform does not support")


def _name(name: str, text: str) -> Step:
    def step(value: Any) -> Any:
        if not isinstance(value, dict) or name not in value:
            raise NoMatch(f"the JSONPath '{text}' names '{name}', which a record does not have")
        return value[name]

    return step


def _all(_: str, text: str) -> Step:
    def step(value: Any) -> Any:
        if not isinstance(value, dict | list):
            raise NoMatch(f"the JSONPath '{text}' has a wildcard for a value without members")
        return list(value.values()) if isinstance(value, dict) else value

    return step


def _names(inside: str, text: str) -> Step:
    names = re.findall(r"'([^']*)'", inside)
    if len(names) == 1:
        return _name(names[0], text)
    each = {name: _name(name, text) for name in names}
    return lambda value: {name: step(value) for name, step in each.items()}


def _indexes(inside: str, text: str) -> Step:
    parts = [part.strip() for part in inside.split(",")]
    if len(parts) == 1 and ":" not in parts[0]:
        return lambda value: _item(value, parts[0], text)
    for part in parts:
        if ":" in part and not SLICE.fullmatch(part):
            raise invalid(f"the JSONPath '{text}' has '{part}', which is not a slice of two indexes")
    return lambda value: [item for part in parts for item in _items(value, part, text)]


def _items(value: Any, part: str, text: str) -> list[Any]:
    match = SLICE.fullmatch(part)
    if not match:
        return [_item(value, part, text)]
    items = _list(value, text)
    # In the guide the end is included: $[1:4] is the second to the fifth column.
    end = int(match[2]) if match[2] else -1
    return items[int(match[1] or 0) :] if end == -1 else items[int(match[1] or 0) : end + 1]


def _item(value: Any, index: str, text: str) -> Any:
    try:
        return _list(value, text)[int(index)]
    except (IndexError, ValueError):
        # An index beyond the record is an error (API, DataProcessing.OutputFilter).
        raise NoMatch(f"the JSONPath '{text}' names the index {index}, which a record does not have") from None


def _list(value: Any, text: str) -> list[Any]:
    if not isinstance(value, list):
        raise NoMatch(f"the JSONPath '{text}' has an index for a value that is not an array")
    return value
