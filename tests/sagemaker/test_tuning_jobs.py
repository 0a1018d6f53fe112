"""Tuning jobs through boto3: how they launch, judge, stop and end, with a program whose objective is its hyperparameter."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sagemaker.conftest import ROLE, Emulator, emulate, order, refusal

PROGRAMS = Path(__file__).parent / "tuned"
OBJECTIVE = {"Type": "Maximize", "MetricName": "objective"}
ENDS = ("Completed", "Failed", "Stopped")


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory, fake_keys: None) -> Iterator[Emulator]:
    """An emulator whose training image holds the program that prints its hyperparameter."""
    data = tmp_path_factory.mktemp("tuned") / "data"
    running = emulate(data, "--hold", "20", "--jobs", "2", "--programs", str(PROGRAMS))
    running.client("s3").create_bucket(Bucket="tuning")
    yield running
    assert running.end() == 130, running.output.read_text()
    assert not list((running.data / "work").iterdir()), "a finished program has left files"


@pytest.fixture(scope="module")
def sagemaker(tuned: Emulator) -> Any:
    return tuned.client("sagemaker")


def curves(*values: str) -> dict[str, Any]:
    return {"CategoricalParameterRanges": [{"Name": "curve", "Values": list(values)}]}


def definition(**changes: Any) -> dict[str, Any]:
    """Return a training job definition; `changes` replace its members, and None removes one."""
    members = {
        "AlgorithmSpecification": {
            "TrainingImage": "byoc-classifier-train",
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "objective", "Regex": "objective=(.*?);"}],
        },
        "RoleArn": ROLE,
        "OutputDataConfig": {"S3OutputPath": "s3://tuning/out"},
        "HyperParameterTuningResourceConfig": {
            "InstanceConfigs": [{"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}]
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
    } | changes
    return {name: value for name, value in members.items() if value is not None}


def create(sagemaker: Any, name: str, ranges: dict[str, Any], **changes: Any) -> str:
    """Create a tuning job; `changes` are members of its configuration, or `request` and `definition`."""
    request, of_definition = changes.pop("request", {}), changes.pop("definition", {})
    config = {
        "Strategy": "Grid",
        "HyperParameterTuningJobObjective": OBJECTIVE,
        "ResourceLimits": {"MaxParallelTrainingJobs": 1},
        "ParameterRanges": ranges,
    } | changes
    sagemaker.create_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=name,
        HyperParameterTuningJobConfig={key: value for key, value in config.items() if value is not None},
        **({"TrainingJobDefinition": definition(**of_definition)} | request),
    )
    return name


def ended(sagemaker: Any, name: str) -> dict[str, Any]:
    while True:
        answer: dict[str, Any] = sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
        if answer["HyperParameterTuningJobStatus"] in ENDS:
            return answer


def jobs(sagemaker: Any, name: str, **filters: Any) -> list[dict[str, Any]]:
    """Return the training jobs of a tuning job, over all pages."""
    found: list[dict[str, Any]] = []
    more: dict[str, Any] = {}
    while True:
        answer = sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(
            HyperParameterTuningJobName=name, **filters, **more
        )
        found += answer["TrainingJobSummaries"]
        if "NextToken" not in answer:
            return found
        more = {"NextToken": answer["NextToken"]}


def tried(found: list[dict[str, Any]]) -> list[str]:
    return [summary["TunedHyperParameters"]["curve"] for summary in found]


def test_a_fault_of_a_tuning_job_strikes_its_training_jobs(tuned: Emulator, sagemaker: Any) -> None:
    order(tuned, kind="no-capacity", target="struck", times=2)
    create(sagemaker, "struck", curves("0.1", "0.2", "0.3"))
    assert ended(sagemaker, "struck")["TrainingJobStatusCounters"]["NonRetryableError"] == 2
    found = jobs(sagemaker, "struck")
    assert sorted(summary["TrainingJobStatus"] for summary in found) == ["Completed", "Failed", "Failed"]
    assert [summary["FailureReason"][:13] for summary in found if "FailureReason" in summary] == ["CapacityError"] * 2


@pytest.fixture(scope="module")
def grid(sagemaker: Any) -> dict[str, Any]:
    """A tuning job of all combinations, run to its end."""
    tags = {
        "request": {"Tags": [{"Key": "team", "Value": "dogs"}]},
        "definition": {"StaticHyperParameters": {"a": "1"}},
    }
    limits = {"MaxParallelTrainingJobs": 2}
    create(sagemaker, "grid", curves("0.1 0.2", "0.9 0.3", "0.25", "!"), ResourceLimits=limits, **tags)
    return ended(sagemaker, "grid")


def test_a_grid_tries_every_combination_once_and_names_the_best(sagemaker: Any, grid: dict[str, Any]) -> None:
    assert grid["HyperParameterTuningJobStatus"] == "Completed"
    found = jobs(sagemaker, "grid")
    assert sorted(tried(found)) == ["!", "0.1 0.2", "0.25", "0.9 0.3"]
    assert all(re.fullmatch(r"grid-00[1-4]-[0-9a-f]{8}", summary["TrainingJobName"]) for summary in found)
    best = grid["BestTrainingJob"]
    assert best["TunedHyperParameters"] == {"curve": "0.9 0.3"}
    # The last value of the job, not its highest.
    assert best["FinalHyperParameterTuningJobObjectiveMetric"] == {**OBJECTIVE, "Value": 0.3}
    assert best["TuningJobName"] == "grid" and best["ObjectiveStatus"] == "Succeeded"
    assert "OverallBestTrainingJob" not in grid


def test_both_counters_say_what_the_training_jobs_came_to(grid: dict[str, Any]) -> None:
    assert grid["TrainingJobStatusCounters"] == {
        "Completed": 3,
        "InProgress": 0,
        "RetryableError": 0,
        "NonRetryableError": 1,
        "Stopped": 0,
    }
    assert grid["ObjectiveStatusCounters"] == {"Succeeded": 3, "Pending": 0, "Failed": 1}


def test_a_training_job_of_a_tuning_job_is_one_like_any_other(sagemaker: Any, grid: dict[str, Any]) -> None:
    job = sagemaker.describe_training_job(TrainingJobName=grid["BestTrainingJob"]["TrainingJobName"])
    assert job["TuningJobArn"] == grid["HyperParameterTuningJobArn"]
    assert job["HyperParameters"] == {"a": "1", "curve": "0.9 0.3", "_tuning_objective_metric": "objective"}
    assert job["ResourceConfig"] == {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
    assert job["ModelArtifacts"]["S3ModelArtifacts"].endswith(f"/{job['TrainingJobName']}/output/model.tar.gz")
    assert sagemaker.list_tags(ResourceArn=job["TrainingJobArn"])["Tags"] == [{"Key": "team", "Value": "dogs"}]


def test_describe_echoes_the_request_and_what_clients_read_without_default(grid: dict[str, Any]) -> None:
    static = grid["TrainingJobDefinition"]["StaticHyperParameters"]
    assert static == {"a": "1", "_tuning_objective_metric": "objective"}
    assert "ResourceConfig" not in grid["TrainingJobDefinition"]
    assert grid["HyperParameterTuningJobConfig"]["ResourceLimits"] == {"MaxParallelTrainingJobs": 2}
    took = grid["HyperParameterTuningEndTime"] - grid["CreationTime"]
    assert abs(grid["ConsumedResources"]["RuntimeInSeconds"] - took.total_seconds()) <= 0.5
    assert not [name for name in grid if name.startswith("_")]


def test_training_jobs_are_listed_by_objective_without_those_that_have_none(
    sagemaker: Any, grid: dict[str, Any]
) -> None:
    order = {"SortBy": "FinalObjectiveMetricValue", "SortOrder": "Descending", "MaxResults": 2}
    assert tried(jobs(sagemaker, "grid", **order)) == ["0.9 0.3", "0.25", "0.1 0.2"]
    [failed] = jobs(sagemaker, "grid", StatusEquals="Failed")
    assert "the curve says so" in failed["FailureReason"] and failed["ObjectiveStatus"] == "Failed"


def test_tuning_jobs_are_listed(sagemaker: Any, grid: dict[str, Any]) -> None:
    [summary] = sagemaker.list_hyper_parameter_tuning_jobs(NameContains="grid")["HyperParameterTuningJobSummaries"]
    assert summary["Strategy"] == "Grid" and summary["HyperParameterTuningJobStatus"] == "Completed"
    assert summary["ObjectiveStatusCounters"] == grid["ObjectiveStatusCounters"]


def test_auto_stops_a_job_that_is_worse_than_the_median_of_those_before(sagemaker: Any) -> None:
    create(sagemaker, "auto", curves("0.8 0.8", "0.9 0.1 ?"), TrainingJobEarlyStoppingType="Auto")
    job = ended(sagemaker, "auto")
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    completed, stopped = jobs(sagemaker, "auto")
    assert completed["TrainingJobStatus"] == "Completed"
    assert stopped["TrainingJobStatus"] == "Stopped" and stopped["ObjectiveStatus"] == "Succeeded"
    assert job["TrainingJobStatusCounters"]["Stopped"] == 1


def test_hyperband_stops_a_job_beyond_its_last_epoch(sagemaker: Any) -> None:
    static = {"definition": {"StaticHyperParameters": {"epochs": "2"}}}
    limits = {"MaxNumberOfTrainingJobs": 1, "MaxParallelTrainingJobs": 1}
    create(sagemaker, "band", curves("0.1 0.2 0.3 ?"), Strategy="Hyperband", ResourceLimits=limits, **static)
    assert ended(sagemaker, "band")["TrainingJobStatusCounters"]["Stopped"] == 1


def test_a_tuning_job_completes_when_the_objective_is_reached_and_stops_what_runs(sagemaker: Any) -> None:
    limits = {"MaxParallelTrainingJobs": 2}
    criteria = {"TargetObjectiveMetricValue": 0.5}
    create(
        sagemaker, "target", curves("?", "- 0.5", "0.9"), ResourceLimits=limits, TuningJobCompletionCriteria=criteria
    )
    job = ended(sagemaker, "target")
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    assert tried(jobs(sagemaker, "target")) == ["?", "- 0.5"]
    assert job["TrainingJobStatusCounters"]["Stopped"] == 1
    assert job["ObjectiveStatusCounters"] == {"Succeeded": 1, "Pending": 0, "Failed": 1}


def test_a_tuning_job_completes_when_so_many_jobs_do_not_improve(sagemaker: Any) -> None:
    criteria = {"BestObjectiveNotImproving": {"MaxNumberOfTrainingJobsNotImproving": 3}}
    create(sagemaker, "idle", curves("0.5", "0.501", "0.4", "0.502", "0.9"), TuningJobCompletionCriteria=criteria)
    job = ended(sagemaker, "idle")
    assert len(jobs(sagemaker, "idle")) == 4  # each job is better than 0.5 by less than 1 %
    assert job["TuningJobCompletionDetails"]["NumberOfTrainingJobsObjectiveNotImproving"] == 3


def test_a_stopped_tuning_job_stops_its_training_jobs(sagemaker: Any) -> None:
    create(sagemaker, "stopped", curves("0.4 ?", "0.5"))
    while not jobs(sagemaker, "stopped"):
        pass
    sagemaker.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName="stopped")
    job = ended(sagemaker, "stopped")
    assert job["HyperParameterTuningJobStatus"] == "Stopped"
    [summary] = jobs(sagemaker, "stopped")
    assert summary["TrainingJobStatus"] == "Stopped"
    assert refusal(sagemaker.stop_hyper_parameter_tuning_job, HyperParameterTuningJobName="stopped") == (
        "ValidationException",
        "The request was rejected because the hyperparameter tuning job is in status Stopped.",
    )


@pytest.mark.parametrize(
    "name, curve, reason", [("bad", "!", "All training jobs failed."), ("mute", "-", "No objective metrics found")]
)
def test_a_tuning_job_without_any_objective_fails(sagemaker: Any, name: str, curve: str, reason: str) -> None:
    job = ended(sagemaker, create(sagemaker, name, curves(curve)))
    assert job["HyperParameterTuningJobStatus"] == "Failed" and reason in job["FailureReason"]
    assert "BestTrainingJob" not in job


def test_a_warm_start_knows_its_parents_and_names_the_best_of_all(sagemaker: Any, grid: dict[str, Any]) -> None:
    parents = {"ParentHyperParameterTuningJobs": [{"HyperParameterTuningJobName": "grid"}]}
    warm = {"request": {"WarmStartConfig": {**parents, "WarmStartType": "IdenticalDataAndAlgorithm"}}}
    limits = {"MaxNumberOfTrainingJobs": 1, "MaxParallelTrainingJobs": 1}
    options = {"Strategy": "Bayesian", "ResourceLimits": limits, "definition": {"StaticHyperParameters": {"a": "1"}}}
    create(sagemaker, "warm", curves("0.25"), **options, **warm)
    job = ended(sagemaker, "warm")
    assert job["BestTrainingJob"]["TunedHyperParameters"] == {"curve": "0.25"}
    assert job["OverallBestTrainingJob"]["TrainingJobName"] == grid["BestTrainingJob"]["TrainingJobName"]
    code, text = refusal(create, sagemaker, "cold", curves("0.25"), **(options | {"definition": {}}), **warm)
    assert code == "ValidationException" and "these differ: a" in text


def test_several_definitions_take_turns(sagemaker: Any) -> None:
    several = [
        definition(DefinitionName=name, TuningObjective=OBJECTIVE, HyperParameterRanges=curves(curve))
        for name, curve in (("first", "0.3"), ("second", "0.4"))
    ]
    config = {
        "Strategy": "Random",
        "ResourceLimits": {"MaxNumberOfTrainingJobs": 3, "MaxParallelTrainingJobs": 1},
        "RandomSeed": 1,
    }
    sagemaker.create_hyper_parameter_tuning_job(
        HyperParameterTuningJobName="several", HyperParameterTuningJobConfig=config, TrainingJobDefinitions=several
    )
    job = ended(sagemaker, "several")
    assert [summary["TrainingJobDefinitionName"] for summary in jobs(sagemaker, "several")] == [
        "first",
        "second",
        "first",
    ]
    assert job["BestTrainingJob"]["TrainingJobDefinitionName"] == "second"


NUMBERS = {"ContinuousParameterRanges": [{"Name": "lr", "MinValue": "0.1", "MaxValue": "0.9"}]}
TWO = {"MaxNumberOfTrainingJobs": 2, "MaxParallelTrainingJobs": 1}


@pytest.mark.parametrize(
    "ranges, changes, text",
    [
        (NUMBERS, {}, "'lr' is Continuous"),
        (curves("1", "2", "3"), {"ResourceLimits": TWO}, "Grid has 3 combinations"),
        (NUMBERS, {"Strategy": "Bayesian"}, "needs MaxNumberOfTrainingJobs"),
        (
            NUMBERS,
            {"Strategy": "Hyperband", "ResourceLimits": TWO},
            "MaxResource of HyperbandStrategyConfig is missing",
        ),
        (
            NUMBERS,
            {"Strategy": "Hyperband", "ResourceLimits": TWO, "TrainingJobEarlyStoppingType": "Auto"},
            "must be Off with the strategy Hyperband",
        ),
        ({}, {}, "nothing to tune"),
        (curves("1"), {"definition": {"StaticHyperParameters": {"curve": "1"}}}, "both static and tuned"),
        (
            curves("1"),
            {"HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "loss"}},
            "A metric is required for this hyperparameter tuning job objective.",
        ),
        (curves("1"), {"definition": {"HyperParameterTuningResourceConfig": None}}, "either ResourceConfig or"),
        (curves("1"), {"HyperParameterTuningJobObjective": None}, "HyperParameterTuningJobObjective of"),
        (
            {
                "ContinuousParameterRanges": [
                    {"Name": "lr", "MinValue": "0", "MaxValue": "1", "ScalingType": "Logarithmic"}
                ]
            },
            {"Strategy": "Random", "ResourceLimits": TWO},
            "needs values greater than 0",
        ),
        (
            {"IntegerParameterRanges": [{"Name": "n", "MinValue": "4", "MaxValue": "3"}]},
            {"Strategy": "Random", "ResourceLimits": TWO},
            "is greater than its MaxValue",
        ),
    ],
)
def test_a_wrong_request_is_refused(sagemaker: Any, ranges: dict[str, Any], changes: dict[str, Any], text: str) -> None:
    code, message = refusal(create, sagemaker, "wrong", ranges, **changes)
    assert code == "ValidationException" and text in message


@pytest.mark.parametrize(
    "changes, text",
    [
        ({"request": {"Autotune": {"Mode": "Enabled"}}}, "with Autotune"),
        ({"definition": {"CheckpointConfig": {"S3Uri": "s3://tuning/checkpoints"}}}, "with CheckpointConfig"),
    ],
)
def test_what_is_not_emulated_is_refused_by_name(sagemaker: Any, changes: dict[str, Any], text: str) -> None:
    code, message = refusal(create, sagemaker, "other", curves("1"), **changes)
    assert code == "NotEmulated" and text in message


def test_a_tuning_job_that_is_not_there_is_not_found(sagemaker: Any) -> None:
    assert refusal(sagemaker.describe_hyper_parameter_tuning_job, HyperParameterTuningJobName="nobody") == (
        "ValidationException",
        "Requested resource not found.",
    )
