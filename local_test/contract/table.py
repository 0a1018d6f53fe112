"""Shows results as a table: in the terminal after a run, and as Markdown with several images side by side.

python -m local_test.contract.table --out PAGE.md --head HEAD.md Training:ours=runs/a.json Training:stock=runs/b.json
"""

import argparse
import dataclasses
import json
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

NOT_RUN = "not run"


@dataclasses.dataclass(frozen=True)
class Row:
    """One clause and its result: `pass`, `FAIL` or `not claimed`."""

    test: str
    module: str
    clause: str
    source: str
    result: str
    seen: str

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def text_table(rows: Sequence[Row]) -> str:
    """Return the table of one run for a terminal, with a count at its end."""
    lines = []
    for row in rows:
        lines += textwrap.wrap(f"{row.result:<12}{row.clause}", 118, subsequent_indent=" " * 12)
        seen = row.seen.encode("ascii", "backslashreplace").decode()
        lines += textwrap.wrap(seen, 100, initial_indent=" " * 12 + "seen: ", subsequent_indent=" " * 18)
    return "\n".join([*lines, summary(rows)])


def summary(rows: Sequence[Row]) -> str:
    """Return the count of each result."""
    counts = {name: sum(row.result == name for row in rows) for name in ("pass", "FAIL", "not claimed")}
    return f"{len(rows)} clauses: {counts['pass']} pass, {counts['FAIL']} fail, {counts['not claimed']} not claimed"


def read(path: Path) -> list[Row]:
    """Return the rows that a run wrote."""
    return [Row(**row) for row in json.loads(path.read_text())]


def markdown(runs: Mapping[str, Sequence[Row]]) -> str:
    """Return one table for runs of the same clauses, with a column for each run. Below it are the observations about failures."""
    by_test = {name: {row.test: row for row in rows} for name, rows in runs.items()}
    clauses = {row.test: row for rows in runs.values() for row in rows}
    lines = ["| clause | says | " + " | ".join(runs) + " |", "| --- " * (2 + len(runs)) + "|"]
    for test, row in clauses.items():
        results = [found[test].result if test in found else NOT_RUN for found in by_test.values()]
        lines.append(f"| {_cell(row.clause)} | {_cell(row.source)} | " + " | ".join(results) + " |")
    for name, rows in runs.items():
        lines += ["", f"**{name}**, {summary(rows)}{_what_was_seen(rows)}"]
    return "\n".join(lines).rstrip()


def _what_was_seen(rows: Sequence[Row]) -> str:
    failures = [f"- *{_cell(row.clause)}*: {_cell(row.seen)}" for row in rows if row.result == "FAIL"]
    return "\n".join(["; the failures show:", "", *failures]) if failures else "."


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").replace("*/*", r"\*/\*").split())


def main() -> None:
    """Write a page with one table for each kind of image."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--head", type=Path, required=True, help="Markdown file that begins the page")
    parser.add_argument("runs", nargs="+", help="KIND:NAME=results.json")
    options = parser.parse_args()
    kinds: dict[str, dict[str, list[Row]]] = {}
    for run in options.runs:
        label, _, path = run.partition("=")
        kind, _, name = label.partition(":")
        kinds.setdefault(kind, {})[name] = read(Path(path))
    parts = [options.head.read_text().rstrip(), *(f"## {kind}\n\n{markdown(runs)}" for kind, runs in kinds.items())]
    options.out.write_text("\n\n".join(parts) + "\n")


if __name__ == "__main__":
    main()
