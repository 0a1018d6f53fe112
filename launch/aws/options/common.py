"""Options that several verbs share."""

import argparse


def add_account(verb: argparse.ArgumentParser) -> None:
    """Add what byoc.toml says otherwise."""
    group = verb.add_argument_group("account", "each takes the place of what byoc.toml says")
    group.add_argument("--profile", metavar="NAME", help="of your AWS configuration")
    group.add_argument("--region", metavar="NAME", help="as in eu-central-1")
    group.add_argument("--role", metavar="ARN", help="the role that SageMaker takes on: its ARN or its name")
    group.add_argument("--bucket", metavar="NAME", help="where photos, artifacts and answers lie in S3")


def add_plan(verb: argparse.ArgumentParser) -> None:
    """Add what a verb that costs money understands."""
    group = verb.add_argument_group("before anything is sent")
    group.add_argument("--dry-run", action="store_true", help="print the plan and the requests, send nothing")
    group.add_argument("--yes", "-y", action="store_true", help="do not ask, whatever the plan costs")
    group.add_argument("--json", action="store_true", help="print what a program reads")


def add_following(verb: argparse.ArgumentParser) -> None:
    """Add what a verb that waits understands."""
    verb.add_argument(
        "--detach", "-d", action="store_true", help="start it and return; byoc logs NAME comes back to it"
    )
