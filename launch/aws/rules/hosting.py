"""Rules of CreateModel and CreateEndpointConfig, and rules between the two."""

from collections.abc import Iterator, Mapping
from typing import Any

from launch.aws.rules.training import image_name
from launch.aws.words import in_toml

Request = Mapping[str, Any]
STEP = 1024  # step of a serverless endpoint's memory in MB (API, ProductionVariantServerlessConfig)
ENVIRONMENT = 32 * 1024  # the most bytes of all keys and values of a model's variables (API, ContainerDefinition)


def container(request: Request) -> Iterator[str]:
    """API, ContainerDefinition."""
    found = [request["PrimaryContainer"]] if "PrimaryContainer" in request else request.get("Containers", [])
    if not found:
        yield "the model has no container; name an image, or a version in the model registry"
    for one in found:
        if not one.get("Image") and not one.get("ModelPackageName"):
            yield f"the model has no image; write {in_toml('serve_image')}, or push the images with ./build_and_push.sh"
        if one.get("Image"):
            yield from image_name(one["Image"], "serve_image")
    pairs = [pair for one in found for pair in one.get("Environment", {}).items()]
    size = sum(len(text.encode()) for pair in pairs for text in pair)
    if size > ENVIRONMENT:
        yield f"the model's variables (--env) are {size} bytes in all; at most {ENVIRONMENT} are allowed"


def data(request: Request) -> Iterator[str]:
    """The artifact's address fits the kind of endpoint (API, ContainerDefinition.ModelDataUrl; guide, create-multi-model-endpoint)."""
    found = request.get("PrimaryContainer", {})
    url = found.get("ModelDataUrl")
    if not url:
        if found.get("Image") and not found.get("ModelDataSource"):
            yield "the model has no artifact; name a training job, or s3://bucket/.../model.tar.gz"
    elif found.get("Mode") == "MultiModel":
        if not url.endswith("/"):
            yield f"a multi-model endpoint needs the prefix of its archives, which ends with /; {url} does not"
    elif not url.endswith(".tar.gz"):
        yield f"the artifact {url} must be an archive whose name ends with .tar.gz"


def variants(request: Request) -> Iterator[str]:
    """A variant has instances or is serverless, and InstancePools replaces InstanceType (API, ProductionVariant)."""
    for variant in request["ProductionVariants"]:
        ways = [name for name in ("InstanceType", "InstancePools", "ServerlessConfig") if variant.get(name)]
        if not ways:
            yield f"no instance type is named; write --instance TYPE, or {in_toml('serve_types')}, or --serverless"
        if len(ways) > 1:
            yield f"{' and '.join(ways)} of a variant exclude each other; keep one of them"
        types = [pool["InstanceType"] for pool in variant.get("InstancePools", [])]
        if len(set(types)) < len(types):
            yield f"the instance types {', '.join(types)} contain a type twice; name each type once"
        if ways[:1] == ["ServerlessConfig"]:
            yield from _serverless(request, variant)


def _serverless(request: Request, variant: Request) -> Iterator[str]:
    """A serverless endpoint excludes some members (API, ProductionVariantServerlessConfig; guide, serverless-endpoints)."""
    size = variant["ServerlessConfig"]
    if size["MemorySizeInMB"] % STEP:
        yield f"a serverless endpoint's memory is {size['MemorySizeInMB']} MB (--memory); it must be 1024 to 6144 in steps of {STEP}"
    if size.get("ProvisionedConcurrency", 0) > size["MaxConcurrency"]:
        yield (
            f"{size['ProvisionedConcurrency']} answers at a time are provisioned, more than the {size['MaxConcurrency']} that "
            "the endpoint may compute (--concurrency)"
        )
    given = {
        "data capture (--capture)": request.get("DataCaptureConfig"),
        "asynchronous answers (--async)": request.get("AsyncInferenceConfig"),
        "an instance count (--count)": variant.get("InitialInstanceCount"),
        "an inference AMI (--inference-ami)": variant.get("InferenceAmiVersion"),
        "several variants": len(request["ProductionVariants"]) > 1,
    }
    for what in (name for name, value in given.items() if value):
        yield f"a serverless endpoint cannot have {what}; leave it out, or leave out --serverless"


def between(requests: Mapping[str, Request]) -> Iterator[str]:
    """The model of a serverless endpoint cannot have some members (guide, serverless-endpoints)."""
    model, config = requests.get("CreateModel"), requests.get("CreateEndpointConfig")
    if not (model and config) or not any(variant.get("ServerlessConfig") for variant in config["ProductionVariants"]):
        return
    given = {
        "a VPC ([network] of byoc.toml)": model.get("VpcConfig"),
        f"network isolation ({in_toml('isolation')})": model.get("EnableNetworkIsolation"),
        "several models (--multi-model)": model.get("PrimaryContainer", {}).get("Mode") == "MultiModel",
    }
    for what in (name for name, value in given.items() if value):
        yield f"a serverless endpoint cannot have {what}; leave it out, or leave out --serverless"


MODEL = (container, data)
CONFIG = (variants,)
