"""The report on an endpoint's metrics in CloudWatch. CloudWatch's answers are written by hand from AWS's page monitoring-cloudwatch."""

import math

import pytest

from reports.page.endpoint import endpoint_section
from reports.report import compose
from reports.rules.verdict import Evidence
from reports.sources.endpoint import Event
from reports.sources.endpoint_cloudwatch import Answer, Query, described_variant, usable
from tests.reports.endpoints import PERIOD, SAID, START, Said, on_cloudwatch, variant


def test_counts_are_added_up_and_microseconds_become_seconds() -> None:
    found = variant(SAID)
    assert found.totals == {"invocations": 150, "errors_4xx": 2, "errors_5xx": 3, "model_errors": 3}
    model, overhead = found.latencies
    assert (model.part, model.count, model.maximum) == ("model", 150, 2.0)
    assert model.p50 == pytest.approx((100 * 0.018 + 50 * 0.030) / 150)
    assert model.p99 == pytest.approx((100 * 0.08 + 50 * 1.7) / 150)
    assert overhead.p90 is None and overhead.mean == pytest.approx(0.004)


def test_a_minute_without_a_value_is_known_to_have_had_none() -> None:
    found = variant(SAID)
    counts = found.values["invocations"]
    assert (counts[0], counts[2]) == (100, 50) and math.isnan(counts[1])
    [model, _] = found.courses
    assert model.p99[2] == pytest.approx(1.7) and math.isnan(model.p99[1])


def test_the_section_shows_traffic_latency_and_the_use_of_the_machine() -> None:
    event = Event(time=START + 30.0, text="AllTraffic: Setting desired instance count to 3. (Successful)")
    section = endpoint_section(on_cloudwatch(SAID, event))
    facts = dict(section.facts)
    assert (
        facts["Invocations"] == "150" and facts["Errors 5xx"] == "3 (2 %)" and facts["Errors of the model"] == "3 (2 %)"
    )
    titles = {chart.title: chart for chart in section.charts}
    assert titles.keys() >= {
        "Invocations and errors",
        "Latency by part, p50",
        "Latency by part, p99",
        "Processor use",
        "Memory in use",
        "Disk in use",
    }
    assert "at most 1.7e+03 ms" in titles["Latency by part, p99"].sentence
    assert titles["Processor use"].y_name == "% of one core" and "most 350" in titles["Processor use"].sentence
    assert titles["Invocations and errors"].lines[0].values == (100.0, 0.0, 50.0)
    happened = next(table for table in section.tables if table.title.startswith("What happened"))
    assert happened.rows == (("2023-11-14 22:14:30 UTC", event.text),)
    assert any("no GPUUtilization, GPUMemoryUtilization of variant AllTraffic" in one for one in section.missing)


def test_without_percentiles_means_are_shown_and_that_is_said() -> None:
    said: Said = {key: [None] * 3 if key[1].startswith("p") else values for key, values in SAID.items()}
    found = on_cloudwatch(said)
    assert found.variants[0].courses == () and found.variants[0].latencies[0].mean == pytest.approx(0.03)
    assert any("gave no percentiles" in sentence for sentence in found.missing)
    assert any("mean 30 ms" in value for _, value in endpoint_section(found).facts)


def test_an_endpoint_without_requests_is_reported_as_such() -> None:
    report = compose(Evidence(run=None, profile=None, endpoint=on_cloudwatch({})), name="dogs", source="CloudWatch")
    assert "The endpoint got no request in the time that the report covers." in report.headline
    assert any("no invocations of variant AllTraffic" in sentence for sentence in report.missing)
    assert [one.ours.state for one in report.judged] == ["not judged"] * 3


def test_starts_of_a_serverless_endpoint_are_counted_with_the_longest() -> None:
    said: Said = {
        ("Invocations", "Sum"): [100.0, 20.0, 50.0],
        ("ModelSetupTime", "SampleCount"): [4.0, None, 1.0],
        ("ModelSetupTime", "Maximum"): [7_500_000.0, None, 2_000_000.0],
    }
    found = variant(said)
    assert found.cold is not None and (found.cold.count, found.cold.longest) == (5, 7.5)
    facts = dict(endpoint_section(on_cloudwatch(said)).facts)
    assert facts["Cold starts"] == "5 starts of a serverless endpoint's compute, the longest 7.5 s"


@pytest.mark.parametrize("value", [None, "1", math.nan, True, 1e300])
def test_a_value_that_is_not_a_number_is_left_out(value: object) -> None:
    assert usable([value, 2.0], [0.0, 60.0]) == ((60.0, 2.0),)


def test_values_outside_the_time_that_was_asked_about_are_left_out() -> None:
    query = Query(namespace="AWS/SageMaker", metric="Invocations", statistic="Sum")
    answer = Answer(query=query, points=((START - 1.0, 7.0), (START + 0.0, 5.0), (START + 3.0 * PERIOD, 9.0)))
    found = described_variant("v", [answer], start=START, end=START + 3 * PERIOD, period=PERIOD)
    assert found.totals["invocations"] == 5
