"""Rules of CreateModel that the API model does not have."""

from collections.abc import Mapping
from typing import Any

from local_test.sagemaker.errors import invalid, not_emulated

Request = dict[str, Any]
LONGEST = 1024  # the most bytes of a key or value of Environment (API, ContainerDefinition.Environment)
ENVIRONMENT = 32 * 1024  # the most bytes of all keys and values together (the same source)


def one_container(request: Request) -> None:
    """Refuse a request without a container. Also refuse several containers, because pipelines are not emulated."""
    several, primary = request.get("Containers") or [], request.get("PrimaryContainer")
    if bool(several) == bool(primary):
        raise invalid("CreateModel needs either PrimaryContainer or Containers")
    if len(several) > 1:
        raise not_emulated(f"a model of {len(several)} containers (an inference pipeline)")
    if request.get("InferenceExecutionConfig"):
        raise not_emulated("CreateModel with InferenceExecutionConfig, which is for several containers,")


def container(request: Request) -> dict[str, Any]:
    """Return the one container of a request."""
    found: dict[str, Any] = request.get("PrimaryContainer") or request["Containers"][0]
    return found


def image(request: Request) -> None:
    """Check that a container names either an image, or a model package that names the image (API, ContainerDefinition)."""
    entry = container(request)
    if bool(entry.get("Image")) == bool(entry.get("ModelPackageName")):
        raise invalid("a container needs either Image or ModelPackageName")
    if entry.get("InferenceSpecificationName") and not entry.get("ModelPackageName"):
        raise invalid("InferenceSpecificationName names a part of a model package, and ModelPackageName is missing")


def environment(request: Request) -> None:
    """Check the size of Environment, whose limits are in bytes (API, ContainerDefinition.Environment)."""
    variables: Mapping[str, str] = container(request).get("Environment") or {}
    sizes = {key: (len(key.encode()), len(value.encode())) for key, value in variables.items()}
    for key, size in sizes.items():
        if max(size) > LONGEST:
            raise invalid(f"the variable {key[:60]} of Environment has a key or value of more than {LONGEST} bytes")
    if sum(map(sum, sizes.values())) > ENVIRONMENT:
        raise invalid(
            f"Environment has {sum(map(sum, sizes.values()))} bytes in all; at most {ENVIRONMENT} are allowed"
        )


def data(request: Request) -> None:
    """Check where the model's data come from (API, ContainerDefinition and S3ModelDataSource)."""
    entry = container(request)
    url, source = entry.get("ModelDataUrl"), entry.get("ModelDataSource")
    several = entry.get("Mode") == "MultiModel"
    if url and source:
        raise invalid("a container has either ModelDataUrl or ModelDataSource")
    if several and source:
        raise invalid("ModelDataSource cannot be used with a multi-model endpoint")
    if several and not url:
        raise invalid("a container of Mode MultiModel needs ModelDataUrl, the prefix that its models have in common")
    if url and not several and not url.endswith(".tar.gz"):
        raise invalid(f"ModelDataUrl {url} must point to a single gzip compressed tar archive (.tar.gz suffix)")
    if entry.get("MultiModelConfig") and not several:
        raise invalid("MultiModelConfig is for a container of Mode MultiModel")
    if entry.get("AdditionalModelDataSources"):
        raise not_emulated("CreateModel with AdditionalModelDataSources")
    if source:
        _source(source.get("S3DataSource") or {})


def _source(source: dict[str, Any]) -> None:
    for member in ("HubAccessConfig", "ManifestS3Uri"):
        if source.get(member):
            raise not_emulated(f"ModelDataSource with {member}")
    prefix = source.get("S3DataType") == "S3Prefix"
    if prefix and source.get("CompressionType") == "Gzip":
        raise invalid("CompressionType Gzip is for S3DataType S3Object: one archive")
    if prefix and not source["S3Uri"].endswith("/"):
        raise invalid(f"S3Uri {source['S3Uri']} is a prefix, and must end with a forward slash")


RULES = (one_container, image, environment, data)
