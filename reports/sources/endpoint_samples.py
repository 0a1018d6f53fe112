"""Makes an Endpoint of successive samples of /metrics: totals since the server's start, values over time, and events."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from reports.sources.endpoint import ColdStarts, Course, Endpoint, Event, Latency, Measure, Variant
from reports.sources.endpoint_metrics import PARTS, Histogram, Sample
from reports.system import Numbers

NOTES = (
    "Percentiles are computed from the histograms of /metrics, and interpolated between two bounds of a histogram.",
    "The time of the whole request starts after its body was read; it does not include the transfer of the body.",
)
NO_DISK = "/metrics does not report the use of disks."
NO_GPU = "/metrics reports no GPU: the server has no GPU, or lacks the package nvidia-ml-py."


def sampled_endpoint(url: str, samples: Sequence[Sample], missing: Sequence[str] = ()) -> Endpoint:
    """Return the endpoint that answered with these samples, the oldest first. `samples` may be empty."""
    sentences = [*missing]
    if not samples:
        sentences.append(f"No answer of {url}/metrics could be read, so there are no data of the endpoint.")
        return Endpoint(name=url, source=f"{url}/metrics", covers="no time at all", missing=tuple(sentences))
    if len(samples) == 1:
        sentences.append(
            "One sample of /metrics holds only totals; --follow takes more samples and shows the values over time."
        )
    if not samples[-1].requests:
        sentences.append("No request was answered since the server's start.")
    return Endpoint(
        name=url,
        source=f"{url}/metrics",
        covers="totals since the server's start"
        + (f"; charts of {len(samples)} samples in {_span(samples)}" if len(samples) > 1 else ""),
        variants=(_variant(samples),),
        events=_events(samples),
        notes=NOTES,
        missing=(*sentences, *_not_there(samples[-1])),
    )


def _not_there(last: Sample) -> list[str]:
    found = [] if "byoc_disk_used_ratio" in last.gauges else [NO_DISK]
    return found if last.gpus else [*found, NO_GPU]


def _span(samples: Sequence[Sample]) -> str:
    seconds = samples[-1].time - samples[0].time
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _variant(samples: Sequence[Sample]) -> Variant:
    pairs = list(pairwise(samples))
    last = samples[-1]
    seconds = np.array([max(later.time - earlier.time, 1e-3) for earlier, later in pairs])
    values: dict[Measure, Numbers] = {
        "invocations": _growth([(one.requests, other.requests) for one, other in pairs]),
        "errors_4xx": _growth([(one.errors("4"), other.errors("4")) for one, other in pairs]),
        "errors_5xx": _growth([(one.errors("5"), other.errors("5")) for one, other in pairs]),
        "memory_bytes": _gauge([other for _, other in pairs], "byoc_resident_memory_bytes"),
        "workers": _gauge([other for _, other in pairs], "byoc_workers_ready"),
        "disk": 100 * _gauge([other for _, other in pairs], "byoc_disk_used_ratio"),
        "gpu": _known([other.gpu_busy for _, other in pairs]),
        "gpu_memory": _known([other.gpu_memory for _, other in pairs]),
    }
    if "byoc_cpu_seconds" in last.counts:
        spent = [tuple(one.counts.get("byoc_cpu_seconds", np.nan) for one in pair) for pair in pairs]
        values["cpu"] = 100 * _growth(spent) / seconds
    started = last.gauges.get("byoc_start_seconds")
    return Variant(
        name="this server",
        times=np.array([earlier.time for earlier, _ in pairs]),
        seconds=seconds,
        values=values,
        totals={"invocations": last.requests, "errors_4xx": last.errors("4"), "errors_5xx": last.errors("5")},
        codes=dict(sorted(last.codes.items())),
        latencies=tuple(latency(part, last.histograms[part]) for part in PARTS.values() if part in last.histograms),
        courses=tuple(_course(part, pairs) for part in PARTS.values() if part in last.histograms),
        cold=ColdStarts(count=None, longest=started, about="from the start of the server to its first ready worker")
        if started is not None
        else None,
    )


def latency(part: str, histogram: Histogram) -> Latency:
    """Return the percentiles of the latency of a part, from its histogram."""
    return Latency(
        part=part,
        count=histogram.count,
        p50=histogram.quantile(0.5),
        p90=histogram.quantile(0.9),
        p99=histogram.quantile(0.99),
        mean=histogram.mean,
    )


def _growth(pairs: Sequence[tuple[float, ...]]) -> Numbers:
    """Return the growth of a counter between successive samples. A counter that is smaller than before has restarted at 0."""
    return np.array([later - earlier if later >= earlier else later for earlier, later in pairs], dtype=np.float64)


def _gauge(samples: Sequence[Sample], name: str) -> Numbers:
    return np.array([sample.gauges.get(name, np.nan) for sample in samples], dtype=np.float64)


def _known(values: Sequence[float | None]) -> Numbers:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _course(part: str, pairs: Sequence[tuple[Sample, Sample]]) -> Course:
    between = [
        other.histograms[part].since(one.histograms.get(part)) if part in other.histograms else None
        for one, other in pairs
    ]

    def of(share: float) -> Numbers:
        return _known([None if one is None else one.quantile(share) for one in between])

    return Course(part=part, p50=of(0.5), p99=of(0.99))


def _events(samples: Sequence[Sample]) -> tuple[Event, ...]:
    found = []
    for earlier, later in pairwise(samples):
        if later.requests < earlier.requests or _photos(later) < _photos(earlier):
            found.append(Event(time=later.time, text="the server restarted: its counters are smaller than before"))
        grown = later.counts.get("byoc_worker_restarts", 0.0) - earlier.counts.get("byoc_worker_restarts", 0.0)
        if grown > 0:
            found.append(Event(time=later.time, text=f"{grown:.0f} workers were replaced"))
        before, now = (one.gauges.get("byoc_workers_ready") for one in (earlier, later))
        if before is not None and now is not None and before != now:
            found.append(
                Event(time=later.time, text=f"the number of ready workers changed from {before:.0f} to {now:.0f}")
            )
    return tuple(found)


def _photos(sample: Sample) -> float:
    return sample.counts.get("byoc_photos", 0.0)
