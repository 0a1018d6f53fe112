"""A local SageMaker for each module of tests, and clients that can reach nothing else."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.conftest import ROOT

ROLE = "arn:aws:iam::123456789012:role/service-role/local"
TRAIN_IMAGE = "byoc-classifier-train:cpu"
PYTHON = ROOT / ".venv-sagemaker" / "bin" / "python"
KEYS = {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
# Variables that a client library might read instead of the fake keys.
NO_FILES = {"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}


@dataclass
class Emulator:
    """A running `byoc emulate`."""

    process: "subprocess.Popen[str]"
    url: str
    data: Path
    output: Path  # the file with its output

    def client(self, service: str) -> Any:
        """Return a boto3 client of a service, which sends requests only to the emulator."""
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )

    def impatient(self, service: str, **settings: Any) -> Any:
        """Return a client that does not try again when it is refused."""
        once = Config(retries={"total_max_attempts": 1}, **settings)
        return boto3.client(service, endpoint_url=self.url, config=once)

    def end(self, number: int = signal.SIGINT) -> int:
        """End the emulator by a signal and return its exit status. If it does not end, the error shows what its threads do."""
        self.process.send_signal(number)
        try:
            return self.process.wait(120)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGUSR1)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(5)
            self.process.kill()
            raise AssertionError(f"byoc emulate did not end: {self.output.read_text()}") from None


def emulate(data: Path, *options: str, before: Sequence[str] = ()) -> Emulator:
    """Start `byoc emulate` on any free port, with the words of `before` in front of the command, and wait until it answers."""
    output = data.parent / f"{data.name}.log"
    with output.open("w") as file:
        process = subprocess.Popen(
            [
                *before,
                Path(sys.executable).parent / "byoc",
                "emulate",
                "--data",
                str(data),
                "--run",
                "process",
                *options,
            ],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            text=True,
        )
    while True:
        text = output.read_text()
        if "Ctrl-C ends the emulator" in text:
            return Emulator(
                process=process,
                url=text.split("SageMaker on this machine: ")[1].split(";")[0],
                data=data,
                output=output,
            )
        try:
            status = process.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
        raise AssertionError(f"byoc emulate ended with status {status}: {text}")


@pytest.fixture(scope="session", autouse=True)
def fake_keys() -> None:
    """Let no client of these tests find real keys, or look for them on a network."""
    if not PYTHON.exists():
        pytest.fail(f"{PYTHON} is missing; make it: make emulator")
    for name in [name for name in os.environ if name.startswith("AWS_")]:  # such as a developer's AWS_PROFILE
        del os.environ[name]
    os.environ |= KEYS | NO_FILES


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory, fake_keys: None) -> Iterator[Emulator]:
    """One emulator for a module; Describe of a running job is answered when the job has ended, so that no test sleeps."""
    running = emulate(tmp_path_factory.mktemp("emulator") / "data", "--hold", "20")
    yield running
    assert running.end() == 130, running.output.read_text()
    assert not list((running.data / "work").iterdir()), "a finished program has left files"


def order(emulator: Emulator, **fault: Any) -> None:
    """Order a fault."""
    urllib.request.urlopen(f"{emulator.url}/_local/faults", json.dumps(fault).encode()).close()


def take_back(emulator: Emulator) -> None:
    """Cancel all faults that are still waiting."""
    urllib.request.urlopen(urllib.request.Request(f"{emulator.url}/_local/faults", method="DELETE")).close()


def put_photos(emulator: Emulator, samples: Path, bucket: str = "photos") -> None:
    """Put the small photos into S3, at s3://BUCKET/data/SPLIT/CLASS/FILE; a few of each class, so that a job takes seconds."""
    s3 = emulator.client("s3")
    s3.create_bucket(Bucket=bucket)
    for folder in sorted(path for path in samples.glob("*/*") if path.is_dir())[:]:
        for path in sorted(folder.iterdir())[:4]:
            s3.upload_file(str(path), bucket, f"data/{path.relative_to(samples)}")


def training_request(name: str, **changes: Any) -> dict[str, Any]:
    """Return a request of a small job on these photos; `changes` replace its members."""
    channels = [
        {
            "ChannelName": split,
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://photos/data/{split}/"}},
        }
        for split in ("train", "validation")
    ]
    request = {
        "TrainingJobName": name,
        "RoleArn": ROLE,
        "AlgorithmSpecification": {"TrainingImage": TRAIN_IMAGE, "TrainingInputMode": "File"},
        "HyperParameters": {"backbone": "timm/tf_efficientnet_lite0", "epochs": "2", "precision": "fp32"},
        "InputDataConfig": channels,
        "OutputDataConfig": {"S3OutputPath": "s3://photos/output"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 30},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
    }
    return {name: value for name, value in (request | changes).items() if value is not None}


def refusal(call: Any, *arguments: Any, **named: Any) -> tuple[str, str]:
    """Return the code and text of the refusal of a call."""
    with pytest.raises(ClientError) as caught:
        call(*arguments, **named)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def ended(client: Any, name: str) -> dict[str, Any]:
    """Wait until a training job has ended, and return DescribeTrainingJob's answer."""
    while True:
        answer: dict[str, Any] = client.describe_training_job(TrainingJobName=name)
        if answer["TrainingJobStatus"] in ("Completed", "Failed", "Stopped"):
            return answer
