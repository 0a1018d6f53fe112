"""A search chooses values within its ranges, learns from other searches, and stops jobs early."""

from typing import Any

import pytest

from local_test.sagemaker.tuning.early_stopping import worse_than_median
from local_test.sagemaker.tuning.plan import Plan
from local_test.sagemaker.tuning.search import Search


def search(strategy: str, ranges: dict[str, Any], **config: Any) -> Search:
    plan = Plan.of(
        {
            "HyperParameterTuningJobConfig": {
                "Strategy": strategy,
                "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "objective"},
                "ResourceLimits": {"MaxNumberOfTrainingJobs": 20, "MaxParallelTrainingJobs": 1},
                "ParameterRanges": ranges,
                "RandomSeed": 1,
                **config,
            },
            "TrainingJobDefinition": {"AlgorithmSpecification": {}},
        }
    )
    return Search(plan, plan.parts[0])


def number(name: str, low: str, high: str, scaling: str = "Auto") -> dict[str, str]:
    return {"Name": name, "MinValue": low, "MaxValue": high, "ScalingType": scaling}


def test_hyperband_gives_poor_jobs_fewer_epochs_than_good_ones() -> None:
    ranges = {"ContinuousParameterRanges": [number("x", "0", "1")]}
    resources = {"HyperbandStrategyConfig": {"MinResource": 2, "MaxResource": 9}}
    found = search("Hyperband", ranges, StrategyConfig=resources)
    epochs = {}
    for _ in range(20):
        trial = found.ask()
        value = float(trial.chosen["x"])
        last = next((epoch for epoch in range(1, 10) if found.report(trial, value)), None)
        epochs[value] = last or 9
        found.tell(trial, value, completed=last is None)
    assert epochs[max(epochs)] == 9
    assert min(epochs.values()) == 2  # the smallest number of epochs that a job gets
    stopped = [value for value, last in epochs.items() if last < 9]
    assert sum(stopped) / len(stopped) < sum(epochs) / len(epochs)


@pytest.mark.parametrize("strategy", ["Bayesian", "Random"])
def test_values_are_texts_within_their_ranges_on_every_scale(strategy: str) -> None:
    continuous = [number("log", "0.001", "0.1", "Logarithmic"), number("reverse", "0.9", "0.999", "ReverseLogarithmic")]
    found = search(
        strategy, {"ContinuousParameterRanges": continuous, "IntegerParameterRanges": [number("whole", "-3", "3")]}
    )
    for _ in range(15):
        trial = found.ask()
        assert 0.001 <= float(trial.chosen["log"]) <= 0.1
        assert 0.9 <= float(trial.chosen["reverse"]) <= 0.999
        assert int(trial.chosen["whole"]) in range(-3, 4)
        found.tell(trial, 1.0, completed=True)


def test_a_bayesian_search_that_knows_good_values_chooses_near_them() -> None:
    ranges = {"ContinuousParameterRanges": [number("x", "0", "1")]}
    warm, cold = search("Bayesian", ranges), search("Bayesian", ranges)
    for step in range(30):
        x = step / 30
        warm.learn({"x": str(x)}, -abs(x - 0.8))
    warm.learn({"x": "7"}, 1.0)  # values outside of the range are ignored
    assert abs(float(warm.ask().chosen["x"]) - 0.8) < 0.2
    assert abs(float(cold.ask().chosen["x"]) - 0.8) > 0.2


def test_a_job_is_compared_with_running_averages_up_to_its_epoch() -> None:
    completed = [[0.2, 0.6], [0.4, 0.8], [0.9]]  # averages after two epochs: 0.4 and 0.6
    assert worse_than_median([0.9, 0.49], completed, maximize=True)
    assert not worse_than_median([0.1, 0.51], completed, maximize=True)
    assert worse_than_median([0.1, 0.51], completed, maximize=False)
    assert not worse_than_median([0.1, 0.1, 0.1], completed, maximize=True)  # no completed job has a third epoch
