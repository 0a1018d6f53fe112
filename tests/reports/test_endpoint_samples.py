"""Samples of /metrics: reading one, computing the time between two, and refusing damaged ones."""

import math

import pytest

from classifier.errors import ConfigError, DataError
from reports.live import sampler
from reports.live.sampler import Sampler, address
from reports.sources.endpoint_metrics import Histogram, read_sample
from reports.sources.endpoint_samples import NO_DISK, NO_GPU, sampled_endpoint
from serve.metrics import Metrics
from tests import nvml
from tests.reports.endpoints import asked, metrics_server, sample

BOUNDS = (0.1, 0.2, 0.4, math.inf)


def test_a_quantile_is_interpolated_between_bounds_as_promql_does() -> None:
    histogram = Histogram(bounds=BOUNDS, counts=(10.0, 30.0, 40.0, 40.0), sum=7.0)
    assert histogram.quantile(0.25) == pytest.approx(0.1)
    assert histogram.quantile(0.5) == pytest.approx(0.15)
    assert histogram.quantile(0.9) == pytest.approx(0.32)
    assert histogram.mean == pytest.approx(0.175)


def test_a_quantile_beyond_the_last_bound_is_that_bound_and_without_requests_there_is_none() -> None:
    assert Histogram(bounds=BOUNDS, counts=(0.0, 0.0, 0.0, 5.0), sum=50.0).quantile(0.99) == 0.4
    assert Histogram(bounds=BOUNDS, counts=(0.0, 0.0, 0.0, 0.0), sum=0.0).quantile(0.5) is None


def test_what_the_serving_program_counts_is_read() -> None:
    metrics = Metrics(lambda: (2, 1))
    asked(metrics, [(200, 0.02)] * 8 + [(422, 0.001), (503, 0.002), (499, 3.0)])
    metrics.started()
    found = sample(metrics, 100.0)
    assert found.codes == {"200": 8, "422": 1, "503": 1, "499": 1} and found.requests == 11
    assert (found.errors("4"), found.errors("5")) == (1, 1), "a client that went away counts as an error"
    assert set(found.histograms) == {"whole request", "decode", "model", "queue"}
    assert found.histograms["model"].count == 8 and found.histograms["model"].mean == pytest.approx(0.01)
    assert found.gauges["byoc_workers_ready"] == 2 and found.counts["byoc_worker_restarts"] == 1
    assert found.gauges["byoc_resident_memory_bytes"] > 1e6 and found.counts["byoc_cpu_seconds"] > 0


def test_two_samples_give_what_happened_between_them() -> None:
    metrics = Metrics(lambda: (2, 0))
    asked(metrics, [(200, 0.02)] * 100)
    before = sample(metrics, 100.0)
    asked(metrics, [(200, 0.3)] * 9 + [(500, 0.1)], model=0.28)
    endpoint = sampled_endpoint("http://here", [before, sample(metrics, 102.0)])
    [variant] = endpoint.variants
    assert list(variant.values["invocations"]) == [10] and list(variant.values["errors_5xx"]) == [1]
    assert variant.totals["invocations"] == 110
    [model] = [one for one in variant.courses if one.part == "model"]
    assert 0.25 < model.p50[0] < 0.5, "the hundred requests before the first sample are counted"
    [whole] = [one for one in variant.latencies if one.part == "whole request"]
    assert whole.count == 109 and whole.p50 is not None and whole.p50 < 0.025 and whole.p99 is not None
    assert whole.p99 > 0.25


def test_the_disk_and_the_gpus_of_a_server_are_read_in_percent(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = Metrics(lambda: (1, 0))
    nvml.install(monkeypatch, [(80, 4 * 10**9, 16 * 10**9), (30, 8 * 10**9, 16 * 10**9)])
    endpoint = sampled_endpoint("http://here", [sample(metrics, 100.0), sample(metrics, 102.0)])
    [variant] = endpoint.variants
    assert list(variant.values["gpu"]) == [pytest.approx(110)] and list(variant.values["gpu_memory"]) == [75]
    assert 0 < variant.values["disk"][0] <= 100
    assert not any("GPU" in sentence or "disk" in sentence for sentence in endpoint.missing)


def test_a_server_without_gpu_metrics_and_an_older_one_without_a_disk_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nvml.install(monkeypatch, [])
    metrics = Metrics(lambda: (1, 0))
    newer = sampled_endpoint("http://here", [sample(metrics, 100.0), sample(metrics, 101.0)])
    assert NO_GPU in newer.missing and NO_DISK not in newer.missing
    assert newer.variants[0].held("gpu") is None and newer.variants[0].held("disk") is not None
    older = "\n".join(line for line in metrics.text().decode().splitlines() if "byoc_disk" not in line)
    assert NO_DISK in sampled_endpoint("http://here", [read_sample(older, 1.0)]).missing


def test_a_server_that_begins_anew_is_counted_from_nothing_and_named() -> None:
    first, second = Metrics(lambda: (1, 0)), Metrics(lambda: (2, 0))
    asked(first, [(200, 0.02)] * 50)
    asked(second, [(200, 0.02)] * 3)
    endpoint = sampled_endpoint("http://here", [sample(first, 100.0), sample(second, 101.0)])
    [variant] = endpoint.variants
    assert list(variant.values["invocations"]) == [3] and variant.totals["invocations"] == 3
    texts = [event.text for event in endpoint.events]
    assert any("restarted" in text for text in texts) and any(
        "the number of ready workers changed from 1 to 2" in text for text in texts
    )


BROKEN = {
    "empty": "",
    "html": "<html><body>It works!</body></html>",
    "json": '{"message": "no"}',
    "not a number": "byoc_requests_total many\n",
    "open labels": 'byoc_requests_total{code="200" 5\n',
    "foreign": "# TYPE go_goroutines gauge\ngo_goroutines 7\n",
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_what_is_not_metrics_of_ours_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(DataError, match=r"is not Prometheus text|holds no metric of the serving program"):
        read_sample(text, 1.0)


def test_every_beginning_of_an_answer_is_read_or_refused_and_never_crashes() -> None:
    metrics = Metrics(lambda: (1, 0))
    asked(metrics, [(200, 0.02), (503, 0.1)])
    text = metrics.text().decode()
    read = 0
    for end in range(0, len(text), 7):
        try:
            found = read_sample(text[:end], 1.0)
        except DataError:
            continue
        read += 1
        assert len(sampled_endpoint("http://here", [found]).variants) == 1
    assert read > 100


def test_numbers_that_cannot_be_are_left_out() -> None:
    text = (
        '# TYPE byoc_requests_total counter\nbyoc_requests_total{code="200"} NaN\nbyoc_requests_total{code="500"} -3\n'
        "# TYPE byoc_photos_total counter\nbyoc_photos_total 4\n"
        "# TYPE byoc_model_seconds histogram\n"
        'byoc_model_seconds_bucket{le="0.1"} 5\nbyoc_model_seconds_bucket{le="+Inf"} 3\nbyoc_model_seconds_sum 1\n'
    )
    found = read_sample(text, 1.0)
    assert found.codes == {} and found.histograms == {} and found.counts == {"byoc_photos": 4}


def test_answers_that_fail_are_counted_and_the_last_good_ones_stay() -> None:
    metrics = Metrics(lambda: (1, 0))
    asked(metrics)
    with metrics_server([metrics.text(), 500, b"garbage {"]) as url:
        sampling = Sampler(f"{url}/metrics")
        assert [sampling.look() for _ in range(3)] == [True, False, False]
    endpoint = sampling.endpoint()
    assert endpoint.variants[0].totals["invocations"] == 1
    missing = " ".join(endpoint.missing)
    assert "is not Prometheus text" in missing and "2 of 3 requests for /metrics had no answer" in missing


@pytest.mark.slow
def test_a_server_that_pauses_for_seconds_is_read() -> None:
    metrics = Metrics(lambda: (1, 0))
    asked(metrics)
    with metrics_server([metrics.text()], pause=7) as url:
        sampling = Sampler(url)
        assert sampling.look(), sampling.problem


def test_a_server_that_says_nothing_usable_gives_an_endpoint_of_which_that_is_said() -> None:
    with metrics_server([b"garbage {"]) as url:
        sampling = Sampler(url)
        assert not sampling.look() and sampling.answered
    assert sampling.endpoint().variants == () and "there are no data of the endpoint" in " ".join(
        sampling.endpoint().missing
    )


def test_an_answer_without_an_end_is_not_read_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampler, "LONGEST", 1000)
    with metrics_server([b"x" * 1001]) as url:
        sampling = Sampler(url)
        assert not sampling.look()
    assert "answered more than" in sampling.problem


def test_samples_are_bounded_and_reach_from_the_first_to_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampler, "MOST", 10)
    metrics, texts = Metrics(lambda: (1, 0)), []
    for _ in range(60):
        asked(metrics)
        texts.append(metrics.text())
    with metrics_server(texts) as url:
        sampling = Sampler(url)
        for number in range(60):
            assert sampling.look()
            held = sampling._samples
            assert len(held) <= 10 and held[0].requests == 1 and held[-1].requests == number + 1
    counts = sampling.endpoint().variants[0].values["invocations"]
    assert sum(counts) == 59, "requests were lost when samples were joined"


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://127.0.0.1:8080/metrics", "http://127.0.0.1:8080"),
        ("https://dogs.example/invocations", "https://dogs.example"),
        ("http://[::1]:8080/?x=1", "http://[::1]:8080"),
    ],
)
def test_an_address_is_that_of_the_server(text: str, url: str) -> None:
    assert address(text) == url


@pytest.mark.parametrize(
    "text", ["file:///etc/passwd", "http://", "ftp://x", "http://a:b@c", "http://a b", "http://x:0"]
)
def test_what_is_not_an_address_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="write a server's address"):
        address(text)
