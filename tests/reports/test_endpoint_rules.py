"""The rules on endpoints: numbers that must trigger each of them, and numbers that must not."""

import pytest

from reports.rules.table import ENDPOINT_RULES
from reports.rules.thresholds import OURS, SAGEMAKER
from reports.rules.verdict import Evidence, Verdict
from reports.sources.endpoint import ColdStarts, Endpoint, Latency
from tests.reports.endpoints import endpoint
from tests.reports.made import judge_one


def judged(rule: str, found: Endpoint | None) -> Verdict:
    verdict = judge_one(rule, Evidence(run=None, profile=None, endpoint=found), OURS)
    assert verdict is not None
    return verdict


def latency(p50: float, p99: float, *, part: str = "queue", count: float = 500.0) -> Latency:
    return Latency(part=part, count=count, p50=p50, p90=p99, p99=p99, mean=p50)


STARTS = "starts of a serverless endpoint's compute"
CASES = {
    "errors": ("EndpointErrors", endpoint(errors={"5xx": 30.0}), "triggered"),
    "errors of clients": ("EndpointErrors", endpoint(errors={"4xx": 30.0}), "triggered"),
    "few errors": ("EndpointErrors", endpoint(errors={"5xx": 5.0}), "quiet"),
    "few requests": ("EndpointErrors", endpoint(requests=49.0, errors={"5xx": 30.0}), "not judged"),
    "long tail": ("EndpointTail", endpoint(latency=latency(0.02, 2.0)), "triggered"),
    "short tail": ("EndpointTail", endpoint(latency=latency(0.02, 0.19)), "quiet"),
    "long in itself": ("EndpointTail", endpoint(latency=latency(1.0, 4.0)), "quiet"),
    "too few for a p99": ("EndpointTail", endpoint(latency=latency(0.02, 2.0, count=150)), "not judged"),
    "no latencies": ("EndpointTail", endpoint(), "not judged"),
    "cold starts": ("EndpointColdStarts", endpoint(cold=ColdStarts(count=50, longest=9.0, about=STARTS)), "triggered"),
    "few cold starts": ("EndpointColdStarts", endpoint(cold=ColdStarts(count=2, longest=9.0, about=STARTS)), "quiet"),
    "nothing counted": (
        "EndpointColdStarts",
        endpoint(cold=ColdStarts(count=None, longest=9.0, about="")),
        "not judged",
    ),
}


@pytest.mark.parametrize(("rule", "found", "state"), CASES.values(), ids=CASES)
def test_a_rule_finds_what_it_looks_for_and_nothing_else(rule: str, found: Endpoint, state: str) -> None:
    verdict = judged(rule, found)
    assert verdict.state == state, verdict
    assert bool(verdict.advice) == (state == "triggered") and verdict.sentence.endswith(".")


def test_the_advice_tells_errors_of_the_server_from_those_of_clients() -> None:
    assert "503" in judged("EndpointErrors", endpoint(errors={"5xx": 30.0, "4xx": 1.0})).advice
    assert "clients" in judged("EndpointErrors", endpoint(errors={"5xx": 1.0, "4xx": 30.0})).advice


@pytest.mark.parametrize("rule", [one.name for one in ENDPOINT_RULES])
def test_without_an_endpoint_nothing_is_judged_and_sagemaker_has_no_such_rule(rule: str) -> None:
    assert judged(rule, None).sentence == "No endpoint was given; name one with --endpoint."
    assert judge_one(rule, Evidence(run=None, profile=None, endpoint=endpoint()), SAGEMAKER) is None


def test_an_endpoint_of_which_nothing_was_read_is_not_judged() -> None:
    empty = Endpoint(name="dogs", source="made", covers="no time")
    assert {judged(rule.name, empty).state for rule in ENDPOINT_RULES} == {"not judged"}
