"""The settings for SageMaker. They are read from byoc.toml; environment variables replace its values, and options replace both.

byoc.toml is in the working folder or in a folder above it; `byoc init` writes it. The name of an environment variable is made
from the table and the key: BYOC_REGION for region, BYOC_IMAGES_TRAIN for train in [images]. In a variable, the items of a list
are separated by commas.
"""

import os
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from classifier.errors import ConfigError
from classifier.near_names import near_names
from launch.aws import toml_file
from launch.aws.keys import KEYS, OPTIONS

FILE = toml_file.FILE


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings for SageMaker. An empty string means that the setting has no value."""

    profile: str = ""  # a profile in ~/.aws/config; if empty, boto3 searches for credentials itself
    region: str = ""
    role: str = ""  # the role's whole ARN, or a name from which byoc finds the ARN
    bucket: str = ""
    prefix: str = "byoc"  # the beginning of all keys in the bucket
    train_image: str = ""  # address of the image; if empty, byoc takes the one in images.json
    serve_image: str = ""
    train_types: tuple[str, ...] = ("ml.g4dn.xlarge",)
    serve_types: tuple[str, ...] = ("ml.m5.large",)
    transform_types: tuple[str, ...] = ("ml.m5.large",)
    max_run: int = 3600  # the longest time of a training job, in seconds
    ask_above: float = 1.0  # amount of money; byoc asks before it sends a plan that may cost more
    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    isolation: bool = False
    encrypt_traffic: bool = False  # whether traffic between the hosts of a job is encrypted
    volume_key: str = ""
    output_key: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    file: Path | None = None  # the byoc.toml that was read


def load(options: Namespace) -> Settings:
    """Return the settings of this command.

    Raises ConfigError for a byoc.toml that cannot be read, for an unknown key, and for a value that cannot be used. The error names where
    the key or value comes from.
    """
    file = toml_file.find(Path.cwd())
    values = toml_file.read(file) if file else {}
    values |= _environment()
    for name in OPTIONS:
        if (value := getattr(options, name, None)) is not None:
            values[name] = KEYS[name].value_of(value, f"--{name.replace('_', '-')}")
    if bool(values.get("subnets")) != bool(values.get("security_groups")):
        raise ConfigError(
            f"{file or 'the environment'} names {'subnets' if values.get('subnets') else 'security_groups'} alone; "
            "[network] needs both subnets and security_groups, or neither"
        )
    return Settings(**values, file=file)


def _environment() -> dict[str, Any]:
    """Return the values of the BYOC_ variables; an empty variable counts as not set.

    Raises ConfigError for a variable whose name is probably one of these, misspelt.
    """
    if sentences := near_names(os.environ, [key.variable for key in KEYS.values()] + ["BYOC_EMULATOR"]):
        raise ConfigError(f"{sentences[0]} Correct the name, or unset the variable")
    return {
        key.field: key.value_of(key.from_text(text), key.variable)
        for key in KEYS.values()
        if (text := os.environ.get(key.variable, ""))
    }
