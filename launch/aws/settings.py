"""What byoc.toml, the environment and the command line say of the account: the last of them wins.

byoc.toml lies in the working folder or in one above it; `byoc init` writes it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

FILE = "byoc.toml"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where and with what SageMaker is used; an empty string stands for what nobody said."""

    profile: str = ""  # of ~/.aws/config; empty: boto3's own search
    region: str = ""
    role: str = ""  # the whole ARN, or a name that is looked up
    bucket: str = ""
    prefix: str = "byoc"  # of all keys in the bucket
    train_image: str = ""  # empty: images.json's
    serve_image: str = ""
    train_types: tuple[str, ...] = ("ml.g4dn.xlarge",)
    serve_types: tuple[str, ...] = ("ml.m5.large",)
    transform_types: tuple[str, ...] = ("ml.m5.large",)
    max_run: int = 3600  # seconds of one training job
    ask_above: float = 1.0  # money; a plan whose upper bound is above it is asked about
    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    isolation: bool = False
    volume_key: str = ""
    output_key: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    file: Path | None = None  # the byoc.toml that was read
