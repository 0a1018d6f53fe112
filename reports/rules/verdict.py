"""The verdict of a rule: a state, a sentence with the measured numbers, and advice. Also the evidence that rules judge."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from reports.facts import Run
from reports.sagemaker_job import SageMakerJob
from reports.sources.endpoint import Endpoint
from reports.system import Profile

State = Literal["triggered", "quiet", "not judged"]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Everything that rules judge. None means that there are no such data."""

    run: Run | None
    profile: Profile | None
    job: SageMakerJob | None = None
    endpoint: Endpoint | None = None
    other: Run | None = None  # the second run of a comparison


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The answer of one rule under one set of thresholds."""

    state: State
    sentence: str
    points: int  # number of measurements that were judged, or that were too few to be judged
    advice: str = ""  # what the user should change; for a triggered rule only
    loss: float = (
        0.0  # for a triggered rule: share of the run that the problem affects, from 0 to 1; sorts the findings
    )
    episodes: int = 0  # for a triggered rule: number of separate stretches of the run with the problem
    seconds: float | None = None  # for a triggered rule: the lost time, if the rule itself computes it


def triggered(
    sentence: str, points: int, *, advice: str, loss: float, episodes: int = 1, seconds: float | None = None
) -> Verdict:
    """Return the verdict of a rule that found its problem. `loss` is limited to the range from 0 to 1."""
    share = min(max(loss, 0.0), 1.0) if math.isfinite(loss) else 1.0
    return Verdict(
        state="triggered",
        sentence=sentence,
        points=points,
        advice=advice,
        loss=share,
        episodes=max(episodes, 1),
        seconds=seconds,
    )


def quiet(sentence: str, points: int) -> Verdict:
    """Return the verdict of a rule that found nothing."""
    return Verdict(state="quiet", sentence=sentence, points=points)


def not_judged(reason: str, points: int = 0) -> Verdict:
    """Return the verdict of a rule that has too few records to judge."""
    return Verdict(state="not judged", sentence=reason, points=points)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the worst of several verdicts: triggered before quiet before not judged, then the larger loss."""
    order = {"triggered": 0, "quiet": 1, "not judged": 2}
    return min(verdicts, key=lambda verdict: (order[verdict.state], -verdict.loss))


def stretches(places: Iterable[int]) -> int:
    """Return the number of stretches of consecutive numbers among ascending `places`: 3, 4, 5, 9 are two stretches."""
    count, before = 0, None
    for place in places:
        count += before is None or place > before + 1
        before = place
    return count
