"""Options that several verbs share, and how a verb is added. Importing this loads nothing heavy."""

import argparse
from typing import Any

Verbs = Any  # what argparse's add_subparsers returns has no public type
Place = argparse._ActionsContainer  # a parser, or a group of its options


def add_verb(verbs: Verbs, name: str, what: str, example: str, call: str = "") -> argparse.ArgumentParser:
    """Add a verb whose help shows an example; `call` is the module that carries it out."""
    verb: argparse.ArgumentParser = verbs.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
    show_examples(verb, example)
    if call:
        verb.set_defaults(call=call)
    return verb


def show_examples(verb: argparse.ArgumentParser, example: str) -> None:
    """Let a verb's help end with examples."""
    verb.epilog = f"examples:\n{example}"
    verb.formatter_class = argparse.RawDescriptionHelpFormatter


def add_account(verb: argparse.ArgumentParser) -> None:
    """Add what takes the place of byoc.toml's entries."""
    group = verb.add_argument_group("account", "each takes the place of what byoc.toml says")
    group.add_argument("--profile", metavar="NAME", help="of your AWS configuration")
    group.add_argument("--region", metavar="NAME", help="as in eu-central-1")
    group.add_argument("--role", metavar="ARN", help="the role that SageMaker assumes: its ARN or its name")
    group.add_argument("--bucket", metavar="NAME", help="the bucket for photos, artifacts and answers in S3")


def add_plan(verb: argparse.ArgumentParser) -> None:
    """Add what a verb that costs money understands."""
    group = verb.add_argument_group("before anything is sent")
    group.add_argument("--dry-run", action="store_true", help="print the plan and the requests, send nothing")
    group.add_argument("--yes", "-y", action="store_true", help="do not ask, whatever the plan costs")
    add_json(group)


def add_json(place: Place) -> None:
    """Add --json."""
    place.add_argument("--json", action="store_true", help="print what a program reads")


def add_sending(place: Place) -> None:
    """Add what a verb understands that sends requests of SageMaker's API."""
    place.add_argument(
        "--override", action="append", default=[], metavar="OPERATION.KEY=JSON", help="any other member of a request"
    )
    place.add_argument(
        "--sender",
        choices=("auto", "sdk", "boto3"),
        default="auto",
        help="who sends the requests (default: %(default)s)",
    )


def add_serve_image(verb: argparse.ArgumentParser) -> None:
    """Add --serve-image."""
    verb.add_argument("--serve-image", metavar="URI", dest="serve_image", help="instead of the one in images.json")


def add_following(verb: argparse.ArgumentParser) -> None:
    """Add what a verb that waits understands."""
    verb.add_argument(
        "--detach", "-d", action="store_true", help="start it and return; byoc logs NAME comes back to it"
    )
