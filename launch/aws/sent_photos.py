"""Chooses the test photos that `byoc run` sends to the endpoint: a few from all classes, each with its class."""

from dataclasses import dataclass
from pathlib import Path

from classifier.errors import DataError
from classifier.names import is_system, one_line
from classifier.photos import load_photo_set
from launch.aws.buckets import split
from launch.aws.errors import explained
from launch.aws.session import Session
from train.config import Config

SENT = 4
SPLIT = "test"


@dataclass(frozen=True)
class Photo:
    """A photo on this machine, the name of its original, and its class."""

    path: Path
    name: str
    truth: str


def of_folder(root: Path, config: Config) -> list[Photo]:
    """Return test photos from a folder that training reads. Raises DataError if the folder has no test photos."""
    photos = load_photo_set({"training": root}, validation_share=config.validation_share, seed=config.seed)
    if SPLIT not in photos.splits:
        raise DataError(
            f"{root} holds no test photos; byoc run needs them to test the trained model; add a folder named test"
        )
    found = [Photo(one.path, one_line(one.path), photos.classes[one.label]) for one in photos.splits[SPLIT]]
    return _spread(found)


def of_s3(session: Session, uri: str, folder: Path) -> list[Photo]:
    """Download test photos from below a prefix into a folder, and return them.

    The list is empty if the prefix has no folder `test` with classes.
    """
    bucket, prefix = split(f"{uri.rstrip('/')}/{SPLIT}/")
    client = session.client("s3")
    with explained(uri):
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        keys = [entry["Key"].removeprefix(prefix) for page in pages for entry in page.get("Contents", ())]
        # Keep only keys of the form CLASS/FILE.
        named = [key for key in keys if key.count("/") == 1 and not is_system(key.partition("/")[2]) and key[-1] != "/"]
        chosen = _spread([Photo(folder / key, f"s3://{bucket}/{prefix}{key}", key.partition("/")[0]) for key in named])
        for photo in chosen:
            photo.path.parent.mkdir(parents=True, exist_ok=True)
            client.download_file(bucket, photo.name.removeprefix(f"s3://{bucket}/"), str(photo.path))
    return chosen


def _spread(photos: list[Photo]) -> list[Photo]:
    """Return SENT photos, evenly spread over the list."""
    stride = max(1, len(photos) // SENT)
    return photos[stride // 2 :: stride][:SENT]
