"""From a folder to a report: read what lies there, judge it, lay out the sections, write one HTML and one JSON file."""

import datetime
from dataclasses import dataclass
from pathlib import Path

from classifier import __version__
from classifier.errors import DataError
from classifier.names import one_line
from reports.page.document import Report
from reports.page.job import job_section
from reports.page.learning import learning_section
from reports.page.numbers import money
from reports.page.render import html, json_text
from reports.page.result import result_section
from reports.page.time import time_section
from reports.rules.cost import Price
from reports.rules.table import Judged, judge
from reports.rules.verdict import Evidence
from reports.sources.profiler import read_profile
from reports.sources.run import read_run
from reports.sources.smdebug import read_tensors


@dataclass(frozen=True, kw_only=True)
class Written:
    """The two files of a report."""

    page: Path
    facts: Path
    report: Report


def read(folder: Path) -> tuple[Evidence, tuple[str, ...]]:
    """Return what lies in a folder or a file, and what is missing; raises DataError where nothing is of a known kind."""
    if not folder.exists():
        raise DataError(
            f"{one_line(folder)} does not exist; name the folder of a run, or of SageMaker's profiler output"
        )
    run, missing = read_run(folder)
    run, tensors_missing = read_tensors(folder, run)
    profile = read_profile(folder)
    if run is None and profile is None:
        raise DataError(
            f"{one_line(folder)} holds no records of a run (records.jsonl) and no output of SageMaker's profiler or "
            "Debugger; name the folder that byoc run or byoc train wrote, the output.tar.gz of a job, or a profiler-output or "
            "debug-output folder"
        )
    missing += (*tensors_missing, *(run.missing if run else ()))
    missing += profile.missing if profile else ()
    return Evidence(run=run, profile=profile), missing


def make(folder: Path, price: Price | None = None) -> Report:
    """Return the report on a folder; with a price, it says what the job and its findings cost."""
    evidence, missing = read(folder)
    judged = judge(evidence, price)
    return Report(
        title=f"Report on {one_line(folder.resolve().name)}",
        source=one_line(folder),
        made=now(),
        program=__version__,
        headline=headline(evidence, judged),
        judged=judged,
        sections=(
            result_section(evidence.run),
            learning_section(evidence.run),
            time_section(evidence),
            job_section(evidence, price),
        ),
        missing=missing,
    )


def now() -> str:
    """Return the date and the time of day, as the page says when it was made."""
    return f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC"


def headline(evidence: Evidence, judged: tuple[Judged, ...]) -> str:
    """Return the verdict in two sentences: how good the model is, and the worst finding."""
    said = []
    results = {split.name: split.result for split in evidence.run.splits if split.result} if evidence.run else {}
    result = results.get("test") or results.get("validation") or next(iter(results.values()), None)
    if result:
        said.append(f"{100 * result.accuracy:.1f} % of the {result.split} photos are predicted rightly.")
    elif evidence.run and not evidence.run.finished:
        said.append("The job did not record its end.")
    found = [one for one in judged if one.ours.state == "triggered"]
    checked = sum(one.ours.state != "not judged" for one in judged)
    if found:
        find = "finds" if len(found) == 1 else "find"
        said.append(f"{len(found)} of {checked} rules {find} something; the worst: {found[0].about}{_spent(found[0])}.")
    elif checked:
        said.append(f"None of the {checked} rules that could be judged finds anything.")
    else:
        said.append("No rule could be judged with these records.")
    return " ".join(said)


def _spent(worst: Judged) -> str:
    return (
        f", which cost about {money(worst.cost.money, worst.cost.currency)}" if worst.cost and worst.cost.money else ""
    )


def write(folder: Path, out: Path | None = None, price: Price | None = None) -> Written:
    """Write the report on a folder as `out` (default: report.html in the folder), and the JSON file beside it."""
    return save(make(folder, price), out or (folder if folder.is_dir() else folder.parent) / "report.html")


def save(report: Report, page: Path) -> Written:
    """Write a report as a page and a JSON file beside it."""
    facts = page.with_suffix(".json")
    if facts == page:
        raise DataError(
            f"{one_line(page)} is to be the page, and {page.name} would be the JSON file beside it too; name a file that "
            "ends in .html"
        )
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(html(report), encoding="utf-8")
    facts.write_text(json_text(report), encoding="utf-8")
    return Written(page=page, facts=facts, report=report)
