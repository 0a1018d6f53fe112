"""byoc emulate as a person starts it: commands that know nothing about it, signals, ports, folders, keys."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.sagemaker.commands import BYOC, PROGRAMS, SDK, run, script
from tests.sagemaker.conftest import Emulator, emulate, ended, put_photos, training_request
from tests.sagemaker.training import create, wait_for
from tests.server import until

# Variables that a user's shell may hold; each would lead requests around the emulator.
SHELL = {
    "AWS_ACCESS_KEY_ID": "AKIA0000000000000000",
    "AWS_SECRET_ACCESS_KEY": "a-real-secret",
    "AWS_SESSION_TOKEN": "a-real-token",
    "AWS_PROFILE": "work",
    "NO_PROXY": "*",
    "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9",
}


def test_code_that_names_hosts_of_aws_reaches_the_emulator_with_keys_worth_nothing(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("[profile work]\nregion = eu-west-1\naws_access_key_id = AKIA0\naws_secret_access_key = secret\n")
    code = """
        import json, os, urllib.request
        import boto3
        session = boto3.Session(profile_name="work")
        sts = session.client("sts", endpoint_url="https://sts.eu-west-1.amazonaws.com")
        s3 = session.client("s3")
        s3.create_bucket(Bucket="mine", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        s3.put_object(Bucket="mine", Key="key", Body=b"content")
        link = s3.generate_presigned_url("get_object", Params={"Bucket": "mine", "Key": "key"})
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        print(json.dumps({
            "who": sts.get_caller_identity()["Arn"],
            "link": link.partition("?")[0],
            "content": urllib.request.urlopen(link).read().decode(),
            "key": session.get_credentials().access_key,
            "region": boto3.Session().region_name,
            "emulator": direct.open(os.environ["BYOC_EMULATOR"] + "/_local/?format=json").status,
        }))
    """
    done = run(tmp_path, "--", sys.executable, script(tmp_path, code), **SHELL, AWS_CONFIG_FILE=str(config))
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert printed["who"] == "arn:aws:sts::123456789012:assumed-role/byoc-emulate/SageMaker"
    assert printed["content"] == "content" and printed["link"].startswith("https://mine.s3.")
    assert printed["key"] not in (SHELL["AWS_ACCESS_KEY_ID"], "AKIA0")
    assert printed["region"] == "eu-west-1" and printed["emulator"] == 200
    assert (tmp_path / "data" / "s3" / "mine" / "key").read_text() == "content"


@pytest.mark.parametrize(
    "command, status", [(["sh", "-c", "exit 7"], 7), (["sh", "-c", "kill -TERM $$"], 143), (["true"], 0)]
)
def test_the_exit_status_is_the_commands(tmp_path: Path, command: list[str], status: int) -> None:
    done = run(tmp_path, "--", *command)
    assert (done.returncode, done.stdout) == (status, "")


def test_a_command_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = run(tmp_path, "--", "no-such-command")
    assert done.returncode == 127 and "no-such-command cannot be started" in done.stderr


def test_a_host_of_aws_that_is_not_emulated_is_refused(tmp_path: Path) -> None:
    code = """
        import urllib.request
        try:
            urllib.request.urlopen("https://portal.sso.awsapps.com/start")
        except OSError as error:
            print(error)
    """
    assert "502" in run(tmp_path, "--", sys.executable, script(tmp_path, code)).stdout


def test_a_shell_with_real_keys_is_refused(tmp_path: Path) -> None:
    done = run(tmp_path, AWS_PROFILE="work", AWS_SECRET_ACCESS_KEY="a-real-secret")
    assert done.returncode == 1
    assert "AWS_SECRET_ACCESS_KEY, AWS_PROFILE" in done.stderr and "byoc emulate -- COMMAND" in done.stderr


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run(tmp_path, "--port", str(port))
    assert done.returncode == 1 and f"port {port} cannot be used" in done.stderr and "--port" in done.stderr


def test_two_emulators_do_not_share_a_folder(tmp_path: Path) -> None:
    first = emulate(tmp_path / "data")
    second = run(tmp_path, "--", "true")
    assert second.returncode == 1 and "another emulator uses" in second.stderr
    other = run(tmp_path / "elsewhere", "--", "true")
    assert other.returncode == 0
    assert first.end() == 130


def test_without_docker_processes_run_and_it_says_why(tmp_path: Path) -> None:
    nowhere = {"DOCKER_HOST": f"unix://{tmp_path}/no.sock"}
    command = [BYOC, "emulate", "--data", tmp_path / "data", "--", "true"]
    done = subprocess.run(command, env=os.environ | nowhere, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "containers run as processes, since Docker cannot be used: " in done.stderr


@pytest.mark.parametrize("where, why", [("unix:///no.sock", ""), ("ssh://somewhere", "does not see the folders")])
def test_docker_that_is_asked_for_and_cannot_be_used_is_named_with_the_remedy(
    tmp_path: Path, where: str, why: str
) -> None:
    done = run(tmp_path, "--run", "docker", "--", "true", DOCKER_HOST=where)
    assert done.returncode == 1
    assert done.stderr.startswith("byoc: Docker ") and why in done.stderr and "--run process" in done.stderr


def processes_of(folder: Path) -> list[int]:
    """Return the processes whose environment names a folder of the emulator's."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"TRAINING_JOB_NAME={folder.parent.name}".encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def start_long_job(running: Emulator, samples: Path, name: str) -> None:
    """Start a job that takes minutes, and wait until its program runs."""
    put_photos(running, samples)
    many = {"backbone": "timm/tf_efficientnet_lite0", "epochs": "4000", "patience": "0"}
    sagemaker = running.client("sagemaker")
    sagemaker.create_training_job(**training_request(name, HyperParameters=many))
    until("the program does not run", lambda: bool(processes_of(Path(name) / "x")))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_jobs_too(tmp_path: Path, samples: Path, number: signal.Signals) -> None:
    running = emulate(tmp_path / "data")
    name = f"ends-by-{number.value}-{os.getpid()}"
    start_long_job(running, samples, name)
    assert running.end(number) == 128 + number
    assert not processes_of(Path(name) / "x")
    assert not list((running.data / "work").iterdir())


@pytest.mark.slow
def test_what_a_killed_emulator_left_is_ended_and_reported(tmp_path: Path) -> None:
    first = emulate(tmp_path / "data", "--programs", str(PROGRAMS))
    name = f"left-{os.getpid()}"
    first.client("s3").create_bucket(Bucket="data")
    # Our own training program would end by itself, since nobody reads its next line any more.
    create(first, name, do="sleep", settings={"seconds": "600"}, StoppingCondition={"MaxRuntimeInSeconds": 900})
    wait_for(first, name, "hosts")
    first.end(signal.SIGKILL)
    assert processes_of(Path(name) / "x"), "the job's process ended with the emulator, so this test checks nothing"
    second = emulate(tmp_path / "data")
    try:
        assert f"{name}-algo-1 was left running by an emulator that was killed" in second.output.read_text()
        assert not processes_of(Path(name) / "x")
        job = ended(second.client("sagemaker"), name)
        assert job["TrainingJobStatus"] == "Failed" and "the emulator was killed" in job["FailureReason"]
    finally:
        second.end()


@pytest.mark.long
def test_a_look_at_a_young_job_waits_for_its_end_and_a_look_at_once_does_not(tmp_path: Path) -> None:
    running = emulate(tmp_path / "data", "--programs", str(PROGRAMS))
    try:
        client = running.client("sagemaker")
        running.client("s3").create_bucket(Bucket="photos")
        request = training_request("young", HyperParameters={"do": "sleep", "seconds": "6"}, InputDataConfig=None)
        client.create_training_job(**request)
        assert client.describe_training_job(TrainingJobName="young")["TrainingJobStatus"] == "InProgress"
        time.sleep(4)  # SDK v2's fit() asks after 5 s, and then only every 30 s
        assert client.describe_training_job(TrainingJobName="young")["TrainingJobStatus"] == "Completed"
    finally:
        running.end()


@pytest.mark.slow
def test_the_sdks_estimator_trains_unchanged(tmp_path: Path, samples: Path) -> None:
    assert SDK.exists(), f"{SDK} is missing; make it: make .venv-sdk/.ready"
    few = tmp_path / "train"
    for folder in sorted((samples / "train").iterdir())[:3]:
        for path in sorted(folder.iterdir())[:8]:
            (few / folder.name).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, few / folder.name)
    code = f"""
        import sagemaker
        from sagemaker.estimator import Estimator

        session = sagemaker.Session()
        role = sagemaker.get_execution_role()
        train = session.upload_data({str(few)!r}, key_prefix="photos/train")
        estimator = Estimator(
            "byoc-classifier-train:cpu", role, instance_count=1, instance_type="ml.m5.large", sagemaker_session=session,
            hyperparameters={{"backbone": "timm/tf_efficientnet_lite0", "epochs": 2, "precision": "fp32"}},
            metric_definitions=[{{"Name": "validation:accuracy", "Regex": "validation:accuracy=([0-9.]+)"}}],
        )
        estimator.fit({{"train": train}})
        print("model", estimator.model_data)
        print("metric", list(estimator.training_job_analytics.dataframe()["metric_name"].unique()))
        print("attached", Estimator.attach(estimator.latest_training_job.name).model_data == estimator.model_data)
    """
    done = run(tmp_path, "--hold", "25", "--", str(SDK), script(tmp_path, code))
    assert done.returncode == 0, done.stderr
    assert "model s3://sagemaker-us-east-1-123456789012/byoc-classifier-train" in done.stdout
    assert "epoch=2" in done.stdout  # the job's log, as fit() shows it
    assert "metric ['validation:accuracy']" in done.stdout
    assert "attached True" in done.stdout


def test_the_command_keeps_its_own_search_path_and_finds_no_package_of_ours(tmp_path: Path) -> None:
    code = "import importlib.util, os; print(os.environ.get('PYTHONPATH'), importlib.util.find_spec('local_test'))"
    done = run(tmp_path, "--", "python3", "-P", "-c", code, PYTHONPATH=str(tmp_path))
    assert done.returncode == 0 and f"{tmp_path} None" in done.stdout
