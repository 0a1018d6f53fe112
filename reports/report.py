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
from reports.page.render import html, json_text
from reports.page.result import result_section
from reports.page.time import time_section
from reports.rules.table import Judged, judge
from reports.rules.verdict import Evidence
from reports.sources.machines import with_machines
from reports.sources.profiler import read_profile
from reports.sources.run import read_run


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
    profile = with_machines(read_profile(folder), run)
    if run is None and profile is None:
        raise DataError(
            f"{one_line(folder)} holds no records of a run (records.jsonl) and no profiler output of SageMaker's; name the "
            "folder that byoc run or byoc train wrote, the output.tar.gz of a job, or a profiler-output folder"
        )
    missing += run.missing if run else ()
    missing += profile.missing if profile else ()
    return Evidence(run=run, profile=profile), missing


def make(folder: Path) -> Report:
    """Return the report on a folder."""
    evidence, missing = read(folder)
    judged = judge(evidence)
    return Report(
        title=f"Report on {one_line(folder.resolve().name)}",
        source=one_line(folder),
        made=f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC",
        program=__version__,
        headline=headline(evidence, judged),
        judged=judged,
        sections=(
            result_section(evidence.run),
            learning_section(evidence.run),
            time_section(evidence),
            job_section(evidence.run, evidence.profile),
        ),
        missing=missing,
    )


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
        rules = "rule finds" if len(found) == 1 else "rules find"
        said.append(f"{len(found)} of {checked} {rules} something; the worst: {found[0].about}.")
    elif checked:
        said.append(f"None of the {checked} rules that could be judged finds anything.")
    else:
        said.append("No rule could be judged with these records.")
    return " ".join(said)


def write(folder: Path, out: Path | None = None) -> Written:
    """Write the report on a folder as `out` (default: report.html in the folder), and the JSON file beside it."""
    report = make(folder)
    page = out or (folder if folder.is_dir() else folder.parent) / "report.html"
    facts = page.with_suffix(".json")
    if facts == page:
        raise DataError(
            f"{one_line(page)} is to be the page, and report.json lies beside it; name a file that ends in .html"
        )
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(html(report), encoding="utf-8")
    facts.write_text(json_text(report), encoding="utf-8")
    return Written(page=page, facts=facts, report=report)
