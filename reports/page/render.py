"""Writes a report as HTML and as JSON. The page loads nothing. It runs only its own scripts, which its security policy lists by hash."""

import base64
import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from reports.page import numbers
from reports.page.document import Chart, Report

HERE = Path(__file__).parent
FORMAT = 1  # version of the format of the JSON file
SCRIPTS = ("page.js", "follow.js")  # follow.js is only in a page that is updated while a run goes on
# Rule -> a part of the title of the chart that shows the measurements of the rule.
SHOWN_BY = {
    "ClassImbalance": "Confusion matrix",
    "Confusion": "Most confused pairs",
    "DataWait": "Parts of the job",
    "ExplodingTensor": "Training loss by step",
    "LossNotDecreasing": "Training loss by step",
    "Overfit": "Loss by epoch",
    "Overtraining": "Loss by epoch",
    "BatchSize": ": GPU use",
    "CPUBottleneck": ": use of the cores",
    "IOBottleneck": ": I/O wait",
    "LoadBalancing": ": GPU use",
    "LowGPUUtilization": ": GPU use",
    "EndpointErrors": "Invocations and errors",
    "EndpointTail": "Latency by part, p99",
}


def html(report: Report, *, followed: bool = False) -> str:
    """Return the page with all scripts and styles in it. A followed page also asks its server for a newer version of itself."""
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["show"] = numbers.show
    environment.filters["cost"] = numbers.cost
    library = _text("vendor/echarts.min.js").strip()
    scripts = [_text(name).strip() for name in (SCRIPTS if followed else SCRIPTS[:1])]
    charts = {chart.id: _drawn(chart) for section in report.sections for chart in section.charts}
    page: str = environment.get_template("page.html").render(
        report=report,
        triggered=[one for one in report.judged if one.ours.state == "triggered"],
        charts=charts,
        shown_by=_shown_by(report),
        policy=policy(library, *scripts, connect=followed),
        style=Markup(_text("page.css")),
        library=Markup(library),
        scripts=[Markup(script) for script in scripts],
        followed=followed,
        licences=_text("vendor/licences.txt"),
    )
    return page


def policy(*scripts: str, connect: bool = False) -> str:
    """Return a content security policy that lets only these scripts run, and lets the page load nothing.

    With `connect`, a script may send requests to the server of the page, and to no other server.
    """
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts
    )
    asks = "connect-src 'self'; " if connect else ""
    return (
        f"default-src 'none'; {asks}img-src data:; style-src 'unsafe-inline'; script-src {hashes}; base-uri 'none'; "
        "form-action 'none'"
    )


def json_text(report: Report) -> str:
    """Return the facts of the report as JSON. docs/reports.md describes the members."""
    facts = {"format": FORMAT, **dataclasses.asdict(report)}
    for section in facts["sections"]:
        del section["galleries"]  # left out, because `photos` holds the data that they show
    facts["photos"] = _without_thumbnails(facts["photos"])
    return json.dumps(_finite(facts), indent=1, allow_nan=False) + "\n"


def _without_thumbnails(value: object) -> object:
    """Return a copy of the value without any member `jpeg`."""
    if isinstance(value, dict):
        return {name: _without_thumbnails(item) for name, item in value.items() if name != "jpeg"}
    return [_without_thumbnails(item) for item in value] if isinstance(value, list | tuple) else value


def _shown_by(report: Report) -> Mapping[str, Chart]:
    """Return the charts of this page that show the measurements of a rule, by the name of the rule."""
    charts = [chart for section in report.sections for chart in section.charts]
    found = {rule: next((one for one in charts if title in one.title), None) for rule, title in SHOWN_BY.items()}
    return {rule: chart for rule, chart in found.items() if chart}


def _text(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _drawn(chart: Chart) -> Mapping[str, object]:
    """Return the members of a chart that page.js reads."""
    values = dataclasses.asdict(chart)
    for name in ("table", "sentence", "behind_button", "id"):
        del values[name]
    values["links"] = {f"{x},{y}": group for x, y, group in chart.links}
    held: Mapping[str, object] = _finite(values)  # type: ignore[assignment]
    return held


def _finite(value: object) -> object:
    """Return a copy of the value with None for each number that is not finite, because JSON cannot hold it."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value
