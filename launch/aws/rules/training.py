"""Rules of CreateTrainingJob. Most of them also hold for the training jobs of a tuning job."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from classifier.errors import ConfigError
from launch.aws.keys import LONGEST_RUN
from launch.aws.words import in_toml
from train.config import parse

Request = Mapping[str, Any]
# Beginnings of the instance types with local storage. The API (ResourceConfig) names these three families as examples; there are more.
LOCAL_STORAGE = ("ml.p4d.", "ml.g4dn.", "ml.g5.")
# The form REPOSITORY[:TAG][@DIGEST]. The SDK makes job names from it, and a digest gives a name that is not allowed.
IMAGE = re.compile(r"[\w.\-/]+(:\d+)?[\w.\-/]*(:[\w.\-]{1,128})?(@sha256:[0-9a-f]{64})?")
PROGRAM = "sagemaker_program"  # hyperparameter that names the user's script; a script has its own hyperparameters (train/script)


def image(request: Request) -> Iterator[str]:
    """A digest in an image's name is sha256: and 64 hexadecimal digits (the registries' specification)."""
    yield from image_name(request["AlgorithmSpecification"].get("TrainingImage", ""), "train_image")


def image_name(name: str, setting: str) -> Iterator[str]:
    """Yield a sentence if an image's name is wrong."""
    if not IMAGE.fullmatch(name):
        yield (
            f"the image {name!r} ({in_toml(setting)}) must read REPOSITORY:TAG or REPOSITORY@sha256:DIGEST with a digest of "
            "64 hexadecimal digits"
        )


def times(request: Request) -> Iterator[str]:
    """API, StoppingCondition."""
    condition = request.get("StoppingCondition", {})
    run, wait = condition.get("MaxRuntimeInSeconds", 24 * 3600), condition.get("MaxWaitTimeInSeconds")
    if run > LONGEST_RUN:
        yield f"MaxRuntimeInSeconds is {run} (--max-run, or {in_toml('max_run')}); at most {LONGEST_RUN}, 28 days, is allowed"
    if request.get("EnableManagedSpotTraining"):
        if wait is None or wait < run:
            yield (
                f"a spot job may take {wait or 0} s in all, waiting included (--max-wait), which is less than the {run} s that "
                "it may run (--max-run); make --max-wait at least as long"
            )
    elif wait is not None:
        yield "MaxWaitTimeInSeconds is only for spot instances; leave out --max-wait, or add --spot"


def preferences(request: Request) -> Iterator[str]:
    """API, ResourceConfig.InstancePreferences."""
    resources = request.get("ResourceConfig", {})
    types = [entry["InstanceType"] for entry in resources.get("InstancePreferences", [])]
    if not types:
        if resources and not (resources.get("InstanceType") or resources.get("InstanceGroups")):
            yield f"no instance type is named; write --instance TYPE, or {in_toml('train_types')}"
        return
    if request.get("EnableManagedSpotTraining"):
        yield f"several instance types ({', '.join(types)}) cannot be spot instances; name one type, or leave out --spot"
    for name in ("InstanceType", "InstanceGroups", "InstancePlacementConfig"):
        if resources.get(name):
            yield f"ResourceConfig.{name} and InstancePreferences exclude each other; keep one of them"
    if len(set(types)) < len(types):
        yield f"the instance types {', '.join(types)} contain a type twice; name each type once"
    counted = [entry.get("InstanceCount") for entry in resources["InstancePreferences"]]
    if not (all(counted) ^ bool(resources.get("InstanceCount"))) or (any(counted) and not all(counted)):
        yield "InstanceCount must be either in every entry of InstancePreferences or once in ResourceConfig"


def warm_pool(request: Request) -> Iterator[str]:
    """A warm pool cannot have spot instances (guide, train-warm-pools)."""
    if request.get("ResourceConfig", {}).get("KeepAlivePeriodInSeconds") and request.get("EnableManagedSpotTraining"):
        yield "a warm pool (--keep-alive) cannot have spot instances; leave out --spot or --keep-alive"


def sizes(request: Request) -> Iterator[str]:
    """The number of instances and the disk size must not be 0.

    The API (ResourceConfig) allows 0 only for groups of instances and for types with local storage, which byoc does not use.
    """
    resources = request.get("ResourceConfig") or request.get("HyperParameterTuningResourceConfig") or {}
    for entry in [*resources.get("InstancePreferences", []), *resources.get("InstanceConfigs", []), resources]:
        for name, option in (("InstanceCount", "--count"), ("VolumeSizeInGB", "--volume")):
            if entry.get(name) == 0:
                yield f"{name} is 0; at least 1 is needed ({option})"


def volume_key(request: Request) -> Iterator[str]:
    """Instances with local storage take no KMS key for volumes (API, ResourceConfig.VolumeKmsKeyId)."""
    resources = request.get("ResourceConfig") or request.get("HyperParameterTuningResourceConfig") or {}
    lists = [*resources.get("InstancePreferences", []), *resources.get("InstanceConfigs", []), resources]
    local = [entry["InstanceType"] for entry in lists if entry.get("InstanceType", "").startswith(LOCAL_STORAGE)]
    if resources.get("VolumeKmsKeyId") and local:
        yield (
            f"{', '.join(local)} encrypts its local storage itself and accepts no key; leave out "
            f"{in_toml('volume_key')}, or choose an instance type without local storage, such as ml.p3.2xlarge"
        )


def channels(request: Request) -> Iterator[str]:
    """A channel is a folder with the channel's name (guide, model-access-training-data).

    A FastFile prefix must not end inside a folder's name.
    """
    seen: set[str] = set()
    for channel in request.get("InputDataConfig", []):
        name, mode = channel["ChannelName"], channel.get("InputMode")
        if name in seen:
            yield f"the channel {name} is named twice; each channel needs its own name"
        seen.add(name)
        found = channel["DataSource"].get("S3DataSource", {})
        prefix = found.get("S3DataType") == "S3Prefix" and not found["S3Uri"].endswith("/")
        if mode == "FastFile" and prefix:
            yield f"the channel {name} is {found['S3Uri']}; with FastFile the prefix must end with /"


def hyperparameters(request: Request) -> Iterator[str]:
    """The training program's own rules (train/config.py)."""
    if not scripted(request, request.get("HyperParameters", {})):
        yield from refused(request.get("HyperParameters", {}))


def scripted(request: Request, given: Mapping[str, str]) -> bool:
    """Return whether the job runs the user's script. We do not know the hyperparameters of a script."""
    return bool(given.get(PROGRAM) or request.get("Environment", {}).get(PROGRAM.upper()))


def refused(given: Mapping[str, str]) -> list[str]:
    """Return the sentences with which the training program would refuse these hyperparameters."""
    try:
        parse(given)
    except ConfigError as error:
        return str(error).split("\n")
    return []


SHARED = (image, times, sizes, warm_pool, volume_key, channels)
RULES = (*SHARED, preferences, hyperparameters)
