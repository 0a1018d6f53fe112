"""Builds the sections on why two runs differ: the findings of each run, the settings that differ, and where the time went."""

from collections.abc import Mapping

from reports.facts import Job
from reports.page.compare import Side
from reports.page.document import Cell, Column, Form, Section, table_of
from reports.page.numbers import seconds
from reports.rules.across import different, settings


def findings(first: Side, second: Side) -> Section:
    """Return the section with the findings of each run."""
    rows: list[list[Cell]] = []
    others = {one.rule: one for one in second.judged}
    for one in first.judged:
        other = others[one.rule]
        if "triggered" in (one.ours.state, other.ours.state):
            rows.append([one.rule, one.about, *(f"{side.ours.state}: {side.ours.sentence}" for side in (one, other))])
    columns = [Column(name=name) for name in ("rule", "finds", first.label, second.label)]
    table = table_of("Rules that find something in one of the runs", columns, rows)
    missing = () if rows else ("No rule finds anything in either run.",)
    return Section(id="each", title="Findings of each run", tables=(table,) if rows else (), missing=missing)


def what_differs(first: Side, second: Side) -> Section:
    """Return the section on the hyperparameters, data and versions that differ."""
    one, other = first.run.job, second.run.job
    if one is None or other is None:
        return Section(
            id="differs", title="What differs", missing=("Settings and data of one of the runs are not known.",)
        )
    held, others = settings(first.run), settings(second.run)
    hyperparameters = _rows(held, others)
    data = [(f"photos of {split}", a, b) for split, a, b in _rows(one.photos, other.photos)]
    if one.classes != other.classes:
        data.append(("classes that the other lacks", _lacking(one, other), _lacking(other, one)))
    versions = _rows(
        {"byoc-classifier": one.program, **one.libraries}, {"byoc-classifier": other.program, **other.libraries}
    )
    groups = {"Hyperparameters": hyperparameters, "Data": data, "Versions": versions}
    columns = [Column(name=name) for name in ("name", first.label, second.label)]
    same = ", ".join(name.lower() for name, rows in groups.items() if not rows)
    return Section(
        id="differs",
        title="What differs",
        facts=(
            ("The same in both", same or "neither hyperparameters nor data nor versions"),
            ("Hyperparameters that are the same", f"{len(held.keys() | others.keys()) - len(hyperparameters)}"),
        ),
        tables=tuple(table_of(f"{name} that differ", columns, rows) for name, rows in groups.items() if rows),
    )


def _rows(one: Mapping[str, object], other: Mapping[str, object]) -> list[tuple[str, str, str]]:
    """Return name, first value and second value of each setting that differs."""
    return [(name, _said(one.get(name)), _said(other.get(name))) for name in different(one, other)]


def _said(value: object) -> str:
    return "not given" if value is None else str(value)


def _lacking(one: Job, other: Job) -> str:
    known = set(other.classes)
    return ", ".join(name for name in one.classes if name not in known) or "none; the order differs"


def times(first: Side, second: Side) -> Section:
    """Return the section on where the time of each run went."""
    parts: list[list[Cell]] = []
    for name in dict.fromkeys([*first.run.part_seconds, *second.run.part_seconds]):
        a, b = first.run.part_seconds.get(name), second.run.part_seconds.get(name)
        parts.append([name, a, b, None if a is None or b is None else b - a])
    form: Form = "seconds"
    columns = [
        Column(name="part"),
        *(Column(name=name, form=form) for name in (first.label, second.label, "difference")),
    ]
    facts = []
    for side in (first, second):
        total = side.run.part_seconds.get("total")
        stepping = sum(epoch.seconds or 0 for epoch in side.run.epochs)
        said = f"{seconds(total)} in all, " if total else ""
        facts.append((side.label, f"{said}{seconds(stepping)} in the steps of {len(side.run.epochs)} epochs"))
        if side.run.peak_memory_bytes:
            facts.append((f"{side.label}, most memory", f"{side.run.peak_memory_bytes / 1e9:.2f} GB"))
    missing = () if parts else ("Neither run recorded its parts.",)
    tables = (table_of("Parts of the jobs", columns, parts),) if parts else ()
    return Section(id="time", title="Time", facts=tuple(facts), tables=tables, missing=missing)
