"""SDK v3's ModelTrainer, HyperparameterTuner and ModelBuilder, unchanged, beside an emulator."""

import json
from pathlib import Path

import pytest

from tests.sagemaker.commands import CLIENTS, PROGRAMS, needs_clients, run, script

pytestmark = [needs_clients, pytest.mark.long]  # its environment takes 870 MB
# The script uses deploy(wait=False) and the resource's own wait, because deploy polls only every 30 s.
CODE = """
    import json, sys
    from sagemaker.core.helper.session_helper import Session
    from sagemaker.core.parameter import CategoricalParameter
    from sagemaker.core.resources import Endpoint, EndpointConfig, Model, TrainingJob
    from sagemaker.core.shapes import MetricDefinition
    from sagemaker.serve import ModelBuilder
    from sagemaker.train import ModelTrainer
    from sagemaker.train.configs import Compute, InputData
    from sagemaker.train.tuner import HyperparameterTuner

    session = Session()
    session.upload_string_as_file_body("one", session.default_bucket(), "photos/train/1")
    photos = f"s3://{session.default_bucket()}/photos/train"
    score = {"name": "score", "regex": "score=([0-9.]+)"}

    def trainer(**hyperparameters):
        made = ModelTrainer(
            training_image="byoc-classifier-train:cpu",
            sagemaker_session=session,
            base_job_name="photos",
            compute=Compute(instance_type="ml.m5.large", instance_count=1, volume_size_in_gb=10),
            hyperparameters={"do": "score", **hyperparameters},
        )
        return made.with_metric_definitions([MetricDefinition(**score)])

    alone = trainer(value="0.5")
    alone.train(input_data_config=[InputData(channel_name="train", data_source=photos)])
    job = alone._latest_training_job
    metrics = {metric.metric_name: metric.value for metric in job.final_metric_data_list}
    found = {"trained": job.training_job_status, "metrics": metrics}

    tuner = HyperparameterTuner(
        trainer(),
        objective_metric_name="score",
        hyperparameter_ranges={"value": CategoricalParameter(["0.1", "0.9"])},
        metric_definitions=[{"Name": score["name"], "Regex": score["regex"]}],
        strategy="Grid",
        max_parallel_jobs=2,
        base_tuning_job_name="tuned",
    )
    tuner.tune({"train": photos})
    best = TrainingJob.get(tuner.best_training_job())
    found |= {"tuned": tuner.describe().hyper_parameter_tuning_job_status, "best": best.hyper_parameters["value"]}
    found["jobs"] = len(list(TrainingJob.get_all()))

    builder = ModelBuilder(
        s3_model_data_url=best.model_artifacts.s3_model_artifacts,
        image_uri="byoc-classifier-serve:cpu",
        sagemaker_session=session,
        instance_type="ml.m5.large",
    )
    model = builder.build()
    endpoint = builder.deploy(endpoint_name="best", initial_instance_count=1, wait=False)
    endpoint.wait_for_status("InService")
    answer = endpoint.invoke(body='{"do": "show"}', content_type="application/json")
    found["answered"] = json.loads(answer.body.read())["name"]
    endpoint.delete()
    endpoint.wait_for_delete()
    EndpointConfig.get("best").delete()
    model.delete()
    found["left"] = [len(list(kind.get_all())) for kind in (Endpoint, EndpointConfig, Model)]
    json.dump(found, open(sys.argv[1], "w"))
"""


def test_sdk_v3_trains_tunes_deploys_and_deletes(tmp_path: Path) -> None:
    found = tmp_path / "found"
    command = [str(CLIENTS / "python"), script(tmp_path, CODE), str(found)]
    done = run(tmp_path, "--hold", "25", "--programs", str(PROGRAMS), "--", *command)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(found.read_text()) == {
        "trained": "Completed",
        "metrics": {"score": 0.5},
        "tuned": "Completed",
        "best": "0.9",
        "jobs": 3,
        "answered": "0.9",
        "left": [0, 0, 0],
    }
    assert 'photos ["1"]' in done.stdout + done.stderr  # the job's log, as train() shows it
