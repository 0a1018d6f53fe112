"""Builds the section "Job": program, settings, data, versions and cost of the job, and the files that were read."""

import datetime

from reports.page.described import described_facts, described_tables
from reports.page.document import Column, Section, Table, table_of
from reports.page.numbers import cost
from reports.rules.cost import Cost, Price, job_cost
from reports.rules.verdict import Evidence
from reports.system import Profile

UNREADABLE = 200  # at most this many photos are listed


def job_section(evidence: Evidence, price: Price | None) -> Section:
    """Return the section on the job itself, with SageMaker's description of it."""
    run, profile, described = evidence.run, evidence.profile, evidence.job
    facts, tables, notes = list[tuple[str, str]](), list[Table](), tuple[str, ...]()
    if described:
        facts += described_facts(described)
        tables += described_tables(described, hyperparameters=run is None or run.job is None)
    if run:
        facts.append(("Records", run.source))
        facts.append(("Ended", "yes" if run.finished else "no record of an end"))
    if run and run.job:
        job, notes = run.job, run.job.notes
        if job.started:
            facts.append(("Started", moment(job.started)))
        facts.append(("Program", job.program or "not recorded"))
        facts.append(("Classes", f"{len(job.classes):,}"))
        photos = ", ".join(f"{count:,} {split}" for split, count in job.photos.items())
        facts.append(("Photos", photos or "not recorded"))
        facts.append(("Processes", str(job.processes or "not recorded")))
        tables.append(
            table_of(
                "Hyperparameters",
                (Column(name="name"), Column(name="value")),
                [[name, str(value)] for name, value in job.hyperparameters.items()],
            )
        )
        tables.append(
            table_of("Versions", (Column(name="library"), Column(name="version")), list(job.libraries.items()))
        )
    if run and run.unreadable:
        facts.append(("Photos left out", f"{len(run.unreadable):,}"))
        columns = (Column(name="photo"), Column(name="reason"))
        tables.append(table_of("Photos that could not be read", columns, run.unreadable[:UNREADABLE]))
    # SageMaker's description holds the billed cost.
    facts += [] if described else _cost(job_cost(evidence, price), price)
    # Without profiler output, `profile` holds our own records of the machines, whose source is shown already.
    if profile and not (run and profile.source == run.source):
        facts.append(("Profiler output", f"{profile.source} ({profile.files:,} files)"))
    if profile and profile.verdicts:
        tables.append(_platform(profile))
    missing = [] if run and run.job else ["No file that was read holds hyperparameters, data and versions."]
    missing += [] if price or described else [NO_PRICE]
    return Section(
        id="job",
        title="Job",
        facts=tuple(facts),
        tables=tuple(table for table in tables if table.rows),
        notes=notes,
        missing=tuple(missing),
    )


NO_PRICE = (
    "The cost of the job is not known. Give the price of one instance's hour with --price 0.736; byoc report JOB shows the cost of a job "
    "on SageMaker."
)


def _cost(whole: Cost | None, price: Price | None) -> list[tuple[str, str]]:
    if whole is None or price is None:
        return []
    kind = f" of {price.instance_type}" if price.instance_type else ""
    return [("Cost", f"about {cost(whole)}, at {price.hour:g} {price.currency} an hour{kind} ({price.source})")]


def moment(time: float) -> str:
    """Return a time, in seconds since 1970, as date and time of day in UTC."""
    try:
        return f"{datetime.datetime.fromtimestamp(time, datetime.UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (OverflowError, ValueError, OSError):
        return "not a date"


def _platform(profile: Profile) -> Table:
    return table_of(
        "SageMaker's own verdicts",
        (
            Column(name="rule"),
            Column(name="scans that triggered", form="number"),
            Column(name="violations", form="number"),
            Column(name="points", form="number"),
            Column(name="parameters"),
        ),
        [
            [
                one.rule,
                one.triggered,
                one.violations,
                one.points,
                ", ".join(f"{name} {value}" for name, value in one.parameters.items()),
            ]
            for one in profile.verdicts
        ],
    )
