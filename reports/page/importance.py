"""Draws the influence of each hyperparameter: Spearman's rank correlation with the validation accuracy, and its 95 % interval."""

from collections.abc import Sequence

import numpy as np

from reports.facts import Trial
from reports.page.document import Chart, Column, Line, table_of
from reports.page.numbers import plain
from reports.system import Numbers

FEWEST = 10  # number of trials at least; a correlation over fewer trials means almost nothing
SAMPLES = 500  # number of bootstrap samples


def importance_chart(trials: Sequence[Trial]) -> Chart | None:
    """Return the chart; None with fewer than FEWEST trials, or if no numeric hyperparameter varies."""
    done = [trial for trial in trials if trial.accuracy is not None]
    if len(done) < FEWEST:
        return None
    accuracy = np.array([trial.accuracy for trial in done], dtype=np.float64)
    found = []
    for name in dict.fromkeys(name for trial in done for name in trial.hyperparameters):
        held = [trial.hyperparameters.get(name) for trial in done]
        numbers = [float(value) for value in held if isinstance(value, int | float)]
        if len(numbers) == len(done) and len(set(numbers)) > 1 and np.ptp(accuracy) > 0:
            found.append((name, *correlation(np.array(numbers), accuracy)))
    if not found:
        return None
    found.sort(key=lambda item: -abs(item[1]))
    name, rho, low, high = found[0]
    sure = (
        ""
        if low > 0 or high < 0
        else " The interval contains 0: the trials do not show that this hyperparameter matters."
    )
    return Chart(
        id="importance",
        kind="interval",
        title="Which hyperparameter matters",
        sentence=f"{name} correlates most with the accuracy: Spearman's rank correlation {rho:.2f} over {len(done)} trials (95 % "
        f"interval from {SAMPLES} bootstrap samples: {low:.2f} to {high:.2f}).{sure} 1: more is better, -1: less is better. This method "
        "does not find a best value in the middle of a range.",
        x=tuple(item[0] for item in found),
        x_name="rank correlation with validation accuracy",
        lines=(
            Line(
                name="correlation",
                values=tuple(plain(item[1]) for item in found),
                low=tuple(plain(item[2]) for item in found),
                high=tuple(plain(item[3]) for item in found),
            ),
        ),
        table=table_of(
            "Which hyperparameter matters",
            (
                Column(name="hyperparameter"),
                *(Column(name=one, form="number") for one in ("correlation", "from", "to")),
            ),
            [[label, plain(a), plain(b), plain(c)] for label, a, b, c in found],
        ),
    )


def correlation(values: Numbers, outcome: Numbers) -> tuple[float, float, float]:
    """Return Spearman's rank correlation of two lists, and the ends of its 95 % bootstrap interval by the percentile method."""
    chance = np.random.default_rng(0)  # a fixed seed, so that the same trials give the same interval
    places = chance.integers(0, len(values), (SAMPLES, len(values)))
    drawn = np.array([_spearman(values[place], outcome[place]) for place in places])
    low, high = np.percentile(drawn, (2.5, 97.5))
    return _spearman(values, outcome), float(low), float(high)


def _spearman(values: Numbers, outcome: Numbers) -> float:
    first, second = _ranks(values), _ranks(outcome)
    spread = float(first.std() * second.std())
    return float(((first - first.mean()) * (second - second.mean())).mean()) / spread if spread > 0 else 0.0


def _ranks(values: Numbers) -> Numbers:
    """Return the rank of each value. Equal values get the mean of their ranks."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2)[place])
