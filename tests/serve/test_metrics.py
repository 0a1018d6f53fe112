"""The metrics of /metrics and their names, on which dashboards depend, and the requests that are logged."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from serve.metrics import Metrics, RequestLog
from serve.worker_api import Timing

KINDS = {
    "byoc_requests": "counter",
    "byoc_photos": "counter",
    "byoc_batch_requests": "histogram",
    "byoc_request_seconds": "histogram",
    "byoc_decode_seconds": "histogram",
    "byoc_model_seconds": "histogram",
    "byoc_queue_seconds": "histogram",
    "byoc_workers_ready": "gauge",
    "byoc_worker_restarts": "counter",
    "byoc_resident_memory_bytes": "gauge",
    "byoc_cpu_seconds": "counter",
    "byoc_disk_used_ratio": "gauge",
}


def values(metrics: Metrics) -> dict[str, float]:
    lines = [line for line in metrics.text().decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_every_metric_has_the_name_and_kind_that_dashboards_know(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)  # as on a machine without a GPU
    lines = [line.split() for line in Metrics(lambda: (0, 0)).text().decode().splitlines()]
    assert {words[2].removesuffix("_total"): words[3] for words in lines if words[:2] == ["#", "TYPE"]} == KINDS
    counters = {name for name, kind in KINDS.items() if kind == "counter"}
    names = {words[0] for words in lines}
    # byoc_requests has a line per status code, so it has no line before the first request.
    assert {f"{name}_total" for name in counters - {"byoc_requests"}} <= names


def test_a_requests_time_is_split_and_what_remains_is_the_queues() -> None:
    metrics = Metrics(lambda: (3, 2))
    metrics.observe(200, 2.0, Timing(photos=5, batch=4, decode=0.25, model=0.75))
    metrics.observe(200, 0.5, Timing(photos=1, batch=1, decode=0.25, model=0.375))  # waited 0 s, not less
    metrics.observe(503, 9.0, None)  # no worker received this request
    found = values(metrics)
    assert (found['byoc_requests_total{code="200"}'], found['byoc_requests_total{code="503"}']) == (2, 1)
    assert found["byoc_photos_total"] == 6
    assert (found["byoc_batch_requests_count"], found["byoc_batch_requests_sum"]) == (2, 5)
    parts = ("request", "decode", "model", "queue")
    assert [found[f"byoc_{part}_seconds_sum"] for part in parts] == [2.5, 0.5, 1.125, 1.0]
    assert [found[f"byoc_{part}_seconds_count"] for part in parts] == [2, 2, 2, 2]
    assert (found["byoc_workers_ready"], found["byoc_worker_restarts_total"]) == (3, 2)
    assert found["byoc_resident_memory_bytes"] > 10_000_000


def test_the_time_until_the_server_could_answer_is_a_metric_once_it_can() -> None:
    metrics = Metrics(lambda: (0, 0))
    assert "byoc_start_seconds" not in values(metrics)
    metrics.started()
    assert 0 < values(metrics)["byoc_start_seconds"] < 86_400


def test_processor_time_grows_with_work_also_with_that_of_a_child_that_has_ended() -> None:
    metrics = Metrics(lambda: (0, 0))
    before = values(metrics)["byoc_cpu_seconds_total"]
    subprocess.run([sys.executable, "-c", "import time\nwhile time.process_time() < 0.3: pass"], check=True)
    # The kernel counts in ticks of 10 ms; the sum of a child and its parent may be one or two ticks too low.
    assert values(metrics)["byoc_cpu_seconds_total"] >= before + 0.25


def test_times_and_batches_are_counted_up_to_bounds_that_reach_a_minute_and_64_requests() -> None:
    metrics = Metrics(lambda: (0, 0))
    metrics.observe(200, 60.0, Timing(photos=1, batch=64, decode=0.0, model=0.005))
    found = values(metrics)
    bounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]
    names = [f'byoc_request_seconds_bucket{{le="{float(bound)}"}}' for bound in bounds]
    assert [found[name] for name in names] == [0] * 12 + [1]
    names = [f'byoc_batch_requests_bucket{{le="{float(bound)}"}}' for bound in (1, 2, 4, 8, 16, 32, 64)]
    assert [found[name] for name in names] == [0] * 6 + [1]
    assert found['byoc_model_seconds_bucket{le="0.005"}'] == 1


@pytest.fixture
def second(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    yield now


def written(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_the_log_shows_ten_requests_a_second_and_how_many_it_left_out(
    second: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    log = RequestLog("auto")
    for number in range(25):
        log.write(number=number)
    assert [line["number"] for line in written(capsys)] == list(range(10))
    second[0] += 1
    for number in range(25, 27):
        log.write(number=number)
    first, then = written(capsys)
    assert (first["number"], first["requests_left_out"]) == (25, 15)
    assert then["number"] == 26 and "requests_left_out" not in then
    second[0] += 1
    for number in range(27, 40):
        log.write(number=number)
    assert [line["number"] for line in written(capsys)] == list(range(27, 37))
    second[0] += 1
    log.write(number=40)
    assert [line["requests_left_out"] for line in written(capsys)] == [3]


def test_the_log_shows_every_request_when_it_is_on_and_none_when_it_is_off(
    second: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    for mode, count in (("on", 25), ("off", 0)):
        log = RequestLog(mode)
        for number in range(25):
            log.write(number=number)
        lines = written(capsys)
        assert len(lines) == count and not [line for line in lines if "requests_left_out" in line]


def test_a_line_begins_with_the_time_in_utc(capsys: pytest.CaptureFixture[str]) -> None:
    before = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    RequestLog("on").write(code=200)
    (line,) = written(capsys)
    after = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    assert list(line) == ["time", "code"] and before <= str(line["time"]) <= after


def test_a_line_and_its_end_are_written_at_once_though_the_output_has_no_buffer() -> None:
    code = "from serve.metrics import RequestLog; RequestLog('on').write(code=200)"
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)  # it keeps the writes apart
    with ours, its:
        subprocess.run([sys.executable, "-u", "-c", code], stdout=its.fileno(), check=True)
        assert ours.recv(4096).endswith(b"}\n")
