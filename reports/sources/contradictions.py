"""Records that say the same thing twice, and differ: one of the two is damaged, or of another job."""

from collections.abc import Mapping

from reports.facts import Result
from reports.sources.kinds import Matrix

ROUNDING = 0.001  # of a share, or of the seconds of a job


def contradictions(
    results: Mapping[str, Result], confusions: Mapping[str, Matrix], part_seconds: Mapping[str, float]
) -> list[str]:
    """Return a sentence for each two numbers that should be the same and are not.

    The first two are by split; `part_seconds` are those of the parts of the job, and of all as `total`.
    """
    said = []
    for split, result in results.items():
        matrix = confusions.get(split, ())
        photos = sum(map(sum, matrix))
        right = sum(row[place] for place, row in enumerate(matrix))
        if photos and (photos != result.count or abs(right / photos - result.accuracy) > ROUNDING):
            said.append(
                f"The records of {split} contradict each other: its result has an accuracy of {100 * result.accuracy:.1f} % of "
                f"{result.count:,} photos, its confusion matrix {100 * right / photos:.1f} % of {photos:,}. One of them is damaged."
            )
    total = part_seconds.get("total")
    parts = sum(seconds for name, seconds in part_seconds.items() if name != "total")
    if total is not None and parts > total * (1 + ROUNDING) + 1:
        said.append(
            f"The parts of the job took {parts:,.0f} seconds together, and the whole job {total:,.0f}: one of these times is damaged."
        )
    return said
