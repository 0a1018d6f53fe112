"""`byoc train --on sagemaker` from options to results, with a local SageMaker whose training program computes nothing."""

import json
import os
import pty
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.aws.driver import BUCKET, BYOC, TRAIN, Driver, beside, read_until, wait_for
from tests.aws.standin import answering
from tests.sagemaker.conftest import TRAIN_IMAGE


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    with beside(tmp_path_factory.mktemp("train")) as found:
        yield found


def names(driver: Driver) -> set[str]:
    found = driver.emulator.client("sagemaker").list_training_jobs(MaxResults=100)["TrainingJobSummaries"]
    return {job["TrainingJobName"] for job in found}


def test_a_job_runs_to_its_results_and_the_next_command(driver: Driver) -> None:
    options = ("--name", "whole", "--set", "lr=0.25", "--set", "epochs=2", "--env", "A=b", "--tag", "team=dogs")
    output = driver.run(*TRAIN, *options).stdout
    assert "epoch 2 of 2: validation:accuracy 0.75" in output
    assert output.splitlines()[-4:] == [
        "test accuracy 0.7500 (95 % interval 0.5000 to 1.0000) on 16 photos",
        next(line for line in output.splitlines() if line.startswith("billed: ")),
        f"artifact: s3://{BUCKET}/byoc/output/whole/output/model.tar.gz",
        "deploy it: byoc deploy whole",
    ]
    job = driver.describe("whole")
    assert job["Environment"] == {"A": "b"} and job["HyperParameters"] == {"lr": "0.25", "epochs": "2"}
    assert job["CheckpointConfig"]["S3Uri"] == f"s3://{BUCKET}/byoc/checkpoints/whole"
    tags = driver.emulator.client("sagemaker").list_tags(ResourceArn=job["TrainingJobArn"])["Tags"]
    assert {"Key": "team", "Value": "dogs"} in tags


def test_out_brings_the_model_and_the_records_here(driver: Driver) -> None:
    found = driver.json(*TRAIN, "--name", "brought", "--set", "lr=0.5", "--out", "here")
    assert found["results"] == {"test": {"accuracy": 0.5, "count": 16}}
    assert found["status"] == "Completed" and found["artifact"].endswith("/brought/output/model.tar.gz")
    folder = driver.folder / "here"
    assert json.loads((folder / "model" / "model.json").read_text()) == {"lr": "0.5"}
    assert (folder / "output" / "data" / "records.jsonl").exists()
    before = names(driver)
    assert "here is not empty" in driver.run(*TRAIN, "--out", "here", status=1).stderr
    assert names(driver) == before, "a job was started although its results have no folder"


def test_a_bucket_of_another_region_is_refused_before_the_job_is_sent(driver: Driver) -> None:
    s3 = driver.emulator.client("s3")
    s3.create_bucket(Bucket="far", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_object(Bucket="far", Key="photos/1.jpg", Body=b"a photo")
    before = names(driver)
    for more in (("--data", "s3://far/photos/"), ("--bucket", "far")):
        refusal = driver.run(*TRAIN, *more, status=1).stderr
        assert "bucket far is in eu-west-1, and SageMaker works in us-east-1" in refusal
    assert names(driver) == before


def test_a_dry_run_shows_plan_and_request_and_sends_nothing(driver: Driver) -> None:
    before = names(driver)
    found = driver.json(*TRAIN, "--dry-run", "--instance", "ml.m5.large,ml.g4dn.xlarge", "--max-run", "7200")
    [request] = found["requests"]
    assert request["operation"] == "CreateTrainingJob"
    assert request["request"]["AlgorithmSpecification"]["TrainingImage"] == TRAIN_IMAGE
    assert found["cost"]["at_most"] == pytest.approx(2 * 0.7364) and not found["cost"]["monthly"]
    text = driver.run(*TRAIN, "--dry-run").stdout
    assert "cost         at most 0.019 USD (1 x ml.m5.large x 0.115 an hour x 0.167 h)" in text
    assert "for training job usage: unverified" in text and text.endswith("dry run: nothing was sent\n")
    assert names(driver) == before


def test_a_dry_run_needs_no_account_and_says_what_is_missing(tmp_path: Path, samples: Path) -> None:
    without = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "BYOC_"))}
    here = {"HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true"}
    command = [BYOC, "train", "--on", "sagemaker", "--data", samples, "--dry-run", "--json"]
    done = subprocess.run(command, cwd=tmp_path, env=without | here, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    for word in ("region", "role", "bucket"):
        assert any(word in text for text in found["missing"]), word
    assert found["training"].startswith("672 photos of ")


@pytest.mark.parametrize(
    "options, text",
    [
        (("--set", "speed=9"), "speed"),
        (("--set", "lr=99"), "must lie between"),
        (("--set", "lr=0.1", "--set", "lr=0.2"), "lr is given as 0.1 and as 0.2"),
        (("--instance", "ml.x9.tiny"), "ml.x9.tiny"),
        (("--instance", "ml.m5.large,ml.m5.xlarge", "--spot"), "spot"),
        (("--max-wait", "9"), "--max-wait is for spot"),
        (("--spot", "--keep-alive", "60"), "spot instances cannot be kept with --keep-alive"),
        (("--env", "A"), "must read NAME=VALUE"),
        (("--override", 'CreateTrainingJob.TrainingJobName="x"'), "set by --name"),
        (("--override", "CreateTrainingJob.RetryStrateg={}"), "did you mean RetryStrategy"),
        (("--override", "CreateModel.EnableNetworkIsolation=true"), "this verb does not send CreateModel"),
        (
            ("--override", "CreateHyperParameterTuningJob.Autotune={}"),
            "this verb does not send CreateHyperParameterTuningJob; did you mean CreateTrainingJob?",
        ),
        (("--name", "with_underscore"), "with_underscore"),
        (("--resume", "nobody"), "there is no such training job"),
        (("--best-of", "nobody"), "there is no such tuning job"),
        (("--data", f"s3://{BUCKET}/nothing/"), "holds nothing"),
        (("--data", "nowhere"), "nowhere is not a folder"),
        (("--gpus", "all"), "--gpus is an option of --on process"),
    ],
)
def test_a_mistake_is_reported_before_anything_is_sent(driver: Driver, options: tuple[str, ...], text: str) -> None:
    before = names(driver)
    assert text in driver.run(*TRAIN, *options, status=1).stderr
    assert names(driver) == before


@pytest.mark.parametrize("option", [("--instance", "ml.m5.large"), ("--spot",), ("--resume", "x"), ("--bucket", "b")])
def test_an_option_of_sagemaker_needs_that_place(driver: Driver, option: tuple[str, ...]) -> None:
    done = driver.run("train", "--data", "photos", *option, status=1)
    assert f"{option[0]} is an option of --on sagemaker" in done.stderr


def test_training_on_this_machine_refuses_photos_in_s3(driver: Driver) -> None:
    assert "is in S3" in driver.run("train", "--data", f"s3://{BUCKET}/photos/", status=1).stderr


def test_photos_that_training_would_refuse_are_reported_before(driver: Driver) -> None:
    folder = driver.folder / "loose"
    folder.mkdir()
    (folder / "photo.jpg").write_bytes(b"a photo")
    assert "class" in driver.run(*TRAIN, "--data", str(folder), status=1).stderr


def test_above_the_users_limit_a_job_without_a_terminal_is_refused(driver: Driver) -> None:
    before = names(driver)
    costly = [word for word in TRAIN if word != "--yes"] + ["--max-run", "360000"]
    done = driver.run(*costly, status=1)
    assert "costs up to 11.50 USD, more than your limit of 1.00 USD" in done.stderr and "pass --yes" in done.stderr
    assert names(driver) == before


@pytest.mark.parametrize("answer, status", [("n", 1), ("y", 0)])
def test_above_the_users_limit_a_person_is_asked(driver: Driver, answer: str, status: int) -> None:
    before = names(driver)
    costly = [word for word in TRAIN if word != "--yes"] + [
        "--max-run",
        "360000",
        "--detach",
        "--name",
        f"asked-{answer}",
    ]
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [BYOC, *costly], cwd=driver.folder, env=driver.variables, stdin=theirs, stdout=subprocess.PIPE, text=True
    )
    os.write(ours, f"{answer}\n".encode())
    output, _ = process.communicate(timeout=300)
    os.close(ours)
    os.close(theirs)
    assert process.returncode == status and "send it? [y/N]" in output
    assert names(driver) - before == ({"asked-y"} if answer == "y" else set())


def test_the_plan_as_json_holds_every_quota(driver: Driver) -> None:
    both = driver.json(*TRAIN, "--keep-alive", "600", "--dry-run")["quota"].splitlines()
    assert ["training job usage" in both[0], "training warm pool usage" in both[1]] == [True, True]


def test_a_quota_that_is_too_small_is_warned_of(driver: Driver) -> None:
    quota = {"QuotaName": "ml.m5.large for training job usage", "QuotaCode": "L-1", "Value": 0}
    answers = {
        "ListServiceQuotas": lambda request: {"Quotas": [quota]},
        "GetServiceQuota": lambda request: {"Quota": quota},
    }
    with answering(answers) as server:
        driver.environment["AWS_ENDPOINT_URL_SERVICE_QUOTAS"] = server.url
        try:
            found = driver.json(*TRAIN, "--dry-run")
            asked = driver.run(*[word for word in TRAIN if word != "--yes"], status=1)
        finally:
            del driver.environment["AWS_ENDPOINT_URL_SERVICE_QUOTAS"]
    assert found["warnings"] == [
        "the quota of ml.m5.large for training job usage: 0, and the plan needs 1; ask for more in the console: Service Quotas, "
        "Amazon SageMaker, or use another type"
    ]
    assert "the plan has a warning" in asked.stderr


def test_what_aws_refuses_is_one_sentence(driver: Driver) -> None:
    driver.fault("quota", "CreateTrainingJob")
    done = driver.run(*TRAIN, "--name", "refused", status=1)
    assert len(done.stderr.splitlines()) == 1 and "Service Quotas" in done.stderr
    assert "refused" not in names(driver)


def test_expired_credentials_have_their_own_status(driver: Driver) -> None:
    driver.fault("expired-token", "CreateTrainingJob")
    assert "have expired" in driver.run(*TRAIN, "--name", "expired", status=3).stderr


def test_a_throttled_create_starts_one_job(driver: Driver) -> None:
    driver.fault("throttle", "CreateTrainingJob", times=2)
    driver.run(*TRAIN, "--name", "throttled", "--detach")
    assert "throttled" in names(driver)


def test_a_job_that_fails_gives_its_reason_and_status_1(driver: Driver) -> None:
    done = driver.run(*TRAIN, "--env", "DO=fail", status=1)
    assert "failed: AlgorithmError: the photos are too dark" in done.stderr


def test_retries_bring_a_job_over_an_internal_error(driver: Driver) -> None:
    with driver.running(*TRAIN, "--name", "broken", "--retries", "1", "--env", "DO=wait") as process:
        read_until(process, "waiting")
        driver.fault("internal-error", "broken")
        read_until(process, "deploy it: byoc deploy broken")
        assert process.wait(300) == 0


@pytest.fixture(scope="module")
def halted(driver: Driver) -> str:
    """A training job that was stopped after its first checkpoint, with lr 0.25."""
    with driver.running(*TRAIN, "--name", "halted", "--set", "lr=0.25", "--env", "DO=wait") as process:
        read_until(process, "waiting")
        assert "the job still runs" in driver.run(*TRAIN, "--resume", "halted", status=1).stderr
        driver.run("stop", "halted")
        process.wait(300)
    return "halted"


def test_a_later_job_resumes_from_the_checkpoints_of_an_earlier_one(driver: Driver, halted: str) -> None:
    # An equal value in another spelling, and a hyperparameter that may change.
    same = ("--set", "learning-rate=0.250", "--set", "checkpoint-seconds=7")
    output = driver.run(*TRAIN, "--name", "second", "--resume", halted, *same, "--env", "DO=wait").stdout
    assert "goes on from its checkpoint" in output
    assert driver.describe("second")["CheckpointConfig"]["S3Uri"] == f"s3://{BUCKET}/byoc/checkpoints/{halted}"


def test_a_job_that_resumes_with_other_hyperparameters_is_refused_before_anything_is_sent(
    driver: Driver, halted: str
) -> None:
    before = names(driver)
    for more in ((), ("--dry-run",)):
        done = driver.run(*TRAIN, "--resume", halted, "--set", "hidden=64,32", *more, status=1)
        assert done.stderr == (
            "byoc: --resume halted: the job trained with lr 0.25, hidden none, and the new job would train with lr 0.003, hidden 64,32; "
            "training continues a checkpoint only with the same hyperparameters: pass --set lr=0.25 --set hidden=none, "
            "or leave --resume out to train from the start\n"
        )
    assert names(driver) == before


def test_several_channels_carry_piped_splits(driver: Driver) -> None:
    found = driver.json(*TRAIN, "--dry-run", "--input-mode", "Pipe")
    channels = found["requests"][0]["request"]["InputDataConfig"]
    assert [(channel["ChannelName"], channel["InputMode"]) for channel in channels] == [
        ("train", "Pipe"),
        ("validation", "Pipe"),
    ]


def test_detach_says_how_to_come_back_and_how_to_stop(driver: Driver) -> None:
    output = driver.run(*TRAIN, "--name", "away", "--detach").stdout
    assert output.splitlines()[-2:] == ["follow it again: byoc logs away --follow", "stop it: byoc stop away"]
    assert driver.json("logs", "away", "--follow")["status"] == "Completed"


def test_two_runs_at_once_are_two_jobs(driver: Driver) -> None:
    before = names(driver)
    with driver.running(*TRAIN, "--detach") as one, driver.running(*TRAIN, "--detach") as other:
        assert (one.wait(300), other.wait(300)) == (0, 0)
    assert len(names(driver) - before) == 2


def test_a_job_whose_answer_was_lost_is_not_taken_for_another(driver: Driver) -> None:
    before = names(driver)
    with driver.through() as way:
        way.lost = ["CreateTrainingJob"]
        driver.run(*TRAIN, "--detach")
        assert len(names(driver) - before) == 1 and not way.lost
        [name] = names(driver) - before
        assert "already exists" in driver.run(*TRAIN, "--name", name, "--detach", status=1).stderr


def test_a_network_that_fails_for_a_moment_is_not_noticed(driver: Driver) -> None:
    with driver.through() as way, driver.running(*TRAIN, "--name", "cut", "--env", "DO=wait") as process:
        read_until(process, "waiting")
        way.cut = 2
        wait_for(lambda: way.cut == 0)
        driver.run("stop", "cut", "--detach")
        read_until(process, "training job cut was stopped")
        assert process.wait(300) == 1


@pytest.mark.long
def test_a_network_that_is_cut_for_long_is_reported_and_waited_for(driver: Driver) -> None:
    """Shorten botocore's ten attempts, which take a minute."""
    with driver.through() as way, driver.running(*TRAIN, "--name", "cut-long", "--env", "DO=wait") as process:
        read_until(process, "waiting")
        way.cut = 1_000_000
        read_until(process, "byoc tries again")
        way.cut = 0
        driver.run("stop", "cut-long", "--detach")
        read_until(process, "AWS answers again")
        read_until(process, "training job cut-long was stopped")
