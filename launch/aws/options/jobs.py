"""The verbs of jobs."""

import argparse
from typing import Any

Verbs = Any  # what argparse's add_subparsers returns has no public type


def add(verbs: Verbs) -> None:
    """Add the verbs to the command line."""


def on_sagemaker(verb: argparse.ArgumentParser) -> None:
    """Add what train, tune and run understand with --on sagemaker."""
