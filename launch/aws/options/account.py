"""The verbs of account: init, setup and data upload. Importing this module loads nothing heavy."""

import argparse
from pathlib import Path

from launch.aws.options.common import Verbs, add_account, add_json, add_plan, add_verb

ROOM = "launch.aws.account"


def add(verbs: Verbs) -> None:
    """Add the verbs to the command line."""
    verb = add_verb(
        verbs,
        "init",
        "write byoc.toml, the settings for SageMaker: region, role, bucket, instances; needs no account",
        """\
  byoc init
  byoc init --profile work --region eu-central-1 --bucket my-photos --role byoc-sagemaker""",
    )
    add_account(verb)
    verb.add_argument("--dry-run", action="store_true", help="print the file and write nothing")
    add_json(verb)
    verb.set_defaults(call=f"{ROOM}.init")
    _setup(verbs)


def add_upload(verbs: Verbs) -> None:
    """Add `data upload`, beside the other verbs of data."""
    verb = add_verb(
        verbs,
        "upload",
        "upload a folder of photos to S3; files that are already there are not sent again",
        """\
  byoc data upload photos
  byoc data upload photos s3://my-bucket/byoc/data/photos/ --delete""",
    )
    verb.add_argument(
        "data", type=Path, metavar="DIR", help="a folder of photos; it is checked first, as with byoc data check"
    )
    verb.add_argument(
        "uri",
        nargs="?",
        metavar="S3",
        help="s3://BUCKET/PREFIX/ (default: data/ and the folder's name, in byoc.toml's bucket)",
    )
    verb.add_argument("--delete", action="store_true", help="delete objects that DIR does not hold; byoc asks first")
    add_account(verb)
    add_plan(verb)
    verb.set_defaults(call=f"{ROOM}.upload")


def _setup(verbs: Verbs) -> None:
    verb = add_verb(
        verbs,
        "setup",
        "make or check the bucket and the role that SageMaker needs in your account",
        """\
  byoc setup --check
  byoc setup create --dry-run
  byoc setup register --role byoc-sagemaker --bucket my-photos
  byoc setup policy --out policy.json""",
    )
    verb.add_argument(
        "--check", action="store_true", help="show what exists, what is missing and what could not be checked"
    )
    add_json(verb)
    add_account(verb)
    verb.set_defaults(call=f"{ROOM}.setup", part=None)
    parts = verb.add_subparsers(metavar="PART", title="parts")
    create = add_verb(
        parts,
        "create",
        "show a plan; if you agree, make the bucket and the role and write them into byoc.toml",
        "  byoc setup create\n  byoc setup create --bucket my-photos --dry-run",
    )
    add_plan(create)
    register = add_verb(
        parts,
        "register",
        "check an existing role and bucket, and write them into byoc.toml",
        "  byoc setup register --role byoc-sagemaker --bucket my-photos",
    )
    register.add_argument("--dry-run", action="store_true", help="only check, and write nothing")
    add_json(register)
    remove = add_verb(
        parts,
        "remove",
        "remove what setup create made, which it finds by tags; asks first, and never removes a bucket that holds objects",
        "  byoc setup remove --dry-run\n  byoc setup remove",
    )
    add_plan(remove)
    policy = add_verb(
        parts,
        "policy",
        "write the smallest IAM policy with which byoc's verbs work; needs no account",
        "  byoc setup policy --out policy.json\n  byoc setup policy --verb train --verb logs",
    )
    policy.add_argument("--out", type=Path, metavar="FILE", help="default: standard output")
    policy.add_argument(
        "--verb",
        action="append",
        default=[],
        metavar="VERB",
        help="write the policy for this verb only; may be given several times",
    )
    for name, part in {"create": create, "register": register, "remove": remove, "policy": policy}.items():
        add_account(part)
        part.set_defaults(part=name)
        # Trap: a default of a part's option would replace the value that the command line gives before the part.
        for action in part._actions:
            if action.dest in ("json", "profile", "region", "role", "bucket"):
                action.default = argparse.SUPPRESS
