"""Autoscaling of an endpoint's instances: requests to Application Auto Scaling."""

from typing import Any

from launch.aws.specification import Autoscale

SERVICE = "sagemaker"
DIMENSION = "sagemaker:variant:DesiredInstanceCount"
# Seconds between two changes, as in AWS's examples: 300 before instances are removed, and 60 before instances are added.
COOL_IN, COOL_OUT = 300, 60


def resource(endpoint: str, variant: str) -> dict[str, str]:
    """Return the members that name a variant in each request to Application Auto Scaling."""
    return {
        "ServiceNamespace": SERVICE,
        "ResourceId": f"endpoint/{endpoint}/variant/{variant}",
        "ScalableDimension": DIMENSION,
    }


def scalable_target(endpoint: str, variant: str, scale: Autoscale) -> dict[str, Any]:
    """Return the request that sets the lowest and the highest number of instances."""
    return {**resource(endpoint, variant), "MinCapacity": scale.low, "MaxCapacity": scale.high}


def tracking(endpoint: str, variant: str, scale: Autoscale) -> dict[str, Any]:
    """Return the policy that keeps the load of one instance at the target."""
    metric: dict[str, Any]
    if scale.queue:
        metric = {
            "CustomizedMetricSpecification": {
                "MetricName": "ApproximateBacklogSizePerInstance",
                "Namespace": "AWS/SageMaker",
                "Dimensions": [{"Name": "EndpointName", "Value": endpoint}],
                "Statistic": "Average",
            }
        }
    else:
        predefined = {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"}
        metric = {"PredefinedMetricSpecification": predefined}
    return {
        **resource(endpoint, variant),
        "PolicyName": f"{endpoint}-load",
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": {
            "TargetValue": scale.target,
            **metric,
            "ScaleInCooldown": COOL_IN,
            "ScaleOutCooldown": COOL_OUT,
        },
    }


def wake(endpoint: str, variant: str) -> dict[str, Any]:
    """Return the policy that adds the first instance. It is needed because target tracking cannot act while there is no instance."""
    return {
        **resource(endpoint, variant),
        "PolicyName": f"{endpoint}-wake",
        "PolicyType": "StepScaling",
        "StepScalingPolicyConfiguration": {
            "AdjustmentType": "ChangeInCapacity",
            "MetricAggregationType": "Average",
            "Cooldown": COOL_IN,
            "StepAdjustments": [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}],
        },
    }
