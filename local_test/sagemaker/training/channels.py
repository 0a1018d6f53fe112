"""Brings a job's channels from S3 to the hosts: as copies (File), as a view (FastFile), through pipes (Pipe) (C 1.4)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from local_test.sagemaker.cloud import Cloud
from local_test.sagemaker.errors import invalid, not_emulated
from local_test.sagemaker.machine import Mount
from local_test.sagemaker.storage import S3Uri, copy_below
from local_test.sagemaker.training.inputs import Channel, inputs, shard, source
from local_test.sagemaker.training.layout import DATA, HostFolder, input_mode
from local_test.sagemaker.training.pipes import Pipe


@dataclass
class Brought:
    """The mounts and pipes that a host's container gets in addition to its folders."""

    mounts: list[Mount] = field(default_factory=list)
    pipes: list[Pipe] = field(default_factory=list)


def check(request: Mapping[str, Any], cloud: Cloud) -> None:
    """Raise ApiError unless every channel has objects and can be delivered as the request says."""
    for channel in request.get("InputDataConfig") or []:
        _check_mode(channel, input_mode(channel, request))
        inputs(channel, cloud.storage)


def bring(request: Mapping[str, Any], cloud: Cloud, host: HostFolder, number: int, hosts: int) -> Brought:
    """Deliver all channels to the host with this number, counted from 0."""
    brought = Brought()
    for channel in request.get("InputDataConfig") or []:
        name, mode = channel["ChannelName"], input_mode(channel, request)
        if mode == "Pipe":
            found = shard(inputs(channel, cloud.storage), channel, number, hosts)
            brought.pipes.append(Pipe(host.data, channel, found, cloud.storage))
        elif mode == "FastFile" and (view := _view(channel, cloud)):
            host.channel(name).mkdir()
            brought.mounts.append(Mount(view, DATA / name, read_only=True))
        else:
            host.channel(name).mkdir()
            for entry in shard(inputs(channel, cloud.storage), channel, number, hosts):
                copy_below(entry.object.path, host.channel(name), entry.name)
    return brought


def _view(channel: Channel, cloud: Cloud) -> Any:
    """Return the folder that holds exactly the channel, if it can be mounted read-only; else print that the channel is copied."""
    whole = source(channel).get("S3DataDistributionType") != "ShardedByS3Key"
    view = cloud.storage.view(S3Uri.parse(source(channel)["S3Uri"])) if whole and cloud.machine.protects else None
    if view is None:
        why = (
            "this machine cannot protect a view of S3"
            if not cloud.machine.protects
            else "its objects are not in one folder"
        )
        cloud.say(f"the FastFile channel {channel['ChannelName']} is copied, since {why}")
    return view


def _check_mode(channel: Channel, mode: str) -> None:
    """Refuse modes and sources that the API reference refuses, or that are not emulated."""
    name, kind = channel["ChannelName"], source(channel)["S3DataType"]
    if kind == "Converse":
        raise not_emulated(f"the channel {name} with S3DataType Converse")
    if mode == "FastFile" and kind != "S3Prefix":
        raise invalid(f"the channel {name} has S3DataType {kind}; the input mode FastFile takes S3Prefix alone (C 1.4)")
    if mode != "Pipe":
        # Only Pipe mode may set these members (API, Channel), or have augmented manifests (API, S3DataSource).
        for member in ("CompressionType", "RecordWrapperType"):
            if channel.get(member, "None") != "None":
                raise invalid(
                    f"the channel {name} has {member} {channel[member]}, which is for the input mode Pipe alone"
                )
        if kind == "AugmentedManifestFile":
            raise invalid(f"the channel {name} has S3DataType {kind}, which is for the input mode Pipe alone")
    elif kind == "AugmentedManifestFile":
        if not source(channel).get("AttributeNames"):
            raise invalid(f"the channel {name} has S3DataType {kind}; name its AttributeNames")
        if channel.get("RecordWrapperType") != "RecordIO":
            raise not_emulated(f"the augmented manifest of the channel {name} without RecordWrapperType RecordIO")
