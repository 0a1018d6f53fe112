"""The aws command, unchanged, beside an emulator: objects, a job, its log, an endpoint, lists and refusals."""

import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.sagemaker.commands import CLIENTS, PROGRAMS, needs_clients, run
from tests.sagemaker.hosting import archive

pytestmark = [needs_clients, pytest.mark.long]  # its environment takes 870 MB
# Each answer goes to its own file. --hold lets the waiters see the end at their first request, since they ask only every 30 and 120 s.
SCRIPT = """
set -eu
role=arn:aws:iam::123456789012:role/service-role/local
aws s3 mb s3://mine
aws s3 sync --no-progress photos s3://mine/train
aws s3 cp --no-progress model.tar.gz s3://mine/model.tar.gz

for name in first second; do
  aws sagemaker create-training-job --training-job-name $name --role-arn $role \\
    --algorithm-specification TrainingImage=byoc-classifier-train:cpu,TrainingInputMode=File --hyper-parameters do=list \\
    --input-data-config '[{"ChannelName": "train", "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix",
      "S3Uri": "s3://mine/train"}}}]' \\
    --output-data-config S3OutputPath=s3://mine/output --stopping-condition MaxRuntimeInSeconds=600 \\
    --resource-config InstanceType=ml.m5.large,InstanceCount=1,VolumeSizeInGB=10 --tags Key=team,Value=dogs
  aws sagemaker wait training-job-completed-or-stopped --training-job-name $name
done
aws sagemaker describe-training-job --training-job-name first > job
aws sagemaker list-training-jobs --page-size 1 > jobs
aws sagemaker list-training-jobs --max-items 1 --name-contains s > page
aws logs filter-log-events --log-group-name /aws/sagemaker/TrainingJobs --log-stream-name-prefix first/ > log
aws s3 cp --no-progress s3://mine/output/first/output/model.tar.gz trained.tar.gz

aws sagemaker create-model --model-name model --execution-role-arn $role \\
  --primary-container Image=byoc-classifier-serve:cpu,ModelDataUrl=s3://mine/model.tar.gz
aws sagemaker create-endpoint-config --endpoint-config-name config \\
  --production-variants VariantName=one,ModelName=model,InstanceType=ml.m5.large,InitialInstanceCount=1
aws sagemaker create-endpoint --endpoint-name endpoint --endpoint-config-name config
aws sagemaker wait endpoint-in-service --endpoint-name endpoint
printf '{"do": "show"}' > body
aws sagemaker-runtime invoke-endpoint --endpoint-name endpoint --content-type application/json --body file://body answer \\
  > invocation
aws sagemaker delete-endpoint --endpoint-name endpoint
aws sagemaker wait endpoint-deleted --endpoint-name endpoint
aws sagemaker delete-endpoint-config --endpoint-config-name config
aws sagemaker delete-model --model-name model
aws sagemaker list-models > models

if aws sagemaker describe-training-job --training-job-name none 2> missing; then exit 1; fi
if aws sagemaker list-processing-jobs 2> unknown; then exit 1; fi
aws s3 rb --force s3://mine
"""


@dataclass
class Session:
    """The results of the script's commands."""

    folder: Path
    events: str  # the emulator's output meanwhile

    def text(self, name: str) -> str:
        return (self.folder / name).read_text()

    def answer(self, name: str) -> Any:
        return json.loads(self.text(name))


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    folder = tmp_path_factory.mktemp("aws")
    (folder / "photos" / "dogs").mkdir(parents=True)
    (folder / "photos" / "dogs" / "1").write_text("one")
    (folder / "model.tar.gz").write_bytes(archive({"name": b"uploaded"}))
    (folder / "script.sh").write_text(SCRIPT)
    started = ["--hold", "25", "--programs", str(PROGRAMS), "--"]
    command = ["env", "-C", str(folder), f"PATH={CLIENTS}:/usr/bin:/bin", "bash", "script.sh"]
    done = run(folder, *started, *command)
    assert done.returncode == 0, done.stdout + done.stderr
    return Session(folder, done.stderr)


def test_a_training_job_runs_to_its_end(session: Session) -> None:
    job = session.answer("job")
    assert job["TrainingJobStatus"] == "Completed" and job["HyperParameters"] == {"do": "list"}
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == "s3://mine/output/first/output/model.tar.gz"
    with tarfile.open(session.folder / "trained.tar.gz") as tar:
        assert "model-of-algo-1" in tar.getnames()


def test_the_log_of_a_job_is_found(session: Session) -> None:
    lines = [event["message"] for event in session.answer("log")["events"]]
    assert 'files {"train/dogs/1": "one"}' in lines


def test_lists_come_in_pages(session: Session) -> None:
    names = [job["TrainingJobName"] for job in session.answer("jobs")["TrainingJobSummaries"]]
    assert sorted(names) == ["first", "second"]
    page = session.answer("page")
    assert len(page["TrainingJobSummaries"]) == 1 and page["NextToken"]


def test_an_endpoint_answers_and_goes(session: Session) -> None:
    assert session.answer("answer")["name"] == "uploaded"
    assert session.answer("invocation") == {"ContentType": "application/json", "InvokedProductionVariant": "one"}
    assert "endpoint endpoint: InService" in session.events and "endpoint endpoint: deleted" in session.events
    assert session.answer("models") == {"Models": []}


def test_refusals_are_reported_in_the_words_of_the_command(session: Session) -> None:
    assert "(ValidationException) when calling the DescribeTrainingJob operation: Requested resource not found." in (
        session.text("missing")
    )
    assert "(NotEmulated) when calling the ListProcessingJobs operation: " in session.text("unknown")
