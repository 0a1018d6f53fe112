"""The sections of a page on two runs that say why they differ: findings of each, what differs, and time."""

from reports.page.compare import Side
from reports.page.document import Cell, Column, Form, Section, Table, table_of
from reports.page.numbers import seconds
from reports.rules.across import different, settings


def findings(first: Side, second: Side) -> Section:
    """Return the section with each run's own findings."""
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
    """Return the section on the hyperparameters, data and versions that are not the same."""
    one, other = first.run.job, second.run.job
    if one is None or other is None:
        return Section(
            id="differs", title="What differs", missing=("Settings and data of one of the runs are not known.",)
        )
    held, others = settings(first.run), settings(second.run)
    names = different(held, others)
    tables = [
        _pairs(
            "Hyperparameters that differ",
            first,
            second,
            [[name, _said(held, name), _said(others, name)] for name in names],
        ),
        _pairs(
            "Data that differ",
            first,
            second,
            [
                [f"photos of {split}", one.photos.get(split), other.photos.get(split)]
                for split in different(one.photos, other.photos)
            ]
            + [["classes that the other lacks", *_classes_apart(one.classes, other.classes)]]
            * (one.classes != other.classes),
        ),
        _pairs(
            "Versions that differ",
            first,
            second,
            [["byoc-classifier", one.program, other.program]] * (one.program != other.program)
            + [
                [name, one.libraries.get(name), other.libraries.get(name)]
                for name in different(one.libraries, other.libraries)
            ],
        ),
    ]
    same = [table.title.removesuffix(" that differ").lower() for table in tables if not table.rows]
    facts = [("The same in both", ", ".join(same))] if same else []
    facts.append(("Hyperparameters that are the same", f"{len(held.keys() | others.keys()) - len(names)}"))
    return Section(
        id="differs", title="What differs", facts=tuple(facts), tables=tuple(table for table in tables if table.rows)
    )


def _said(held: object, name: str) -> str:
    value = held.get(name) if isinstance(held, dict) else None
    return "not given" if value is None else str(value)


def _classes_apart(one: tuple[str, ...], other: tuple[str, ...]) -> list[Cell]:
    lacking = [[name for name in mine if name not in set(theirs)] for mine, theirs in ((one, other), (other, one))]
    return [", ".join(names) or "none; their order differs" for names in lacking]


def _pairs(title: str, first: Side, second: Side, rows: list[list[Cell]]) -> Table:
    shown = [[row[0], *("-" if cell is None else str(cell) for cell in row[1:])] for row in rows]
    return table_of(title, [Column(name=name) for name in ("name", first.label, second.label)], shown)


def times(first: Side, second: Side) -> Section:
    """Return the section on where the time of the two went."""
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
        facts.append((side.label, f"{said}{seconds(stepping)} in steps of {len(side.run.epochs)} epochs"))
        if side.run.peak_memory_bytes:
            facts.append((f"{side.label}, most memory", f"{side.run.peak_memory_bytes / 1e9:.2f} GB"))
    missing = () if parts else ("Neither run recorded its parts.",)
    tables = (table_of("Parts of the jobs", columns, parts),) if parts else ()
    return Section(id="time", title="Time", facts=tuple(facts), tables=tables, missing=missing)
