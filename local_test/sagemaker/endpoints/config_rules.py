"""Rules of CreateEndpointConfig that the API model does not have."""

from typing import Any

from local_test.sagemaker.errors import invalid, not_emulated
from local_test.sagemaker.storage import S3Uri

Request = dict[str, Any]
MISSING = ("ShadowProductionVariants", "ExplainerConfig", "CrossRegionTrafficConfig")
MISSING_OF_VARIANT = (
    "InstancePools",
    "CoreDumpConfig",
    "ManagedInstanceScaling",
    "CapacityReservationConfig",
    "AcceleratorPartitionLayouts",
)
ROUTING = ("RANDOM", "LEAST_OUTSTANDING_REQUESTS")
STEP = 1024  # MB between two sizes of a serverless variant's memory (API, ProductionVariantServerlessConfig)


def emulated(request: Request) -> None:
    """Refuse members that the emulator does not support, and name them."""
    for member in MISSING:
        if request.get(member):
            raise not_emulated(f"CreateEndpointConfig with {member}")
    for variant in request["ProductionVariants"]:
        for member in MISSING_OF_VARIANT:
            if variant.get(member):
                raise not_emulated(f"a variant with {member}")
        if not variant.get("ModelName"):
            raise not_emulated(f"the variant {variant['VariantName']} without ModelName, for inference components,")
        routing = (variant.get("RoutingConfig") or {}).get("RoutingStrategy", ROUTING[0])
        if routing not in ROUTING:
            raise not_emulated(f"the RoutingStrategy {routing}")


def variants(request: Request) -> None:
    """Check that variants have different names, and either instances or ServerlessConfig (API, ProductionVariant)."""
    names = [variant["VariantName"] for variant in request["ProductionVariants"]]
    for variant in request["ProductionVariants"]:
        name = variant["VariantName"]
        if names.count(name) > 1:
            raise invalid(f"the VariantName '{name}' is used more than once in ProductionVariants")
        if variant.get("AcceleratorType"):
            raise invalid(
                f"AcceleratorType of the variant '{name}' is not supported, because Elastic Inference has ended"
            )
        instances = variant.get("InstanceType"), variant.get("InitialInstanceCount")
        if variant.get("ServerlessConfig"):
            if any(instances):
                raise invalid(
                    f"the variant '{name}' has ServerlessConfig, so it cannot have InstanceType and InitialInstanceCount"
                )
        elif not all(instances):
            raise invalid(f"the variant '{name}' needs InstanceType and InitialInstanceCount, or ServerlessConfig")
    weights(
        [
            variant["InitialVariantWeight"]
            for variant in request["ProductionVariants"]
            if "InitialVariantWeight" in variant
        ],
        len(names),
    )


def weights(given: list[float], variants: int) -> None:
    """Refuse weights that are all 0, because AWS does not document where the traffic would go."""
    if len(given) == variants and not any(given):
        raise not_emulated("an endpoint whose variants all have the weight 0")


def serverless(request: Request) -> None:
    """Refuse what a serverless endpoint cannot have (API, ProductionVariantServerlessConfig; guide, serverless-endpoints)."""
    found = [variant for variant in request["ProductionVariants"] if variant.get("ServerlessConfig")]
    if not found:
        return
    if len(request["ProductionVariants"]) > 1:
        raise invalid("a serverless endpoint has one variant")
    for member in ("DataCaptureConfig", "AsyncInferenceConfig", "VpcConfig", "EnableNetworkIsolation"):
        if request.get(member):
            raise invalid(f"{member} cannot be used with a serverless endpoint")
    config = found[0]["ServerlessConfig"]
    if config["MemorySizeInMB"] % STEP:
        raise invalid(
            f"MemorySizeInMB, {config['MemorySizeInMB']}, must be a multiple of {STEP}: 1024, 2048, 3072, 4096, 5120 or 6144"
        )
    concurrency(config)


def concurrency(config: dict[str, Any]) -> None:
    """Check that ProvisionedConcurrency is at most MaxConcurrency (API, ProductionVariantServerlessConfig)."""
    if config.get("ProvisionedConcurrency", 0) > config["MaxConcurrency"]:
        raise invalid(
            f"ProvisionedConcurrency, {config['ProvisionedConcurrency']}, must be at most MaxConcurrency, {config['MaxConcurrency']}"
        )


def destinations(request: Request) -> None:
    """Check that the addresses for results and captured data are in S3."""
    if capture := request.get("DataCaptureConfig"):
        S3Uri.parse(capture["DestinationS3Uri"])
    output = (request.get("AsyncInferenceConfig") or {}).get("OutputConfig")
    if output is None:
        return
    if not output.get("S3OutputPath"):
        raise not_emulated("AsyncInferenceConfig without OutputConfig.S3OutputPath")
    for member in ("S3OutputPath", "S3FailurePath"):
        if output.get(member):
            S3Uri.parse(output[member])


RULES = (emulated, variants, serverless, destinations)
