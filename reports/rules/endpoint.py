"""Rules on an endpoint: errors, answers that take far longer than others, and requests that wait until a model is loaded."""

from collections.abc import Callable

from reports.rules.thresholds import Serving, Thresholds
from reports.rules.verdict import Evidence, Verdict, not_judged, quiet, triggered, worst
from reports.sources.endpoint import Latency, Variant

Judge = Callable[[Variant, Serving], Verdict]
NO_ENDPOINT = "No endpoint was given; name one with --endpoint."
NO_RULE = "no such rule"


def errors(evidence: Evidence, thresholds: Thresholds) -> Verdict | None:
    """Judge by EndpointErrors whether too many answers are errors."""
    return _judged(evidence, thresholds, _errors)


def tail(evidence: Evidence, thresholds: Thresholds) -> Verdict | None:
    """Judge by EndpointTail whether the slowest 1 % of the answers take far longer than the median."""
    return _judged(evidence, thresholds, _tail)


def cold_starts(evidence: Evidence, thresholds: Thresholds) -> Verdict | None:
    """Judge by EndpointColdStarts whether too many requests waited until a model was loaded."""
    return _judged(evidence, thresholds, _cold)


def limits_of_errors(thresholds: Thresholds) -> str:
    """Return, in words, the limits at which EndpointErrors triggers."""
    serving = thresholds.serving
    return (
        NO_RULE
        if serving is None
        else f"more than {100 * serving.errors:g} % of the answers; {serving.requests} requests at least"
    )


def limits_of_tail(thresholds: Thresholds) -> str:
    """Return, in words, the limits at which EndpointTail triggers."""
    serving = thresholds.serving
    return (
        NO_RULE
        if serving is None
        else f"p99 of a part {serving.tail:g} times its p50 and {_milliseconds(serving.slow)} at least; "
        f"{serving.tail_requests} requests at least"
    )


def limits_of_cold_starts(thresholds: Thresholds) -> str:
    """Return, in words, the limits at which EndpointColdStarts triggers."""
    serving = thresholds.serving
    return (
        NO_RULE
        if serving is None
        else f"more than {100 * serving.cold:g} % of the requests; {serving.requests} requests at least"
    )


def _milliseconds(value: float | None) -> str:
    return f"{1000 * (value or 0.0):,.3g} ms"


def _judged(evidence: Evidence, thresholds: Thresholds, judge: Judge) -> Verdict | None:
    if thresholds.serving is None:
        return None
    if evidence.endpoint is None:
        return not_judged(NO_ENDPOINT)
    if not evidence.endpoint.variants:
        return not_judged("No data of the endpoint could be read.")
    serving = thresholds.serving
    return worst(judge(variant, serving) for variant in evidence.endpoint.variants)


def _errors(variant: Variant, serving: Serving) -> Verdict:
    requests = int(variant.total("invocations") or 0)
    if requests < serving.requests:
        return not_judged(f"{requests:,} requests; {serving.requests} are needed.", requests)
    ours, theirs = (int(variant.total(measure) or 0) for measure in ("errors_5xx", "errors_4xx"))
    share = (ours + theirs) / requests
    said = f"Of {requests:,} requests to {variant.name}, {theirs:,} were answered with 4xx and {ours:,} with 5xx."
    if share <= serving.errors:
        return quiet(said, requests)
    advice = (
        "byoc logs NAME --search code shows them: 503 means too few workers or instances, 504 means that the model is too slow."
        if ours >= theirs
        else "byoc logs NAME --search code shows them: 4xx means that clients send files that are not photos or are too large."
    )
    return triggered(said, requests, advice=advice, loss=share)


def _tail(variant: Variant, serving: Serving) -> Verdict:
    parts = [one for one in variant.latencies if one.p50 is not None and one.p99 is not None]
    requests = int(max((one.count for one in parts), default=0))
    if requests < serving.tail_requests:
        return not_judged(f"{requests:,} requests with percentiles; {serving.tail_requests} are needed.", requests)
    found = max(parts, key=_ratio)
    said = f"{found.part} of {variant.name}: p50 {_milliseconds(found.p50)}, p99 {_milliseconds(found.p99)}."
    if _ratio(found) < serving.tail or (found.p99 or 0) < serving.slow:
        return quiet(f"{said[:1].upper()}{said[1:]}", requests)
    advice = {
        "queue": "Requests wait for a worker: use more instances, --autoscale 1:4, or SAGEMAKER_MODEL_SERVER_WORKERS.",
        "overhead": "SageMaker's overhead is large because of cold starts, large bodies or too few instances; try --autoscale 1:4.",
        "decode": "Some photos are far larger than others: let clients send them smaller.",
    }.get(found.part, "Look at the use of the processors in these minutes; use more instances or a faster type.")
    return triggered(f"{said[:1].upper()}{said[1:]}", requests, advice=advice, loss=0.01)


def _ratio(latency: Latency) -> float:
    return (latency.p99 or 0.0) / max(latency.p50 or 0.0, 1e-6)


def _cold(variant: Variant, serving: Serving) -> Verdict:
    requests = int(variant.total("invocations") or 0)
    cold = variant.cold
    if cold is None or cold.count is None:
        return not_judged("Cold starts are only counted for serverless and multi-model endpoints.", requests)
    if requests < serving.requests:
        return not_judged(f"{requests:,} requests; {serving.requests} are needed.", requests)
    longest = "" if cold.longest is None else f", the longest {_milliseconds(cold.longest)}"
    said = f"Of {requests:,} requests to {variant.name}: {cold.count:,} {cold.about}{longest}."
    share = cold.count / requests
    if share <= serving.cold:
        return quiet(said, requests)
    advice = "An endpoint with instances has no cold starts; for many models, more memory keeps more of them loaded."
    return triggered(said, requests, advice=advice, loss=share)
