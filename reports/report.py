"""Makes the report on a folder: reads its files, applies the rules, builds the sections, and writes one HTML and one JSON file."""

import dataclasses
import datetime
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from classifier import __version__
from classifier.errors import DataError
from classifier.names import one_line
from reports.page.document import Report
from reports.page.endpoint import endpoint_section, endpoint_words
from reports.page.job import job_section
from reports.page.learning import learning_section
from reports.page.numbers import money
from reports.page.photos import photos_section
from reports.page.render import html, json_text
from reports.page.result import result_section
from reports.page.time import time_section
from reports.photos.facts import Photos
from reports.rules.cost import Price
from reports.rules.table import ENDPOINT_RULES, RULES, Judged, judge
from reports.rules.verdict import Evidence
from reports.sources.machines import with_machines
from reports.sources.profiler import read_profile
from reports.sources.run import read_run
from reports.sources.smdebug import read_tensors

FACTS = b'{\n "format": '  # the beginning of a report's JSON file


@dataclass(frozen=True, kw_only=True)
class Written:
    """A report and the paths of its two files: `page` is the HTML file, `facts` the JSON file."""

    page: Path
    facts: Path
    report: Report


def read(folder: Path) -> tuple[Evidence, tuple[str, ...]]:
    """Return the evidence in a folder or a file, and sentences on what is missing. Raises DataError if it holds no known kind of file."""
    if not folder.exists():
        raise DataError(
            f"{one_line(folder)} does not exist; name the folder of a run, or of SageMaker's profiler output"
        )
    run, missing = read_run(folder)
    run, tensors_missing = read_tensors(folder, run)
    profile = with_machines(read_profile(folder), run)
    if run is None and profile is None:
        raise DataError(
            f"{one_line(folder)} holds no records of a run (records.jsonl) and no output of SageMaker's profiler or "
            "Debugger; name the folder that byoc run or byoc train wrote, the output.tar.gz of a job, or a profiler-output or "
            "debug-output folder"
        )
    missing += (*tensors_missing, *(run.missing if run else ()))
    missing += profile.missing if profile else ()
    return Evidence(run=run, profile=profile), missing


def read_any(folder: Path, *, called: str) -> tuple[Evidence, tuple[str, ...]]:
    """Return the evidence in a folder of downloads, which may be empty. Sentences call the folder by the name `called`."""
    try:
        evidence, missing = read(folder)
    except DataError:
        return Evidence(run=None, profile=None), (f"{called} holds no records and no profiler output.",)
    before, after = one_line(folder), called.rstrip("/")

    def named(text: str) -> str:
        return text.replace(before, after)

    run, profile = evidence.run, evidence.profile
    if run:
        run = dataclasses.replace(run, source=named(run.source))
    if profile:
        profile = dataclasses.replace(profile, source=named(profile.source))
    return Evidence(run=run, profile=profile), tuple(map(named, missing))


def make(folder: Path, price: Price | None = None) -> Report:
    """Return the report on a folder. With a price, the report shows the costs of the job and of its findings."""
    evidence, missing = read(folder)
    return compose(evidence, name=folder.resolve().name, source=str(folder), missing=missing, price=price)


def compose(
    evidence: Evidence, *, name: str, source: str, missing: Sequence[str] = (), price: Price | None = None
) -> Report:
    """Return the report on the evidence. `source` is where it was read; `missing` holds sentences on what could not be read."""
    alone = evidence.endpoint is not None and not (evidence.run or evidence.profile or evidence.job)
    judged = judge(evidence, ENDPOINT_RULES if alone else RULES, price)
    sections = [
        result_section(evidence.run),
        photos_section(evidence.run),
        learning_section(evidence.run),
        time_section(evidence),
        job_section(evidence, price),
    ]
    if evidence.endpoint:
        sections = [endpoint_section(evidence.endpoint)] if alone else [*sections, endpoint_section(evidence.endpoint)]
    return Report(
        title=f"Report on {one_line(name)}",
        source=one_line(source),
        made=now(),
        program=__version__,
        headline=headline(evidence, judged),
        judged=judged,
        sections=tuple(sections),
        missing=(*missing, *(evidence.endpoint.missing if evidence.endpoint else ())),
        photos=evidence.run.photos if evidence.run else Photos(),
    )


def now() -> str:
    """Return the date and the time of day in UTC, as shown on the page."""
    return f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC"


def headline(evidence: Evidence, judged: tuple[Judged, ...]) -> str:
    """Return the verdict in a few sentences: how good the model is, how it is served, and the worst finding."""
    said = []
    results = {split.name: split.result for split in evidence.run.splits if split.result} if evidence.run else {}
    result = results.get("test") or results.get("validation") or next(iter(results.values()), None)
    if result:
        said.append(f"{100 * result.accuracy:.1f} % of the {result.split} photos are predicted rightly.")
    elif evidence.run and not evidence.run.finished:
        said.append("The job did not record its end.")
    if evidence.job and evidence.job.status != "Completed":
        reason = f": {evidence.job.reason.rstrip('.')}" if evidence.job.reason else ""
        said.append(f"The {evidence.job.kind} is {evidence.job.status}{reason}.")
    if evidence.endpoint:
        said.append(endpoint_words(evidence.endpoint))
    found = [one for one in judged if one.ours.state == "triggered"]
    checked = sum(one.ours.state != "not judged" for one in judged)
    if found:
        find = "finds" if len(found) == 1 else "find"
        said.append(f"{len(found)} of {checked} rules {find} something; the worst: {found[0].about}{_spent(found[0])}.")
    elif checked == 1:
        said.append("The one rule that could be judged finds nothing.")
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
    """Write the report on a folder to `out` (default: report.html in the folder), and the JSON file beside it."""
    page = out or (folder if folder.is_dir() else folder.parent) / "report.html"
    check_page(page)
    return save(make(folder, price), page)


def check_page(page: Path) -> None:
    """Raise DataError if the page or the JSON file beside it would replace a file that is not a report's.

    For example `--out run/model/model.html` would overwrite the model's model.json.
    """
    facts = page.with_suffix(".json")
    for path in (page, facts):
        if path.exists() and not path.is_file():
            raise DataError(f"{one_line(path)} is not a file; name a file that ends in .html")
    if facts == page:
        raise DataError(
            f"{one_line(page)} cannot be the page, because the JSON file beside it would have the same name; name a file that "
            "ends in .html"
        )
    if facts.exists() and facts.read_bytes()[: len(FACTS)] not in (b"", FACTS):
        raise DataError(
            f"{one_line(facts)} is not the JSON file of a report, and writing {one_line(page)} would overwrite it; name another page"
        )


def save(report: Report, page: Path) -> Written:
    """Write a report as a page, and the JSON file beside it. If the disk is full, an earlier report stays as it was."""
    facts = page.with_suffix(".json")
    page.parent.mkdir(parents=True, exist_ok=True)
    texts = {page: html(report), facts: json_text(report)}
    halves = {path: path.resolve().with_name(f".byoc-{os.getpid()}{path.suffix}.part") for path in texts}
    try:
        for path, text in texts.items():
            try:
                halves[path].write_text(text, encoding="utf-8")
            except OSError as error:
                raise OSError(error.errno, error.strerror, str(path)) from None  # with the name that the user knows
        for path, half in halves.items():
            half.replace(path.resolve())
    finally:
        for half in halves.values():
            half.unlink(missing_ok=True)
    return Written(page=page, facts=facts, report=report)
