"""Options that several verbs share, and a function that adds a verb. Importing this module loads nothing heavy."""

import argparse
from typing import Any

Verbs = Any  # the result of argparse's add_subparsers, whose type is not public
Place = argparse._ActionsContainer  # a parser, or a group of options in one


def add_verb(verbs: Verbs, name: str, what: str, example: str, call: str = "") -> argparse.ArgumentParser:
    """Add a verb whose help shows an example; `call` is the module that runs the verb."""
    verb: argparse.ArgumentParser = verbs.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
    show_examples(verb, example)
    if call:
        verb.set_defaults(call=call)
    return verb


def show_examples(verb: argparse.ArgumentParser, example: str) -> None:
    """Add examples to the end of a verb's help."""
    verb.epilog = f"examples:\n{example}"
    verb.formatter_class = argparse.RawDescriptionHelpFormatter


def add_account(verb: argparse.ArgumentParser) -> None:
    """Add the options that replace entries of byoc.toml."""
    group = verb.add_argument_group("account", "each replaces an entry of byoc.toml")
    group.add_argument("--profile", metavar="NAME", help="a profile of your AWS configuration")
    group.add_argument("--region", metavar="NAME", help="as in eu-central-1")
    group.add_argument("--role", metavar="ARN", help="the role that SageMaker assumes: its ARN or its name")
    group.add_argument("--bucket", metavar="NAME", help="the bucket for photos, artifacts and answers in S3")


def add_plan(verb: argparse.ArgumentParser) -> None:
    """Add the options of a verb that costs money."""
    group = verb.add_argument_group("before anything is sent")
    group.add_argument("--dry-run", action="store_true", help="print the plan and the requests, send nothing")
    group.add_argument("--yes", "-y", action="store_true", help="send the plan without asking, whatever it costs")
    add_json(group)


def add_json(place: Place) -> None:
    """Add --json."""
    place.add_argument("--json", action="store_true", help="print JSON, for other programs")


def add_sending(place: Place) -> None:
    """Add the options of a verb that sends requests to SageMaker."""
    place.add_argument(
        "--override",
        action="append",
        default=[],
        metavar="OPERATION.KEY=JSON",
        help="set any other member of a request",
    )
    place.add_argument(
        "--sender",
        choices=("auto", "sdk", "boto3"),
        default="auto",
        help="the library that sends the requests (default: %(default)s)",
    )


def add_serve_image(verb: argparse.ArgumentParser) -> None:
    """Add --serve-image."""
    verb.add_argument(
        "--serve-image", metavar="URI", dest="serve_image", help="the serving image (default: the one in images.json)"
    )


def add_following(verb: argparse.ArgumentParser) -> None:
    """Add --detach, the option of a verb that waits."""
    verb.add_argument(
        "--detach",
        "-d",
        action="store_true",
        help="do not wait for the end; byoc logs NAME --follow waits for it later",
    )
