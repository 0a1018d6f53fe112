"""CreateTransformJob."""

from typing import Any

from classifier.errors import ConfigError
from launch.aws.overrides import overridden
from launch.aws.requests.members import present, tags
from launch.aws.specification import Transform
from launch.aws.words import in_toml


def transform_job(transform: Transform) -> dict[str, Any]:
    """Return the request for a transform job, with its overrides; raises ConfigError for several instance types."""
    types = transform.machines.types
    if len(types) != 1:
        raise ConfigError(
            f"a transform job takes one instance type, and {len(types)} are named ({', '.join(types) or 'none'}); write "
            f"--instance TYPE, or {in_toml('transform_types')}"
        )
    source = {
        "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": transform.source}},
        "ContentType": transform.content_type,
        "SplitType": transform.split or None,
    }
    output = {
        "S3OutputPath": transform.output,
        "Accept": transform.accept,
        "AssembleWith": transform.assemble or None,
        "KmsKeyId": transform.output_key or None,
    }
    resources = {
        "InstanceType": types[0],
        "InstanceCount": transform.machines.count,
        "VolumeKmsKeyId": transform.volume_key or None,
    }
    request = {
        "TransformJobName": transform.name,
        "ModelName": transform.model,
        "BatchStrategy": transform.strategy or None,
        "MaxPayloadInMB": transform.max_payload_mb or None,
        "MaxConcurrentTransforms": transform.concurrency or None,
        "TransformInput": present(source),
        "TransformOutput": present(output),
        "TransformResources": present(resources),
        "Tags": tags(transform.tags),
    }
    return overridden("CreateTransformJob", present(request), transform.overrides)
