"""Trials of a search: which hyperparameter matters most, by one named method with its spread, and only from enough trials."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from reports.page.document import Chart
from reports.page.importance import correlation
from reports.report import make
from tests.reports.made import healthy, job, record, write


def charts(folder: Path, count: int, **fixed: float) -> dict[str, Chart]:
    chance = np.random.default_rng(3)
    trials = [
        record(
            "trial",
            number=number,
            hyperparameters={"lr": float(10 ** chance.uniform(-4, 0)), "batch-size": int(chance.integers(8, 256))}
            | fixed,
            seconds=2.0,
        )
        for number in range(1, count + 1)
    ]
    for trial in trials:
        trial["validation_accuracy"] = 0.9 + 0.1 * np.log10(trial["hyperparameters"]["lr"]) + chance.normal(0, 0.01)
        trial["validation_loss"] = 0.5
    report = make(write(folder, [*healthy(), *trials]))
    return {chart.id: chart for section in report.sections for chart in section.charts}


def test_the_hyperparameter_that_decides_is_first_and_the_other_holds_nothing(tmp_path: Path) -> None:
    chart = charts(tmp_path, 40)["importance"]
    assert chart.x == ("lr", "batch-size")
    (line,) = chart.lines
    assert line.values[0] is not None and line.values[0] > 0.9 and line.low[0] is not None and line.low[0] > 0.8
    assert line.low[1] is not None and line.high[1] is not None and line.low[1] < 0 < line.high[1]
    assert chart.sentence.startswith("lr correlates most with the accuracy: Spearman's rank correlation 0.9")


def test_nine_trials_are_too_few_and_ten_are_enough(tmp_path: Path) -> None:
    assert "importance" not in charts(tmp_path / "nine", 9)
    report = make(tmp_path / "nine")
    learning = next(section for section in report.sections if section.id == "learning")
    assert learning.missing == ("9 trials are too few to show which hyperparameter matters; 10 are needed.",)
    assert "importance" in charts(tmp_path / "ten", 10)


def test_a_hyperparameter_that_never_varies_is_left_out(tmp_path: Path) -> None:
    assert charts(tmp_path, 12, epochs=5)["importance"].x == ("lr", "batch-size")


def test_the_correlation_is_that_of_ranks_with_ties_shared() -> None:
    values = np.array([1.0, 2.0, 2.0, 4.0, 50.0, 6.0, 7.0, 8.0, 9.0, 10.0])
    rho, low, high = correlation(values, values**3)
    assert rho == pytest.approx(1) and high == pytest.approx(1) and low > 0.9
    tied, other = np.array([1.0, 2, 2, 4, 3, 2]), np.array([4.0, 1, 3, 2, 2, 9])
    assert correlation(tied, other)[0] == pytest.approx(spearmanr(tied, other).statistic)


@pytest.mark.parametrize(("optimizer", "kept"), [("lbfgs", 2), ("adam", 1)])
def test_the_best_trial_of_lbfgs_is_the_one_of_the_lowest_loss(tmp_path: Path, optimizer: str, kept: int) -> None:
    tried = [(1, 0.1, 0.9, 0.5), (2, 0.01, 0.8, 0.4), (3, 0.001, None, None)]
    trials = [
        record(
            "trial",
            number=number,
            hyperparameters={"weight-decay": value},
            validation_accuracy=accuracy,
            validation_loss=loss,
            seconds=1.0,
        )
        for number, value, accuracy, loss in tried
    ]
    report = make(write(tmp_path, [job(hyperparameters={"optimizer": optimizer}), *trials]))
    found = next(chart for section in report.sections for chart in section.charts if chart.id == "trials")
    assert f"the best is trial {kept} with weight-decay {tried[kept - 1][1]:g}" in found.sentence
