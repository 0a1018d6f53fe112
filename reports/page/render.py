"""The report as HTML and as JSON. The page loads nothing and runs nothing but its two scripts, which its policy names by hash."""

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
FORMAT = 1  # of the JSON file
# Rule -> beginning of the title of the chart that shows what it is about.
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
}


def html(report: Report) -> str:
    """Return the page, all in one."""
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["show"] = numbers.show
    environment.filters["cost"] = numbers.cost
    library = _text("vendor/echarts.min.js").strip()
    script = _text("page.js").strip()
    charts = {chart.id: _drawn(chart) for section in report.sections for chart in section.charts}
    page: str = environment.get_template("page.html").render(
        report=report,
        triggered=[one for one in report.judged if one.ours.state == "triggered"],
        charts=charts,
        shown_by=_shown_by(report),
        policy=policy(library, script),
        style=Markup(_text("page.css")),
        library=Markup(library),
        script=Markup(script),
        licences=_text("vendor/licences.txt"),
    )
    return page


def policy(*scripts: str) -> str:
    """Return the content security policy that lets these scripts run and nothing load."""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts
    )
    return f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {hashes}; base-uri 'none'; form-action 'none'"


def json_text(report: Report) -> str:
    """Return the same facts as JSON; docs/reports.md describes the members."""
    facts = {"format": FORMAT, **dataclasses.asdict(report)}
    return json.dumps(_finite(facts), indent=1, allow_nan=False) + "\n"


def _shown_by(report: Report) -> Mapping[str, Chart]:
    """Return the chart of each rule that has one on this page."""
    charts = [chart for section in report.sections for chart in section.charts]
    found = {rule: next((one for one in charts if title in one.title), None) for rule, title in SHOWN_BY.items()}
    return {rule: chart for rule, chart in found.items() if chart}


def _text(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _drawn(chart: Chart) -> Mapping[str, object]:
    """Return what the script needs of a chart: everything but its table and its sentence."""
    values = dataclasses.asdict(chart)
    for name in ("table", "sentence", "behind_button", "id"):
        del values[name]
    held: Mapping[str, object] = _finite(values)  # type: ignore[assignment]
    return held


def _finite(value: object) -> object:
    """Return the value with None for each number that JSON cannot hold."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value
