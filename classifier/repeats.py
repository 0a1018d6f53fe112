"""Refuse JSON objects that have one name twice; Python's json module would silently use the last value."""

from typing import Any


def unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the pairs as a dict, for json's `object_pairs_hook`; raises ValueError when a name is repeated."""
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"it holds {next(name for name in names if names.count(name) > 1)!r} twice")
    return value
