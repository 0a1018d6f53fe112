"""Builds the requests CreateModel, CreateEndpointConfig and CreateEndpoint."""

from typing import Any

from launch.aws import specification
from launch.aws.overrides import overridden
from launch.aws.requests.members import present, tags, vpc
from launch.aws.specification import Asynchronous, Capture, Hosting

VARIANT = "AllTraffic"


def model(wanted: specification.Model) -> dict[str, Any]:
    """Return the request for a model, with its overrides."""
    security = wanted.identity.security
    environment = dict(wanted.environment) or None
    container = {
        "Image": wanted.image or None,
        "Mode": "MultiModel" if wanted.multi else None,
        "ModelDataUrl": wanted.data or None,
        "Environment": environment,
    }
    package = present({"ModelPackageName": wanted.package, "Environment": environment})
    request = {
        "ModelName": wanted.name,
        "PrimaryContainer": None if wanted.package else present(container),
        "Containers": [package] if wanted.package else None,
        "ExecutionRoleArn": wanted.identity.role,
        "VpcConfig": vpc(security),
        "EnableNetworkIsolation": security.isolation or None,
        "Tags": tags(wanted.identity.tags),
    }
    return overridden("CreateModel", present(request), wanted.overrides)


def endpoint_config(hosting: Hosting) -> dict[str, Any]:
    """Return the request for an endpoint's configuration, with its overrides."""
    security = hosting.model.identity.security
    request = {
        "EndpointConfigName": hosting.config,
        "ProductionVariants": [_variant(hosting)],
        "DataCaptureConfig": _capture(hosting.capture, security.output_key) if hosting.capture else None,
        "AsyncInferenceConfig": _async(hosting.asynchronous, security.output_key) if hosting.asynchronous else None,
        "KmsKeyId": security.volume_key or None,
        # AWS turns detailed metrics on in new configurations, and each GB of them costs money.
        "MetricsConfig": None if hosting.serverless else {"EnableDetailedObservability": hosting.detailed_metrics},
        "Tags": tags(hosting.model.identity.tags),
    }
    return overridden("CreateEndpointConfig", present(request), hosting.overrides)


def endpoint(hosting: Hosting) -> dict[str, Any]:
    """Return the request for an endpoint, with its overrides."""
    request = {
        "EndpointName": hosting.endpoint,
        "EndpointConfigName": hosting.config,
        "Tags": tags(hosting.model.identity.tags),
    }
    return overridden("CreateEndpoint", present(request), hosting.overrides)


def _variant(hosting: Hosting) -> dict[str, Any]:
    members: dict[str, Any] = {
        "VariantName": VARIANT,
        "ModelName": hosting.model.name,
        "InitialVariantWeight": 1.0,
        "InferenceAmiVersion": hosting.inference_ami or None,
        "ModelDataDownloadTimeoutInSeconds": hosting.download_seconds or None,
        "ContainerStartupHealthCheckTimeoutInSeconds": hosting.start_seconds or None,
    }
    if hosting.serverless:
        size = hosting.serverless
        members["ServerlessConfig"] = present(
            {
                "MemorySizeInMB": size.memory_mb,
                "MaxConcurrency": size.concurrency,
                "ProvisionedConcurrency": size.provisioned or None,
            }
        )
    else:
        types = hosting.types
        pools = [{"InstanceType": name, "Priority": place} for place, name in enumerate(types, 1)]
        members |= {
            "InstanceType": types[0] if len(types) == 1 else None,
            "InstancePools": pools if len(types) > 1 else None,
            "InitialInstanceCount": hosting.count,
        }
    return present(members)


def _capture(capture: Capture, key: str) -> dict[str, Any]:
    members = {
        "EnableCapture": True,
        "InitialSamplingPercentage": capture.percent,
        "DestinationS3Uri": capture.uri,
        "KmsKeyId": key or None,
        "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
        # Captured bodies of all other content types are written as base64.
        "CaptureContentTypeHeader": {
            "CsvContentTypes": ["text/csv"],
            "JsonContentTypes": ["application/json", "application/jsonlines"],
        },
    }
    return present(members)


def _async(asynchronous: Asynchronous, key: str) -> dict[str, Any]:
    output = {
        "S3OutputPath": asynchronous.output,
        "S3FailurePath": asynchronous.failures or None,
        "KmsKeyId": key or None,
    }
    concurrency = asynchronous.concurrency
    client = {"MaxConcurrentInvocationsPerInstance": concurrency} if concurrency else None
    return present({"OutputConfig": present(output), "ClientConfig": client})
