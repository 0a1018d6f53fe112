"""CreateEndpointConfig, DescribeEndpointConfig, ListEndpointConfigs, DeleteEndpointConfig."""

from typing import Any

from local_test.sagemaker.actions import action
from local_test.sagemaker.cloud import Cloud
from local_test.sagemaker.endpoints.config_rules import RULES
from local_test.sagemaker.endpoints.models import runs
from local_test.sagemaker.endpoints.names import CONFIG, MODEL, add, find, summaries
from local_test.sagemaker.errors import invalid
from local_test.sagemaker.listing import page


@action("CreateEndpointConfig", *RULES)
def create(request: dict[str, Any], cloud: Cloud) -> dict[str, Any]:
    isolation = {"EnableNetworkIsolation": False}  # AWS always returns this member
    echoed = {
        **isolation,
        **request,
        "ProductionVariants": [_variant(variant, cloud) for variant in request["ProductionVariants"]],
    }
    name = request["EndpointConfigName"]
    arn = cloud.arn(CONFIG, name)
    add(cloud, CONFIG, name, echoed, {"EndpointConfigArn": arn})
    return {"EndpointConfigArn": arn}


@action("DescribeEndpointConfig")
def describe(request: dict[str, Any], cloud: Cloud) -> dict[str, Any]:
    answer = cloud.store.snapshot(find(cloud, CONFIG, request["EndpointConfigName"]))
    return {name: value for name, value in answer.items() if name != "LastModifiedTime"}


@action("ListEndpointConfigs")
def listed(request: dict[str, Any], cloud: Cloud) -> dict[str, Any]:
    found, more = page(cloud.store.all(CONFIG), request, "EndpointConfigName", descending=True)
    return {"EndpointConfigs": summaries(found, ("EndpointConfigName", "EndpointConfigArn", "CreationTime")), **more}


@action("DeleteEndpointConfig")
def delete(request: dict[str, Any], cloud: Cloud) -> dict[str, Any]:
    # An endpoint that uses the configuration continues with its copy (API, DeleteEndpointConfig: it does not delete endpoints).
    cloud.store.remove(find(cloud, CONFIG, request["EndpointConfigName"]))
    return {}


def _variant(variant: dict[str, Any], cloud: Cloud) -> dict[str, Any]:
    """Return a variant with its defaults; raises ApiError if its model does not exist or does not suit the variant."""
    model = find(cloud, MODEL, variant["ModelName"])
    if variant.get("ServerlessConfig"):
        # Serverless excludes several models, network isolation, a VPC (guide, serverless-endpoints), and ModelDataSource (API).
        container = runs(model)
        if container.get("Mode") == "MultiModel":
            raise invalid(f"the model {model.name} is of Mode MultiModel, which a serverless endpoint cannot host")
        if container.get("ModelDataSource"):
            raise invalid(f"the model {model.name} has ModelDataSource, which a serverless endpoint cannot host")
        for member in ("EnableNetworkIsolation", "VpcConfig"):
            if model.answer.get(member):
                raise invalid(f"the model {model.name} has {member}, which a serverless endpoint cannot have")
    return {"InitialVariantWeight": 1.0, **variant}  # API, ProductionVariant: the default is 1.0
