"""What a rule says: a state, a sentence with the numbers it rests on, and what to change."""

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
    """Everything that rules look at."""

    run: Run | None
    profile: Profile | None
    job: SageMakerJob | None = None
    endpoint: Endpoint | None = None
    other: Run | None = None  # where two runs are compared


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The answer of one rule under one set of thresholds."""

    state: State
    sentence: str
    points: int  # measurements that the verdict rests on, or that were too few for one
    advice: str = ""  # of a triggered rule: what to change
    loss: float = (
        0.0  # of a triggered rule: the share of the run that it spoils, from 0 to 1; findings are sorted by it
    )
    episodes: int = 0  # of a triggered rule: connected stretches, not scans
    seconds: float | None = None  # of a triggered rule: the time that was lost, where the rule itself knows it


def triggered(
    sentence: str, points: int, *, advice: str, loss: float, episodes: int = 1, seconds: float | None = None
) -> Verdict:
    """Return the verdict of a rule that found what it looks for."""
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
    """Return the verdict of a rule that lacks records."""
    return Verdict(state="not judged", sentence=reason, points=points)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the worst of several stages', hosts' or splits' verdicts: triggered before quiet before not judged."""
    order = {"triggered": 0, "quiet": 1, "not judged": 2}
    return min(verdicts, key=lambda verdict: (order[verdict.state], -verdict.loss))


def stretches(places: Iterable[int]) -> int:
    """Return into how many connected stretches ascending places fall: 3, 4, 5, 9 are two."""
    count, before = 0, None
    for place in places:
        count += before is None or place > before + 1
        before = place
    return count
