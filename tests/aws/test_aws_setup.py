"""byoc init and byoc setup: what they make, check and remove, and what they print for a user without an account."""

import json
import os
import subprocess
import sys
import tomllib
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from launch.aws import settings as account_settings
from launch.aws import toml_file
from launch.aws.account import check, init, made
from launch.aws.session import Session
from launch.aws.settings import Settings
from tests.conftest import byoc
from tests.sagemaker.conftest import Emulator

HERE = ["--region", "us-east-1"]
ACCOUNT = "123456789012"
PLAIN = {
    "PATH": "/usr/bin:/bin",
    "HOME": "",
    **{name: os.environ[name] for name in ("COVERED_INTO", "COVERED_TEST") if name in os.environ},
}


def bare(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run byoc as somebody who has neither an account nor a home folder."""
    kept = {name: os.environ[name] for name in ("PYTHONPATH", "BYOC_TEST_REACHED")}
    command = [str(Path(sys.executable).parent / "byoc"), *arguments]
    return subprocess.run(command, env={**PLAIN, **kept}, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def iam(emulator: Emulator) -> Any:
    return emulator.client("iam")


@pytest.fixture
def s3(emulator: Emulator) -> Any:
    return emulator.client("s3")


# What a new user reads.


def test_a_newcomer_without_an_account_reads_in_sentences_what_is_missing(folder: Path) -> None:
    done = bare("init")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        f"wrote {folder}/byoc.toml; it lacks region, role, bucket: write region there, then byoc setup create makes what is "
        "missing\n"
    )
    done = bare("setup", "--check")
    assert done.returncode == 3 and done.stderr == ""
    rows = {line.split("  ")[0]: line for line in done.stdout.splitlines()}
    assert "ok" in rows["byoc.toml"]
    assert "no region is named; write region in byoc.toml" in rows["region"]
    assert "no AWS credentials were found; run `aws configure`" in rows["credentials"]
    assert "failed" in rows["bucket"] and "failed" in rows["role"]
    assert "unverified" in rows["quotas"]
    done = bare("run", "--on", "sagemaker", "--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    missing = [line.partition("  missing: ")[2] for line in done.stdout.splitlines() if line.startswith("  missing: ")]
    wanted = ("no region", "no role", "no train image", "no bucket", "no serve image", "no photos")
    assert [any(line.startswith(f"{what} ") for line in missing) for what in wanted] == [True] * len(wanted), missing
    assert done.stdout.endswith("dry run: nothing was sent\n")
    for other in (("--on", "sagemaker"), ()):
        done = bare("run", *other)
        assert done.returncode == 1 and done.stderr.startswith("byoc: no photos are named; pass --data DIR")


def test_without_a_byoc_toml_the_check_says_so(folder: Path) -> None:
    done = bare("setup", "--check", "--json")
    rows = json.loads(done.stdout)
    assert rows[0] == {
        "name": "byoc.toml",
        "state": "failed",
        "text": "neither this folder nor a folder above it holds byoc.toml; byoc init writes it",
    }


@pytest.mark.parametrize("arguments", [["create"], ["remove"], ["register", "--role", "r", "--bucket", "bbb"]])
def test_a_part_of_setup_without_credentials_is_one_sentence_and_has_their_status(
    folder: Path, arguments: list[str]
) -> None:
    done = bare("setup", *arguments, *HERE)
    assert done.returncode == 3 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and "no AWS credentials were found" in done.stderr


def test_setup_wants_one_thing_at_a_time(folder: Path) -> None:
    assert "needs --check or one of create, register, remove, policy" in bare("setup").stderr
    assert "leave one of them out" in bare("setup", "--check", "create").stderr


# init


def test_init_writes_what_the_options_and_the_configuration_say(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").write_text("[profile work]\nregion = eu-west-1\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    for name in ("AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    done = byoc("init", "--bucket", "my-photos", "--json")
    told = json.loads(done.stdout)
    assert told["values"] == {"bucket": "my-photos", "profile": "work", "region": "eu-west-1"}
    assert told["missing"] == ["role"]
    read = account_settings.load(Namespace())
    assert (read.profile, read.region, read.bucket, read.role) == ("work", "eu-west-1", "my-photos", "")


def test_init_never_overwrites(folder: Path) -> None:
    (folder / "byoc.toml").write_text('region = "eu-west-1"\n')
    done = byoc("init", *HERE)
    assert done.returncode == 1 and "already exists; edit it" in done.stderr
    assert (folder / "byoc.toml").read_text() == 'region = "eu-west-1"\n'


def test_a_dry_init_prints_the_file(folder: Path) -> None:
    done = byoc("init", *HERE, "--dry-run")
    assert tomllib.loads(done.stdout)["region"] == "us-east-1" and not (folder / "byoc.toml").exists()
    told = json.loads(byoc("init", *HERE, "--dry-run", "--json").stdout)
    assert told["values"]["region"] == "us-east-1" and "role" in told["missing"] and not (folder / "byoc.toml").exists()


def test_each_line_of_a_new_file_is_valid_without_its_comment_sign(folder: Path) -> None:
    lines = init.text({}).splitlines()
    text = "\n".join(line.removeprefix("# ") if " = " in line else line for line in lines)
    (folder / "byoc.toml").write_text(text)
    read = account_settings.load(Namespace())
    assert read.max_run == Settings().max_run and read.tags == {"team": "vision"} and read.subnets


def test_a_new_file_takes_what_setup_makes(folder: Path) -> None:
    file = folder / "byoc.toml"
    file.write_text(init.text({"region": "us-east-1"}))
    toml_file.put(file, {"bucket": "my-photos", "role": "byoc-sagemaker"})
    read = account_settings.load(Namespace())
    assert (read.region, read.bucket, read.role) == ("us-east-1", "my-photos", "byoc-sagemaker")
    toml_file.put(file, {"bucket": "", "role": ""})
    assert account_settings.load(Namespace()) == Settings(region="us-east-1", file=file)


def test_init_refuses_a_value_that_could_not_be_read_back(folder: Path) -> None:
    done = byoc("init", "--region", "here")
    assert done.returncode == 1 and "--region is 'here'; it must be a region" in done.stderr
    assert not (folder / "byoc.toml").exists()


# create, check, remove


def test_setup_makes_nothing_unasked(account: Path, s3: Any, iam: Any) -> None:
    done = byoc("setup", "create", *HERE, "--bucket", "unasked", stdin=subprocess.DEVNULL)
    assert done.returncode == 1 and "byoc cannot ask without a terminal; pass --yes" in done.stderr
    done = byoc("setup", "create", *HERE, "--bucket", "unasked", "--dry-run", "--json")
    plan = json.loads(done.stdout)
    assert [entry["operation"] for entry in plan["requests"]] == [
        "CreateBucket",
        "PutPublicAccessBlock",
        "PutBucketTagging",
        "CreateRole",
        "PutRolePolicy",
    ]
    assert "unasked" not in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    assert made.ROLE not in [role["RoleName"] for role in iam.list_roles()["Roles"]]
    assert not (account / "byoc.toml").exists()


def test_setup_makes_a_closed_bucket_and_a_role_for_sagemaker_and_takes_them_back(
    account: Path, s3: Any, iam: Any
) -> None:
    (account / "byoc.toml").write_text(
        'region = "us-east-1"  # mine\n\n[network]\nsubnets = []\n\n[tags]\nteam = "vision"\n'
    )
    done = byoc("setup", "create", "--yes")
    assert done.returncode == 0, done.stderr
    bucket = f"byoc-{ACCOUNT}-us-east-1"
    closed = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert closed == made.CLOSED and all(closed.values())
    tags = {tag["Key"]: tag["Value"] for tag in s3.get_bucket_tagging(Bucket=bucket)["TagSet"]}
    assert tags == {"team": "vision", "byoc:setup": "made"}
    role = iam.get_role(RoleName=made.ROLE)["Role"]
    assert role["AssumeRolePolicyDocument"]["Statement"][0]["Principal"] == {"Service": "sagemaker.amazonaws.com"}
    policy = iam.get_role_policy(RoleName=made.ROLE, PolicyName=made.POLICY)["PolicyDocument"]
    assert f"arn:aws:s3:::{bucket}/*" in policy["Statement"][0]["Resource"]

    text = (account / "byoc.toml").read_text()
    assert text.startswith('region = "us-east-1"  # mine\n') and text.endswith('[tags]\nteam = "vision"\n')
    read = account_settings.load(Namespace())
    assert (read.role, read.bucket) == (role["Arn"], bucket)
    again = byoc("setup", "create", "--yes")
    assert again.returncode == 0 and again.stdout.startswith("both are there")
    plan = json.loads(byoc("setup", "create", "--dry-run", "--json").stdout)
    assert plan["requests"] == [] and plan["bucket"] == f"{bucket}, is there"

    s3.put_object(Bucket=bucket, Key="photo.jpg", Body=b"x")
    done = byoc("setup", "remove", "--yes")
    assert f"bucket {bucket} stays: it holds objects; empty it first" in done.stdout and "removed role" in done.stdout
    assert account_settings.load(Namespace()).role == "" and account_settings.load(Namespace()).bucket == bucket
    s3.delete_object(Bucket=bucket, Key="photo.jpg")
    done = byoc("setup", "remove", stdin=subprocess.DEVNULL)
    assert done.returncode == 1 and "byoc cannot ask without a terminal" in done.stderr
    done = byoc("setup", "remove", "--yes", "--json")
    assert json.loads(done.stdout)["bucket"] == bucket
    assert bucket not in [entry["Name"] for entry in s3.list_buckets()["Buckets"]]
    assert made.ROLE not in [entry["RoleName"] for entry in iam.list_roles()["Roles"]]


def test_setup_removes_nothing_that_it_did_not_make(account: Path, s3: Any, iam: Any) -> None:
    s3.create_bucket(Bucket="of-others")
    iam.create_role(RoleName="of-others", AssumeRolePolicyDocument="{}", Tags=[{"Key": "team", "Value": "vision"}])
    done = byoc("setup", "remove", *HERE, "--bucket", "of-others", "--role", "of-others", "--yes")
    assert done.returncode == 0
    assert done.stdout.count("byoc setup create did not make it") == 2
    assert iam.get_role(RoleName="of-others") and s3.head_bucket(Bucket="of-others")


def trusted(iam: Any, name: str, service: str = "sagemaker.amazonaws.com", path: str = "/") -> str:
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    return str(iam.create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=document)["Role"]["Arn"])


def test_what_exists_is_registered_with_the_roles_whole_arn(account: Path, s3: Any, iam: Any) -> None:
    s3.create_bucket(Bucket="registered")
    arn = trusted(iam, "with-path", path="/service-role/")
    done = byoc("setup", "register", *HERE, "--role", "with-path", "--bucket", "registered")
    assert done.returncode == 0, done.stderr
    read = account_settings.load(Namespace())
    assert (read.region, read.role, read.bucket) == ("us-east-1", arn, "registered")


@pytest.mark.parametrize(
    ("role", "bucket", "problem"),
    [
        (
            "of-lambda",
            "registered-2",
            "cannot be assumed by SageMaker; its trust policy must name sagemaker.amazonaws.com",
        ),
        ("nobody", "registered-2", "the account has no role nobody"),
        ("with-trust", "not-there", "bucket not-there: the bucket does not exist"),
    ],
)
def test_what_cannot_be_used_is_not_registered(
    account: Path, s3: Any, iam: Any, role: str, bucket: str, problem: str
) -> None:
    s3.create_bucket(Bucket="registered-2")
    if role != "nobody":
        trusted(iam, role, "lambda.amazonaws.com" if role == "of-lambda" else "sagemaker.amazonaws.com")
    done = byoc("setup", "register", *HERE, "--role", role, "--bucket", bucket)
    assert done.returncode == 1 and problem in done.stderr and not (account / "byoc.toml").exists()


def test_the_check_says_what_is_there(account: Path, s3: Any, iam: Any, emulator: Emulator) -> None:
    s3.create_bucket(Bucket="checked")
    arn = trusted(iam, "checked")
    ecr = emulator.client("ecr")
    ecr.create_repository(repositoryName="byoc-classifier-train")
    uri = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/byoc-classifier-train"
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    manifest = {
        "schemaVersion": 2,
        "mediaType": kind,
        "config": {"digest": "sha256:" + "0" * 64, "size": 1},
        "layers": [],
    }
    ecr.put_image(repositoryName="byoc-classifier-train", imageManifest=json.dumps(manifest), imageTag="1.0")
    settings = Settings(
        region="us-east-1", role="checked", bucket="checked", train_image=f"{uri}:1.0", serve_image=f"{uri}:2.0"
    )
    rows = {row.name: row for row in check.check(settings)}
    assert (rows["credentials"].state, rows["credentials"].text) == ("ok", f"account {ACCOUNT}")
    assert (rows["bucket"].state, rows["role"].text) == ("ok", arn)
    assert rows["train image"].state == "ok"
    assert "ECR holds no image" in rows["serve image"].text and rows["serve image"].state == "failed"


def test_the_check_names_the_permission_that_is_missing_to_know(
    account: Path, s3: Any, iam: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.create_bucket(Bucket="half-known")
    trusted(iam, "half-known")
    iam.create_user(UserName="half")
    allowed = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    iam.put_user_policy(UserName="half", PolicyName="p", PolicyDocument=document)
    key = iam.create_access_key(UserName="half")["AccessKey"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
    uri = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/byoc-classifier-train:1.0"
    settings = Settings(region="us-east-1", role="half-known", bucket="half-known", train_image=uri, serve_image=uri)
    rows = {row.name: row for row in check.check(settings)}
    assert rows["bucket"].state == "ok"
    assert rows["role"].state == "unverified" and "without the permission iam:GetRole" in rows["role"].text
    assert rows["train image"].state == "unverified" and "ecr:DescribeImages" in rows["train image"].text
    assert rows["quota"].state == "unverified" and "servicequotas:ListServiceQuotas" in rows["quota"].text


def test_the_account_is_asked_for_nothing_twice(session: Session) -> None:
    assert session.client("s3") is session.client("s3") and session.account == ACCOUNT
