"""The verbs of account."""

from typing import Any

Verbs = Any  # what argparse's add_subparsers returns has no public type


def add(verbs: Verbs) -> None:
    """Add the verbs to the command line."""
