"""Brings a job's channels from S3 to the hosts (C 1.4)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local_test.sagemaker.errors import invalid, not_emulated
from local_test.sagemaker.machine import Mount
from local_test.sagemaker.storage import NoBucket, S3Uri, Storage
from local_test.sagemaker.training.layout import OPT_ML, HostFolder, input_mode


def check(request: Mapping[str, Any], storage: Storage, region: str) -> None:
    """Raise ApiError unless every channel's source exists and can be brought as the request says."""
    for channel in request.get("InputDataConfig") or []:
        mode = input_mode(channel, request)
        source = channel["DataSource"]["S3DataSource"]
        if mode != "File" or source["S3DataType"] != "S3Prefix":
            raise not_emulated(f"the channel {channel['ChannelName']} as {source['S3DataType']} in {mode} mode")
        where = S3Uri.parse(source["S3Uri"])
        try:
            found = storage.objects(where)
        except NoBucket:
            found = []
        if not found:
            raise invalid(
                f'No S3 objects found under S3 URL "{where}" given in input data source. Please ensure that the bucket exists '
                f"in the selected region ({region}), that objects exist under that S3 prefix"
            )


def bring(channel: Mapping[str, Any], storage: Storage, host: HostFolder) -> Mount:
    """Copy a channel's objects to a host and return where its container sees them."""
    name = channel["ChannelName"]
    folder: Path = host.channel(name)
    folder.mkdir(parents=True)
    storage.fetch(S3Uri.parse(channel["DataSource"]["S3DataSource"]["S3Uri"]), folder)
    return Mount(folder, OPT_ML / "input" / "data" / name)
