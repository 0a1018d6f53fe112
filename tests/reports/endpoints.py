"""Endpoints made for the tests: answers of /metrics, a server that gives them, and answers of CloudWatch."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import numpy as np

from reports.sources.endpoint import ColdStarts, Endpoint, Event, Latency, Variant
from reports.sources.endpoint_cloudwatch import QUERIES, Answer, absent, described_variant, usable
from reports.sources.endpoint_metrics import Sample, read_sample
from serve.metrics import Metrics
from serve.worker_api import Timing

START, PERIOD = 1_700_000_040, 60
# Three minutes with 100, 0 and 50 requests. Latencies are in microseconds; cpu is a sum over several cores.
Said = Mapping[tuple[str, str], Sequence[float | None]]
SAID: Said = {
    ("Invocations", "Sum"): [100, None, 50],
    ("Invocation4XXErrors", "Sum"): [2, None, 0],
    ("Invocation5XXErrors", "Sum"): [0, None, 3],
    ("InvocationModelErrors", "Sum"): [0, None, 3],
    ("ModelLatency", "SampleCount"): [100, None, 50],
    ("ModelLatency", "Average"): [20_000, None, 50_000],
    ("ModelLatency", "Maximum"): [90_000, None, 2_000_000],
    ("ModelLatency", "p50"): [18_000, None, 30_000],
    ("ModelLatency", "p90"): [25_000, None, 55_000],
    ("ModelLatency", "p99"): [80_000, None, 1_700_000],
    ("OverheadLatency", "SampleCount"): [100, None, 50],
    ("OverheadLatency", "Average"): [3_000, None, 6_000],
    ("OverheadLatency", "p50"): [2_000, None, 5_000],
    ("OverheadLatency", "p99"): [9_000, None, 12_000],
    ("CPUUtilization", "Average"): [180, 10, 350],
    ("MemoryUtilization", "Average"): [41, 41, 43],
    ("DiskUtilization", "Average"): [12, 12, 12],
}


def asked(
    metrics: Metrics,
    requests: Sequence[tuple[int, float]] = ((200, 0.02),),
    *,
    decode: float = 0.004,
    model: float = 0.01,
) -> None:
    """Count requests. Each is a status code and its seconds; only a request with status 200 has reached a worker."""
    for code, seconds in requests:
        timing = Timing(photos=1, batch=1, decode=decode, model=model) if code == 200 else None
        metrics.observe(code, seconds, timing)


def sample(metrics: Metrics, at: float) -> Sample:
    """Return the present answer of /metrics as a sample with this time."""
    return read_sample(metrics.text().decode(), at)


@contextmanager
def metrics_server(answers: Sequence[bytes | int], pause: float = 0) -> Iterator[str]:
    """Serve these answers at /metrics in turn, each after a pause in seconds, then repeat the last one.

    A number is a status without a body.
    """
    given: list[bytes | int] = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            time.sleep(pause)
            answer = given.pop(0) if len(given) > 1 else given[0]
            self.send_response(answer if isinstance(answer, int) else 200)
            self.end_headers()
            self.wfile.write(b"" if isinstance(answer, int) else answer)

        def log_message(self, form: str, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def endpoint(
    *,
    requests: float = 1000.0,
    errors: Mapping[str, float] | None = None,
    latency: Latency | None = None,
    cold: ColdStarts | None = None,
) -> Endpoint:
    """Return an endpoint with one variant, which has these numbers."""
    held = errors or {}
    return Endpoint(
        name="dogs",
        source="made",
        covers="an hour",
        variants=(
            Variant(
                name="AllTraffic",
                times=np.empty(0),
                seconds=np.empty(0),
                values={},
                totals={
                    "invocations": requests,
                    "errors_4xx": held.get("4xx", 0.0),
                    "errors_5xx": held.get("5xx", 0.0),
                },
                latencies=(latency,) if latency else (),
                cold=cold,
            ),
        ),
    )


def variant(said: Said) -> Variant:
    """Return a variant with these values from CloudWatch."""
    queries = {(one.metric, one.statistic): one for one in QUERIES}
    answers = [
        Answer(query=queries[key], points=usable(values, [START + PERIOD * place for place in range(3)]))
        for key, values in said.items()
    ]
    return described_variant("AllTraffic", answers, start=START, end=START + 3 * PERIOD, period=PERIOD)


def on_cloudwatch(said: Said, *events: Event) -> Endpoint:
    """Return an endpoint with these values and events from CloudWatch."""
    found = variant(said)
    return Endpoint(
        name="dogs",
        source="CloudWatch",
        covers="3 min",
        variants=(found,),
        events=events,
        missing=tuple(absent(found)),
    )
