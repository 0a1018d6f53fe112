"""Finds environment variables whose names are probably misspelt names of ours. They have no effect, so the user is told."""

from collections.abc import Collection, Iterable
from difflib import get_close_matches

PREFIX = "BYOC_"
NEAR = 0.85  # of difflib's ratio: BYOC_BACKND and BYOC_MEMORY are found, names of your own are not


def near_names(names: Iterable[str], known: Collection[str]) -> list[str]:
    """Return a sentence for each of `names` that begins with BYOC_, is not in `known`, and is very similar to a name in `known`."""
    strange = sorted(name for name in names if name.startswith(PREFIX) and name not in known)
    return [
        f"the environment variable {name} has no effect; did you mean {near[0]}?"
        for name in strange
        if (near := get_close_matches(name, known, n=1, cutoff=NEAR))
    ]
