"""Updates of endpoints: no gap, rollback, weights and capacities, and what faults do to them."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.sagemaker.conftest import order
from tests.sagemaker.hosting import Hosting, alive, hosted, shown_until


@pytest.fixture(scope="module")
def hosting(tmp_path_factory: pytest.TempPathFactory, fake_keys: None) -> Iterator[Hosting]:
    yield from hosted(tmp_path_factory.mktemp("hosting"))


@pytest.fixture(scope="module")
def served(hosting: Hosting) -> dict[str, Any]:
    """One endpoint that the tests only invoke."""
    found = hosting.endpoint("served", {"ModelName": "first"})
    assert found["EndpointStatus"] == "InService", found
    return found


def test_an_update_leaves_no_gap_and_deletes_the_old_instances(hosting: Hosting) -> None:
    hosting.endpoint("updated", {"ModelName": "first"})
    old = hosting.ask("updated")["pid"]
    hosting.config("updated-2", {"ModelName": "second"})
    hosting.sagemaker.update_endpoint(EndpointName="updated", EndpointConfigName="updated-2")
    names: list[str] = []
    while not names or names[-1] != "second":
        names.append(hosting.ask("updated")["name"])
    found = hosting.settled("updated")
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", "updated-2")
    assert not alive(old)
    assert hosting.ask("updated")["name"] == "second"


def test_an_update_that_fails_is_rolled_back(hosting: Hosting) -> None:
    hosting.model("stillborn", Environment={"START": "fail"})
    hosting.endpoint("rolled", {"ModelName": "first"})
    pid = hosting.ask("rolled")["pid"]
    hosting.config("rolled-2", {"ModelName": "stillborn"})
    hosting.sagemaker.update_endpoint(EndpointName="rolled", EndpointConfigName="rolled-2")
    found = hosting.settled("rolled")
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", "rolled")
    assert "did not pass the ping health check" in found["FailureReason"]
    assert hosting.ask("rolled")["pid"] == pid


def test_an_alarm_rolls_an_update_back(hosting: Hosting) -> None:
    cloudwatch = hosting.emulator.client("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName="errors",
        MetricName="Invocation5XXErrors",
        Namespace="AWS/SageMaker",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
    )
    hosting.endpoint("guarded", {"ModelName": "first"})
    hosting.config("guarded-2", {"ModelName": "second"})
    routing = {"Type": "CANARY", "WaitIntervalInSeconds": 3600, "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 50}}
    policy = {
        "BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing},
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "errors"}]},
    }
    hosting.sagemaker.update_endpoint(EndpointName="guarded", EndpointConfigName="guarded-2", DeploymentConfig=policy)
    assert shown_until(hosting, "guarded", lambda shown: shown["name"] == "second")
    assert shown_until(hosting, "guarded", lambda shown: shown["name"] == "first")
    cloudwatch.set_alarm_state(AlarmName="errors", StateValue="ALARM", StateReason="a test")
    found = hosting.settled("guarded")
    assert found["EndpointConfigName"] == "guarded" and "errors was tripped" in found["FailureReason"]
    assert {hosting.ask("guarded")["name"] for _ in range(20)} == {"first"}


@pytest.mark.parametrize(
    "kind, reason",
    [
        ("no-capacity", "Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error"),
        ("image-missing", "The image 'byoc-classifier-serve:cpu' does not exist."),
    ],
)
def test_a_fault_fails_a_new_endpoint_and_rolls_an_update_back(
    hosting: Hosting, served: dict[str, Any], kind: str, reason: str
) -> None:
    order(hosting.emulator, kind=kind, target=kind)
    found = hosting.endpoint(kind, {"ModelName": "first"})
    assert found["EndpointStatus"] == "Failed" and found["FailureReason"].startswith(reason)
    hosting.sagemaker.delete_endpoint(EndpointName=kind)
    order(hosting.emulator, kind=kind, target="served")
    hosting.sagemaker.update_endpoint(EndpointName="served", EndpointConfigName=kind)
    found = hosting.settled("served")
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", "served")
    assert found["FailureReason"].startswith(reason)
    assert hosting.ask("served")["name"] == "first"


def test_an_endpoint_that_finds_no_instances_to_grow_keeps_those_it_has(hosting: Hosting) -> None:
    hosting.endpoint("small", {"ModelName": "first"})
    order(hosting.emulator, kind="no-capacity", target="small")
    wanted = [{"VariantName": "AllTraffic", "DesiredInstanceCount": 2}]
    hosting.sagemaker.update_endpoint_weights_and_capacities(EndpointName="small", DesiredWeightsAndCapacities=wanted)
    found = hosting.settled("small")
    assert found["EndpointStatus"] == "InService" and "InsufficientInstanceCapacity" in found["FailureReason"]
    assert found["ProductionVariants"][0]["CurrentInstanceCount"] == 1
    hosting.sagemaker.delete_endpoint(EndpointName="small")


def test_variants_share_the_traffic_by_their_weights_and_can_be_named(hosting: Hosting) -> None:
    variants = [
        {"VariantName": "A", "ModelName": "first", "InitialVariantWeight": 3},
        {"VariantName": "B", "ModelName": "second", "InitialVariantWeight": 1},
    ]
    hosting.endpoint("shared", *variants)
    seen = Counter(hosting.ask("shared")["name"] for _ in range(100))
    assert 49 < seen["first"] < 100  # six standard deviations from 75, the mean of a binomial distribution
    assert hosting.ask("shared", TargetVariant="B")["name"] == "second"
    hosting.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName="shared",
        DesiredWeightsAndCapacities=[
            {"VariantName": "A", "DesiredWeight": 0},
            {"VariantName": "B", "DesiredWeight": 1, "DesiredInstanceCount": 2},
        ],
    )
    found = {variant["VariantName"]: variant for variant in hosting.settled("shared")["ProductionVariants"]}
    assert found["A"]["CurrentWeight"] == 0 and found["B"]["CurrentInstanceCount"] == 2
    shown = [hosting.ask("shared") for _ in range(40)]
    assert {entry["name"] for entry in shown} == {"second"}
    assert len({entry["pid"] for entry in shown}) == 2
    hosting.sagemaker.delete_endpoint(EndpointName="shared")


def test_an_update_can_retain_what_was_scaled(hosting: Hosting) -> None:
    hosting.endpoint("retained", {"ModelName": "first"})
    hosting.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName="retained", DesiredWeightsAndCapacities=[{"VariantName": "AllTraffic", "DesiredWeight": 7}]
    )
    hosting.settled("retained")
    hosting.config("retained-2", {"ModelName": "second"})
    hosting.sagemaker.update_endpoint(
        EndpointName="retained", EndpointConfigName="retained-2", RetainAllVariantProperties=True
    )
    assert hosting.settled("retained")["ProductionVariants"][0]["CurrentWeight"] == 7
    hosting.sagemaker.delete_endpoint(EndpointName="retained")


def test_an_update_lets_the_old_instance_finish_its_invocations(hosting: Hosting) -> None:
    hosting.endpoint("drained", {"ModelName": "first"})
    hosting.config("drained-2", {"ModelName": "second"})
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(hosting.ask, "drained", {"do": "sleep", "seconds": 3})
        hosting.wait_for_line("drained", "invoked sleep")
        hosting.sagemaker.update_endpoint(EndpointName="drained", EndpointConfigName="drained-2")
        assert hosting.settled("drained")["EndpointConfigName"] == "drained-2"
        assert slow.result()["name"] == "first"
