"""Compares two runs: which is better and how certain that is, the curves of both in one chart, and how the runs differ."""

from pathlib import Path

from classifier import __version__
from classifier.errors import DataError
from classifier.names import one_line
from reports.page.compare import Side, apart, results, sentence
from reports.page.compare_curves import curves
from reports.page.compare_reasons import findings, times, what_differs
from reports.page.document import Report
from reports.photos.facts import Photos
from reports.report import Written, now, read, save
from reports.rules.table import RULES_ACROSS, judge
from reports.rules.verdict import Evidence


def write_comparison(first: Path, second: Path, out: Path | None = None) -> Written:
    """Write the page that compares two runs to `out` (default: compare.html in the second folder), and the JSON file beside it.

    Raises DataError if a folder holds no training run.
    """
    page = out or (second if second.is_dir() else second.parent) / "compare.html"
    return save(compare(first, second), page)


def compare(first: Path, second: Path) -> Report:
    """Return the report that compares two runs. A tuning run or a search is compared by its best trial."""
    missing = list[str]()
    sides = []
    for folder, label in zip((first, second), _labels(first, second), strict=True):
        evidence, lacking = read(folder)
        if evidence.run is None:
            raise DataError(
                f"{one_line(folder)} holds no records of a training run; two runs are compared by their records, "
                "not by profiler output alone"
            )
        missing += [f"{label}: {one}" for one in lacking]
        sides.append(Side(label=label, run=evidence.run, judged=judge(evidence)))
    one, other = sides
    return Report(
        title=f"{one.label} against {other.label}",
        source=f"{one_line(first)} and {one_line(second)}",
        made=now(),
        program=__version__,
        headline=_headline(one, other),
        judged=judge(Evidence(run=one.run, profile=None, other=other.run), RULES_ACROSS),
        sections=(
            results(one, other),
            curves(sides),
            findings(one, other),
            what_differs(one, other),
            times(one, other),
        ),
        missing=tuple(missing),
        photos=Photos(),
    )


def _labels(first: Path, second: Path) -> tuple[str, str]:
    """Return a short name for each run: the last folders of its path, just enough for the two names to differ."""
    one, other = first.resolve().parts, second.resolve().parts
    length = next((n for n in range(1, max(len(one), len(other)) + 1) if one[-n:] != other[-n:]), 1)
    names = [one_line("/".join(parts[-length:])) for parts in (one, other)]
    return (names[0], names[1]) if names[0] != names[1] else (f"{names[0]} (first)", f"{names[1]} (second)")


def _headline(one: Side, other: Side) -> str:
    held = apart(one.run, other.run)
    return sentence(held[0], one, other) if held else "The two runs were not judged on a split of the same name."
