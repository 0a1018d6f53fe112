"""The photos and other inputs of a job. Folders are checked and uploaded; S3 prefixes must exist already."""

import functools
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from classifier.errors import ConfigError, DataError
from launch import check
from launch.aws.errors import explained
from launch.aws.names import ILLEGAL
from launch.aws.session import Session
from launch.aws.specification import Channel, InputMode
from train.config import Config

TRAINING = "training"  # name of the channel for the photos; each folder in it is a split
RECORDIO = "application/x-recordio"


@dataclass(frozen=True)
class Input:
    """One input of a job: the name of its channel, its S3 address, and the folder that is uploaded there first, if any."""

    name: str
    uri: str
    folder: Path | None = None
    photos: int = 0

    def __str__(self) -> str:
        if self.folder is None:
            return self.uri
        count = f"{self.photos:,} photos of " if self.photos else ""
        return f"{count}{self.folder}, uploaded to {self.uri}"


def inputs(options: Namespace, root: str, config: Config) -> list[Input]:
    """Return a job's inputs. Folders of photos are checked. `root` is the S3 address below which byoc stores everything.

    Raises DataError if training would refuse the photos, and ConfigError for a folder that does not exist.
    """
    found = []
    for option, channel in (("data", TRAINING), ("pretrained", "pretrained"), ("model", "model")):
        given = getattr(options, option)
        if given is None:
            continue
        if isinstance(given, str):
            found.append(Input(channel, given if given.endswith(("/", ".tar.gz")) else f"{given}/"))
            continue
        if not given.is_dir():
            raise ConfigError(f"--{option} {given} is not a folder; name a folder, or s3://BUCKET/PREFIX/")
        name = ILLEGAL.sub("-", given.resolve().name).strip("-") or "photos"
        place = "data" if option == "data" else option
        photos = 0
        if option == "data":
            photos = _checked(given, config.validation_share, config.seed, config.max_unreadable)
        found.append(Input(name=channel, uri=f"{root}/{place}/{name}/", folder=given, photos=photos))
    return found


def channels(wanted: list[Input], mode: InputMode, splits: Callable[[Input], list[str]]) -> tuple[Channel, ...]:
    """Return the channels of the inputs. In Pipe mode each split of the photos is a separate channel, because a pipe has no folders."""
    found = []
    for one in wanted:
        if one.name == TRAINING and mode == "Pipe":
            found += [
                Channel(name=split, uri=f"{one.uri}{split}/", mode=mode, content_type=RECORDIO) for split in splits(one)
            ]
        else:
            found.append(Channel(name=one.name, uri=one.uri, mode=mode if one.name == TRAINING else "File"))
    return tuple(found)


def splits(session: Session, one: Input) -> list[str]:
    """Return the names of the folders in the input of photos, on this machine or in S3. Raises ConfigError if there are none."""
    if one.folder is not None:
        names = sorted(path.name for path in one.folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    else:
        bucket, _, prefix = one.uri.removeprefix("s3://").partition("/")
        with explained(f"the photos at {one.uri}"):
            answer = session.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix, Delimiter="/")
        names = [entry["Prefix"].removeprefix(prefix).rstrip("/") for entry in answer.get("CommonPrefixes", [])]
    if not names:
        raise ConfigError(
            f"{one.folder or one.uri} holds no folders; --input-mode Pipe needs train/ with RecordIO files"
        )
    return names


def in_buckets(own: str, wanted: Sequence[Input]) -> list[str]:
    """Return the buckets that a job uses: byoc's own bucket, and the buckets of the inputs."""
    return list(dict.fromkeys([own, *(one.uri.removeprefix("s3://").partition("/")[0] for one in wanted)]))


def check_there(session: Session, one: Input) -> None:
    """Raise AwsError or ConfigError if an S3 prefix cannot be read or is empty."""
    if one.folder is not None:
        return
    bucket, _, prefix = one.uri.removeprefix("s3://").partition("/")
    with explained(f"the photos at {one.uri}"):
        answer = session.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1)
    if not answer.get("KeyCount"):
        raise ConfigError(f"{one.uri} holds nothing; upload photos with byoc data upload, or name their folder")


@functools.cache  # The result is cached, because byoc run checks the same photos for each of its jobs.
def _checked(folder: Path, validation_share: float, seed: int, max_unreadable: float) -> int:
    """Return the number of photos. Raises DataError with every problem that would make training fail."""
    config = Config(validation_share=validation_share, seed=seed, max_unreadable=max_unreadable)
    findings: dict[str, Any] = check.survey(folder, config)
    if findings["fatal"]:
        raise DataError("\n".join(findings["fatal"]))
    return sum(split["photos"] for split in findings["splits"].values())
