"""`byoc init`: writes byoc.toml in the working folder, with all its keys; a key without a value is a comment."""

import json
import os
import sys
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path

from classifier.errors import ConfigError
from launch.aws import toml_file
from launch.aws.errors import explained
from launch.aws.keys import KEYS, OPTIONS, Key
from launch.aws.settings import Settings

ABOUT = {
    "profile": "a profile in ~/.aws/config; without it boto3 looks for credentials by itself",
    "region": "the region of all jobs and endpoints; the bucket must be in it",
    "role": "the role that SageMaker assumes: its ARN, or its name",
    "bucket": "the bucket for photos, artifacts and answers",
    "prefix": "the beginning of all keys in the bucket",
    "train_image": "default: the training image in images.json, which build_and_push.sh writes",
    "serve_image": "default: the serving image in images.json",
    "train_types": "instance types of training jobs, in order of preference",
    "serve_types": "instance types of endpoints, in order of preference",
    "transform_types": "instance types of transform jobs",
    "max_run": "the longest time of a training job, in seconds",
    "ask_above": "byoc asks before it sends a plan that may cost more",
    "subnets": "subnets of a VPC; security_groups is required with it",
    "security_groups": "security groups of the VPC",
    "isolation": "gives containers no network",
    "encrypt_traffic": "encrypts the traffic between the hosts of a job",
    "volume_key": "the KMS key of the instances' volumes",
    "output_key": "the KMS key of uploads and of what jobs write to S3",
}
EXAMPLES = {
    "profile": "default",
    "region": "eu-central-1",
    "role": "arn:aws:iam::123456789012:role/byoc-sagemaker",
    "bucket": "my-photos",
    "train_image": "123456789012.dkr.ecr.eu-central-1.amazonaws.com/byoc-classifier-train:1.0",
    "serve_image": "123456789012.dkr.ecr.eu-central-1.amazonaws.com/byoc-classifier-serve:1.0",
    "volume_key": "alias/my-key",
    "output_key": "alias/my-key",
}


@dataclass(frozen=True)
class Written:
    """The new byoc.toml: its values, and the required keys that have no value yet."""

    file: Path
    values: dict[str, str]
    missing: tuple[str, ...]


def init(values: dict[str, str]) -> Written:
    """Write byoc.toml; raises ConfigError if the file exists."""
    file = Path.cwd() / toml_file.FILE
    try:
        with file.open("x") as new:
            new.write(text(values))
    except FileExistsError:
        raise ConfigError(f"{file} already exists; edit it, or remove it first") from None
    return Written(file, values, missing(values))


def missing(values: dict[str, str]) -> tuple[str, ...]:
    """Return the required keys that have no value yet."""
    return tuple(name for name in ("region", "role", "bucket") if name not in values)


def found(options: Namespace) -> dict[str, str]:
    """Return the values of the options.

    Without an option, the profile and the region come from the user's AWS configuration.
    """
    values = {name: str(value) for name in OPTIONS if (value := getattr(options, name, None))}
    for name, value in values.items():
        KEYS[name].value_of(value, f"--{name}")
    import boto3

    with explained("your AWS configuration"):
        session = boto3.Session()
        profiles = session.available_profiles
        named = values.get("profile") or os.environ.get("AWS_PROFILE") or _only(profiles)
        if named:
            values["profile"] = named
            session = boto3.Session(profile_name=named)
    region = values.get("region") or os.environ.get("AWS_REGION") or session.region_name
    return {**values, "region": region} if region else values


def text(values: dict[str, str]) -> str:
    """Return a whole byoc.toml."""
    lines = ["# The settings of byoc for SageMaker; BYOC_ variables and options replace them."]
    table = ""
    for key in KEYS.values():
        if key.table != table:
            table = key.table
            lines += ["", f"[{table}]"]
        lines.append(_line(key, values))
    return "\n".join(lines) + "\n"


def command(options: Namespace) -> int:
    """`byoc init`."""
    values = found(options)
    if options.dry_run:
        entry = {"file": "", "values": values, "missing": missing(values)}
        print(json.dumps(entry, indent=2) if options.json else text(values).removesuffix("\n"))
        return 0
    above = toml_file.find(Path.cwd().parent)
    written = init(values)
    if options.json:
        entry = {"file": str(written.file), "values": written.values, "missing": written.missing}
        print(json.dumps(entry, indent=2))
    else:
        print(report(written))
    if above:
        print(f"byoc: note: {above} is not read in this folder any more", file=sys.stderr)
    return 0


def report(written: Written) -> str:
    """Return a text that says what was written and what to do next."""
    held = ", ".join(f"{name} {value}" for name, value in written.values.items())
    wrote = f"wrote {written.file}" + (f" with {held}" if held else "")
    if not written.missing:
        return f"{wrote}; byoc setup --check checks whether all of it exists"
    first = "write region there, then " if "region" in written.missing else ""
    return f"{wrote}; it lacks {', '.join(written.missing)}: {first}byoc setup create makes what is missing"


def _only(profiles: list[str]) -> str:
    """Return the only profile in the user's AWS configuration; empty if there are several, or if boto3 finds credentials without it."""
    return (
        profiles[0] if len(profiles) == 1 and profiles[0] != "default" and "AWS_ACCESS_KEY_ID" not in os.environ else ""
    )


def _line(key: Key, values: dict[str, str]) -> str:
    about = f"  # {ABOUT[key.field]}" if ABOUT.get(key.field) else ""
    if key.field in values:
        return f"{key.name} = {json.dumps(values[key.field])}{about}"
    if key.kind == "pairs":
        return '# team = "vision"  # tags on everything that byoc makes'
    default = getattr(Settings(), key.field)
    if key.kind == "list" and not default:
        default = ["subnet-0a1b2c3d" if key.field == "subnets" else "sg-0a1b2c3d"]
    shown = EXAMPLES.get(key.field, list(default) if isinstance(default, tuple) else default)
    return f"# {key.name} = {json.dumps(shown)}{about}"
