"""Jobs and endpoints whose containers run in a real Docker: this project's own images, through boto3."""

import io
import json
import os
import signal
import subprocess
import tarfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.sagemaker.commands import BYOC
from tests.sagemaker.conftest import ROLE, TRAIN_IMAGE, Emulator, emulate, ended, put_photos, training_request
from tests.sagemaker.hosting import SERVE_IMAGE, Hosting

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory, fake_keys: None, samples: Path) -> Iterator[Emulator]:
    running = emulate(tmp_path_factory.mktemp("emulator") / "data", "--hold", "20", "--run", "docker")
    put_photos(running, samples)
    yield running
    assert running.end() == 130, running.output.read_text()
    assert not list((running.data / "work").iterdir()), "a finished program has left files"
    assert left(running) == []


def left(emulator: Emulator) -> list[str]:
    """Return the names of the containers and networks of an emulator."""
    found = []
    for kind, what in (("{{.Names}}", ("ps", "--all")), ("{{.Name}}", ("network", "ls"))):
        command = ["docker", *what, "--format", kind, "--filter", f"label=byoc.emulate.data={emulator.data}"]
        found += subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return found


def scripted(name: str, script: str, **changes: Any) -> dict[str, Any]:
    """Return a request for a job that runs a shell script."""
    algorithm = {
        "TrainingImage": TRAIN_IMAGE,
        "TrainingInputMode": "File",
        "ContainerEntrypoint": ["/bin/sh", "-c", script],
    }
    return training_request(name, AlgorithmSpecification=algorithm, InputDataConfig=None, **changes)


def lines(emulator: Emulator, name: str) -> list[str]:
    """Return the lines of a job's log so far."""
    logs, group = emulator.client("logs"), "/aws/sagemaker/TrainingJobs"
    try:
        events = logs.filter_log_events(logGroupName=group)["events"]
    except logs.exceptions.ResourceNotFoundException:
        return []
    return [event["message"] for event in events if event["logStreamName"].startswith(f"{name}/")]


def model_of(emulator: Emulator, name: str) -> dict[str, bytes]:
    """Return the files of a job's model."""
    body = emulator.client("s3").get_object(Bucket="photos", Key=f"output/{name}/output/model.tar.gz")["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body)) as tar:
        files = {member.name: tar.extractfile(member) for member in tar if member.isfile()}
        return {path: file.read() for path, file in files.items() if file}


@pytest.fixture(scope="module")
def trained(emulator: Emulator) -> dict[str, Any]:
    """A job of our training image on two hosts, run to its end."""
    sagemaker = emulator.client("sagemaker")
    hosts = {"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 30}
    sagemaker.create_training_job(
        **training_request("two-hosts", ResourceConfig=hosts, EnableNetworkIsolation=True),
    )
    return ended(sagemaker, "two-hosts")


def test_two_isolated_hosts_train_one_model(emulator: Emulator, trained: dict[str, Any]) -> None:
    assert trained["TrainingJobStatus"] == "Completed", (trained, lines(emulator, "two-hosts")[-5:])
    assert {"model.json", "model.safetensors"} <= set(model_of(emulator, "two-hosts"))


def test_an_isolated_model_answers_and_its_container_ends_with_the_endpoint(
    emulator: Emulator, trained: dict[str, Any], samples: Path
) -> None:
    hosting = Hosting(emulator)
    data = trained["ModelArtifacts"]["S3ModelArtifacts"]
    container = {"Image": SERVE_IMAGE, "ModelDataUrl": data}
    hosting.sagemaker.create_model(
        ModelName="model", ExecutionRoleArn=ROLE, PrimaryContainer=container, EnableNetworkIsolation=True
    )
    assert hosting.endpoint("answers", {"ModelName": "model"})["EndpointStatus"] == "InService"
    photo = next((samples / "test").glob("*/*")).read_bytes()
    answer = hosting.runtime.invoke_endpoint(EndpointName="answers", Body=photo, ContentType="application/x-image")
    assert json.loads(answer["Body"].read())
    once = Config(retries={"total_max_attempts": 1}, max_pool_connections=50)
    runtime = boto3.client("sagemaker-runtime", endpoint_url=emulator.url, config=once)

    def ask(_: int) -> bytes:
        body: bytes = runtime.invoke_endpoint(EndpointName="answers", Body=photo, ContentType="application/x-image")[
            "Body"
        ].read()
        return body

    with ThreadPoolExecutor(50) as pool:
        assert len(set(pool.map(ask, range(50)))) == 1, "50 simultaneous requests got different answers"
    assert len(left(emulator)) == 2, "not exactly a container and its network"
    hosting.sagemaker.delete_endpoint(EndpointName="answers")
    until(lambda: left(emulator) == [])


def test_a_job_of_one_host_trains_with_a_view_of_s3_that_it_cannot_write_to(emulator: Emulator) -> None:
    sagemaker = emulator.client("sagemaker")
    script = "ls /opt/ml/input/data/train; touch /opt/ml/input/data/train/new; exec train"
    algorithm = {
        "TrainingImage": TRAIN_IMAGE,
        "TrainingInputMode": "FastFile",
        "ContainerEntrypoint": ["/bin/sh", "-c"],
        "ContainerArguments": [script],
        "MetricDefinitions": [{"Name": "accuracy", "Regex": "validation:accuracy=([0-9.]+)"}],
    }
    sagemaker.create_training_job(**training_request("one-host", AlgorithmSpecification=algorithm))
    job = ended(sagemaker, "one-host")
    assert job["TrainingJobStatus"] == "Completed", (job, lines(emulator, "one-host")[-5:])
    assert job["FinalMetricDataList"][0]["MetricName"] == "accuracy"
    assert any("Read-only file system" in line for line in lines(emulator, "one-host"))


def test_a_job_that_fails_says_what_its_program_left_and_its_exit_status(emulator: Emulator) -> None:
    sagemaker = emulator.client("sagemaker")
    sagemaker.create_training_job(**scripted("fails", "printf 'too little data' > /opt/ml/output/failure; exit 4"))
    assert ended(sagemaker, "fails")["FailureReason"] == "AlgorithmError: too little data, exit code: 4"


def test_a_stopped_job_keeps_what_it_wrote_after_sigterm(emulator: Emulator) -> None:
    sagemaker = emulator.client("sagemaker")
    script = "trap 'echo last > /opt/ml/model/words; exit 0' TERM; echo ready; while :; do sleep 0.1; done"
    sagemaker.create_training_job(**scripted("stopped", script))
    until(lambda: "ready" in lines(emulator, "stopped"))
    sagemaker.stop_training_job(TrainingJobName="stopped")
    assert ended(sagemaker, "stopped")["TrainingJobStatus"] == "Stopped"
    assert model_of(emulator, "stopped") == {"words": b"last\n"}


def test_an_image_that_is_not_on_this_machine_is_refused_by_name(emulator: Emulator) -> None:
    hosting = Hosting(emulator)
    algorithm = {"TrainingImage": "somebody/else:1", "TrainingInputMode": "File"}
    with pytest.raises(ClientError, match=r"the image somebody/else:1 is not on this machine.*docker pull"):
        hosting.sagemaker.create_training_job(**training_request("missing", AlgorithmSpecification=algorithm))
    with pytest.raises(ClientError, match=r"the image somebody/else:1 is not on this machine.*docker pull"):
        container = {"Image": "somebody/else:1"}
        hosting.sagemaker.create_model(ModelName="missing", ExecutionRoleArn=ROLE, PrimaryContainer=container)


def test_a_killed_emulators_containers_are_ended_and_reported_by_the_next_and_no_other_ones(
    emulator: Emulator, tmp_path: Path
) -> None:
    emulator.client("sagemaker").create_training_job(**scripted("goes-on", "echo ready; sleep 300"))
    first = emulate(tmp_path / "data", "--run", "docker")
    first.client("s3").create_bucket(Bucket="photos")
    hosts = {"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 30}
    first.client("sagemaker").create_training_job(
        **scripted("left", "echo ready; touch /opt/ml/model/seen; sleep 300", ResourceConfig=hosts)
    )
    until(lambda: lines(first, "left") == ["ready", "ready"] and lines(emulator, "goes-on") == ["ready"])
    first.end(signal.SIGKILL)
    assert len(left(first)) == 3, "not exactly two containers and their network"

    second = emulate(tmp_path / "data")  # this emulator runs jobs as processes, and also looks for containers
    try:
        output = second.output.read_text()
        for name in ("left-algo-1", "left-algo-2"):
            assert f"{name} was left running by an emulator that was killed; it is ended" in output
        assert "the network byoc-" in output
        assert left(second) == []
        assert ended(second.client("sagemaker"), "left")["TrainingJobStatus"] == "Failed"
        assert len(left(emulator)) == 1, "another emulator's job was ended"
    finally:
        second.end()


@pytest.mark.parametrize("moment", ["ready", "at-once"])
def test_ctrl_c_ends_the_containers_of_jobs_that_run(tmp_path: Path, moment: str) -> None:
    running = emulate(tmp_path / "data", "--run", "docker")
    running.client("s3").create_bucket(Bucket="photos")
    running.client("sagemaker").create_training_job(**scripted("cut", "trap '' TERM; echo ready; sleep 300"))
    if moment == "ready":
        until(lambda: lines(running, "cut") == ["ready"])
    else:
        hosting = Hosting(running)
        hosting.s3.create_bucket(Bucket="models")
        hosting.config("cut", {"ModelName": hosting.model("cut")})
        hosting.sagemaker.create_endpoint(EndpointName="cut", EndpointConfigName="cut")
    assert running.end() == 130
    assert left(running) == []
    assert not list((running.data / "work").iterdir())


def test_docker_is_chosen_where_it_answers(tmp_path: Path) -> None:
    command = [BYOC, "emulate", "--data", tmp_path / "data", "--", "true"]
    done = subprocess.run(command, env=os.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "containers run in Docker " in done.stderr


def until(true: Any) -> None:
    """Wait until a condition is true."""
    deadline = time.monotonic() + 120
    while not true():
        assert time.monotonic() < deadline, "the condition did not become true"
        time.sleep(0.1)
