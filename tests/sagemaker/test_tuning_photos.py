"""Tuning of the real training program on real photos, by boto3 and by the SDK's own classes, to a batch transform at the end."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.sagemaker.commands import SDK, run, script
from tests.sagemaker.conftest import Emulator, put_photos, training_request

ACCURACY = {"Name": "validation:accuracy", "Regex": "\\bvalidation:accuracy=([-+0-9.e]+)"}


def ended(sagemaker: Any, name: str) -> dict[str, Any]:
    while True:
        answer: dict[str, Any] = sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
        if answer["HyperParameterTuningJobStatus"] in ("Completed", "Failed", "Stopped"):
            return answer


@pytest.mark.slow
def test_a_bayesian_search_trains_on_photos_with_values_of_its_ranges(emulator: Emulator, samples: Path) -> None:
    put_photos(emulator, samples)
    request = training_request("any")
    static = {name: value for name, value in request.pop("HyperParameters").items()}
    del request["TrainingJobName"]
    request["AlgorithmSpecification"]["MetricDefinitions"] = [ACCURACY]
    lr = {"Name": "lr", "MinValue": "0.001", "MaxValue": "0.1", "ScalingType": "Logarithmic"}
    config = {
        "Strategy": "Bayesian",
        "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "validation:accuracy"},
        "ResourceLimits": {"MaxNumberOfTrainingJobs": 2, "MaxParallelTrainingJobs": 2},
        "ParameterRanges": {
            "ContinuousParameterRanges": [lr],
            "CategoricalParameterRanges": [{"Name": "batch-size", "Values": ["16", "32"]}],
        },
        "RandomSeed": 1,
    }
    sagemaker = emulator.client("sagemaker")
    sagemaker.create_hyper_parameter_tuning_job(
        HyperParameterTuningJobName="photos",
        HyperParameterTuningJobConfig=config,
        TrainingJobDefinition={**request, "StaticHyperParameters": static},
    )
    job = ended(sagemaker, "photos")
    assert job["HyperParameterTuningJobStatus"] == "Completed", job
    assert job["ObjectiveStatusCounters"] == {"Succeeded": 2, "Pending": 0, "Failed": 0}
    tuned = job["BestTrainingJob"]["TunedHyperParameters"]
    assert 0.001 <= float(tuned["lr"]) <= 0.1 and tuned["batch-size"] in ("16", "32")
    assert 0 < job["BestTrainingJob"]["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] <= 1


@pytest.mark.slow
def test_the_sdks_tuner_and_transformer_run_unchanged(tmp_path: Path, samples: Path) -> None:
    if not SDK.exists():
        pytest.skip("needs .venv-sdk; make .venv-sdk/.ready")
    folder = next(path for path in sorted((samples / "validation").iterdir()))
    code = f"""
        import json
        import sagemaker
        from sagemaker.estimator import Estimator
        from sagemaker.model import Model
        from sagemaker.tuner import ContinuousParameter, HyperparameterTuner

        session = sagemaker.Session()
        role = sagemaker.get_execution_role()
        train = session.upload_data({str(samples / "train")!r}, key_prefix="photos/train")
        batch = session.upload_data({str(folder)!r}, key_prefix="photos/batch")
        estimator = Estimator(
            "byoc-classifier-train:cpu", role, instance_count=1, instance_type="ml.m5.large", sagemaker_session=session,
            hyperparameters={{"backbone": "timm/tf_efficientnet_lite0", "epochs": 2}},
        )
        tuner = HyperparameterTuner(
            estimator, "validation:accuracy", {{"lr": ContinuousParameter(0.001, 0.1, scaling_type="Logarithmic")}},
            [{json.dumps(ACCURACY)}], max_jobs=2, max_parallel_jobs=2,
        )
        tuner.fit({{"train": train}})
        print("tried", len(tuner.analytics().dataframe()))
        best = tuner.best_estimator()
        print("best", tuner.best_training_job() == best.latest_training_job.name, best.model_data.endswith("/model.tar.gz"))
        model = Model("byoc-classifier-serve:cpu", best.model_data, role, sagemaker_session=session)
        transformer = model.transformer(1, "ml.m5.large", strategy="SingleRecord", max_payload=6)
        transformer.transform(batch, content_type="application/x-image", logs=False)
        for key in session.list_s3_files(session.default_bucket(), transformer.output_path.split("/", 3)[3]):
            answer = json.loads(session.read_s3_file(session.default_bucket(), key))
            print("answer", key.rpartition("/")[2], answer["predictions"][0]["label"])
    """
    done = run(tmp_path, "--hold", "20", "--", str(SDK), script(tmp_path, code))
    assert done.returncode == 0, done.stderr
    assert "tried 2" in done.stdout and "best True True" in done.stdout
    answered = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("answer ")]
    assert sorted(answered) == sorted(f"{path.name}.out" for path in folder.iterdir())
