"""Rules of CreateTransformJob."""

from collections.abc import Iterator, Mapping
from typing import Any

from launch.aws.rules.training import LOCAL_STORAGE
from launch.aws.words import in_toml

Request = Mapping[str, Any]
MOST_MB = 100  # the most MB of one payload, and of all payloads at one time (API, CreateTransformJob.MaxPayloadInMB)
MOST_INSTANCES = 100  # the most instances of a transform job (API, TransformResources.InstanceCount)


def sizes(request: Request) -> Iterator[str]:
    """Payloads and the number of instances have limits (API, CreateTransformJob.MaxPayloadInMB and TransformResources)."""
    payload, parallel = request.get("MaxPayloadInMB", 0), request.get("MaxConcurrentTransforms", 0)
    if payload > MOST_MB:
        yield f"a payload may have {payload} MB; at most {MOST_MB} are allowed"
    elif payload * parallel > MOST_MB:
        yield f"{parallel} requests at a time of {payload} MB are {payload * parallel} MB; at most {MOST_MB} are allowed in all"
    count = request["TransformResources"]["InstanceCount"]
    if count > MOST_INSTANCES:
        yield f"--count is {count}; a transform job has at most {MOST_INSTANCES}"


def batches(request: Request) -> Iterator[str]:
    """A batch strategy needs files that are split into records (API, CreateTransformJob.BatchStrategy)."""
    split = request["TransformInput"].get("SplitType", "None")
    if request.get("BatchStrategy") == "MultiRecord" and split == "None":
        yield "several records in one request need files that are split into records: Line, RecordIO or TFRecord"


def volume_key(request: Request) -> Iterator[str]:
    """Instances with local storage take no KMS key for volumes (API, TransformResources.VolumeKmsKeyId)."""
    resources = request["TransformResources"]
    if resources.get("VolumeKmsKeyId") and resources["InstanceType"].startswith(LOCAL_STORAGE):
        yield f"{resources['InstanceType']} encrypts its local storage itself and accepts no key; leave out {in_toml('volume_key')}"


RULES = (sizes, batches, volume_key)
