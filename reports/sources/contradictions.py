"""Finds records that hold the same fact with different values: one of them is damaged, or belongs to another job."""

from collections.abc import Mapping

from reports.facts import Result
from reports.sources.kinds import Matrix

ROUNDING = 0.001  # tolerance of a share, and of the seconds of a job as a share


def contradictions(
    results: Mapping[str, Result], confusions: Mapping[str, Matrix], part_seconds: Mapping[str, float]
) -> list[str]:
    """Return a sentence for each pair of numbers that should be equal and are not.

    The keys of `results` and `confusions` are splits. `part_seconds` holds the seconds of each part of the job; `total` is the whole.
    """
    said = []
    for split, result in results.items():
        matrix = confusions.get(split, ())
        photos = sum(map(sum, matrix))
        right = sum(row[place] for place, row in enumerate(matrix))
        if photos and (photos != result.count or abs(right / photos - result.accuracy) > ROUNDING):
            said.append(
                f"The records of {split} contradict each other: its result has an accuracy of {100 * result.accuracy:.1f} % of "
                f"{result.count:,} photos, its confusion matrix {100 * right / photos:.1f} % of {photos:,}. One is damaged."
            )
    total = part_seconds.get("total")
    parts = sum(seconds for name, seconds in part_seconds.items() if name != "total")
    if total is not None and parts > total * (1 + ROUNDING) + 1:
        said.append(
            f"The parts of the job took {parts:,.0f} seconds together, but the whole job {total:,.0f}: one of them is wrong."
        )
    return said
