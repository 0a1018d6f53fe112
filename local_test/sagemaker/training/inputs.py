"""Finds the objects of a channel, and the path of each below the channel's folder."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from local_test.sagemaker.errors import invalid
from local_test.sagemaker.storage import NoBucket, S3Object, S3Uri, Storage, relative

Channel = Mapping[str, Any]


@dataclass(frozen=True)
class Input:
    """One object of a channel, and its name below the channel's folder."""

    object: S3Object
    name: str


def source(channel: Channel) -> dict[str, Any]:
    found: dict[str, Any] = channel["DataSource"]["S3DataSource"]
    return found


def inputs(channel: Channel, storage: Storage) -> list[Input]:
    """Return a channel's objects, in the order of their keys or of their manifest; raises ApiError if there are none."""
    where = S3Uri.parse(source(channel)["S3Uri"])
    try:
        found = _listed(channel, where, storage)
    except NoBucket as error:
        raise _nothing(where, f"the bucket {error} does not exist") from None
    if not found:
        raise _nothing(where, "no object has a key with this prefix")
    return found


def shard(found: Sequence[Input], channel: Channel, host: int, hosts: int) -> list[Input]:
    """Return the objects for one of n hosts: all, or with ShardedByS3Key about 1/n of them (API, S3DataSource)."""
    return list(found[host::hosts] if source(channel).get("S3DataDistributionType") == "ShardedByS3Key" else found)


def _listed(channel: Channel, where: S3Uri, storage: Storage) -> list[Input]:
    if source(channel)["S3DataType"] == "ManifestFile":
        return _of_manifest(where, storage)
    if source(channel)["S3DataType"] == "AugmentedManifestFile":
        manifest = storage.object(where)
        return [Input(manifest, manifest.key)] if manifest else []
    # Leave out the objects that AWS's console makes to mark folders.
    objects = [entry for entry in storage.objects(where) if not entry.key.endswith("/")]
    return [Input(entry, relative(entry.key, where.key)) for entry in objects]


def _of_manifest(where: S3Uri, storage: Storage) -> list[Input]:
    """Return the objects that a manifest names. It holds a prefix, then the rest of each object's address (API, S3DataSource.S3Uri)."""
    manifest = storage.object(where)
    if manifest is None:
        return []
    try:
        first, *names = json.loads(manifest.path.read_text())
        prefix = first["prefix"]
    except (ValueError, TypeError, KeyError):
        raise invalid(f'the manifest {where} is not a JSON list of {{"prefix": "s3://..."}} and names') from None
    found = []
    for name in names:
        entry = storage.object(S3Uri.parse(f"{prefix}{name}"))
        if entry is None:
            raise invalid(f"the manifest {where} names {prefix}{name}, and there is no such object")
        found.append(Input(entry, name))
    return found


def _nothing(where: S3Uri, why: str) -> Exception:
    return invalid(
        f'No S3 objects found under S3 URL "{where}" given in input data source. Please ensure that the bucket exists in the '
        f"selected region, that objects exist under that S3 prefix: {why}"
    )
