"""Finds the images that SageMaker runs, and checks whether ECR holds them."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from classifier.errors import ConfigError
from launch.aws.errors import AwsError, explain
from launch.aws.session import Session
from launch.aws.settings import Settings

Kind = Literal["train", "serve"]
FILE = "images.json"
ROOT = Path(__file__).parents[2]  # the checkout's folder, into which build_and_push.sh writes images.json
ECR = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?/"
    r"(?P<repository>[a-z0-9._/-]+)(@(?P<digest>sha256:[0-9a-f]{64})|:(?P<tag>[\w.-]+))?"
)
ABSENT = ("RepositoryNotFoundException", "ImageNotFoundException")


@dataclass(frozen=True)
class Stored:
    """An image as ECR holds it."""

    bytes: int  # compressed size
    digest: str


def image(settings: Settings, kind: Kind) -> str:
    """Return the image's address from byoc.toml, or else from the images.json of build_and_push.sh.

    byoc looks for images.json beside byoc.toml, in the working folder and in the checkout. Raises ConfigError if no image
    is named.
    """
    named = settings.train_image if kind == "train" else settings.serve_image
    if named:
        return named
    for folder in _places(settings):
        if (folder / FILE).is_file() and (found := _pushed(folder / FILE, kind)):
            return found
    raise ConfigError(
        f"no {kind} image is named; push it with ./build_and_push.sh {kind}, or write {kind} in [images] of byoc.toml"
    )


def stored(session: Session, uri: str) -> Stored | None:
    """Return what ECR stores about an image; None for an image outside ECR, or if this account may not read ECR.

    Raises AwsError for an image that ECR does not hold.
    """
    found = ECR.fullmatch(uri)
    if found is None:
        return None
    wanted = {"imageDigest": found["digest"]} if found["digest"] else {"imageTag": found["tag"] or "latest"}
    try:
        answer = session.client("ecr", found["region"]).describe_images(
            registryId=found["account"], repositoryName=found["repository"], imageIds=[wanted]
        )
    except Exception as error:
        problem = explain(error, f"image {uri}")
        if problem is None:
            raise
        if problem.code in ABSENT:
            raise AwsError(
                f"ECR holds no image {uri}; push it with ./build_and_push.sh, or correct [images] in byoc.toml",
                problem.code,
            ) from None
        if problem.code == "AccessDeniedException":
            return None
        raise problem from None
    details = answer["imageDetails"][0]
    return Stored(details.get("imageSizeInBytes", 0), details["imageDigest"])


def device(settings: Settings, uri: str) -> Literal["cuda", "cpu", ""]:
    """Return the device that an image is built for, from images.json or else from the end of its tag.

    It is empty if neither names a device.
    """
    for folder in _places(settings):
        if (folder / FILE).is_file():
            for entry in _entries(folder / FILE).values():
                if entry.get("uri") == uri and (said := entry.get("device")) in ("cuda", "cpu"):
                    found: Literal["cuda", "cpu"] = said
                    return found
    tag = uri.partition("@")[0].rpartition("/")[2].partition(":")[2]
    if tag == "cpu" or tag.endswith("-cpu"):
        return "cpu"
    return "cuda" if tag == "cuda" else ""


def _places(settings: Settings) -> list[Path]:
    """Return the folders that may hold images.json."""
    return [*([settings.file.parent] if settings.file else []), Path.cwd(), ROOT]


def _pushed(file: Path, kind: Kind) -> str:
    """Return the address in images.json, or an empty text if it holds no image of this kind."""
    return str(_entries(file).get(kind, {}).get("uri", ""))


def _entries(file: Path) -> dict[str, dict[str, Any]]:
    try:
        entries = json.loads(file.read_text())
        return {kind: dict(entry) for kind, entry in entries.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ConfigError(f"{file} cannot be used ({error}); ./build_and_push.sh writes a new one") from None
