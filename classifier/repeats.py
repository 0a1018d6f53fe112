"""JSON objects in which a name must not stand twice: Python's reader would take the last one in silence."""

from typing import Any


def unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object's pairs as a dict, as the `object_pairs_hook` of json; raises ValueError for a repeated name."""
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"it holds {next(name for name in names if names.count(name) > 1)!r} twice")
    return value
