"""The policy file of `byoc setup policy`: with it each verb works, and without any one of its actions the verb says which is missing.

An IAM user of the local SageMaker runs the verbs; its policies are evaluated for every request (local_test/sagemaker/access.py).
"""

import contextlib
import io
import json
import re
import shutil
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from launch.aws.account import policy
from launch.aws.account.permissions import VERBS
from launch.aws.settings import Settings
from launch.cli import main
from tests.aws.driver import BUCKET, SETTINGS, TRAIN, TUNE, Driver
from tests.conftest import byoc
from tests.sagemaker.conftest import ROLE, Emulator, emulate
from tests.sagemaker.hosting import archive

HERE = Path(__file__).parent
ACCOUNT = "123456789012"
WHERE = policy.Place(ACCOUNT, "us-east-1", "*", "byoc", "*")  # buckets and roles that the scenarios make
USER = "engineer"
FACTS: dict[str, Any] = json.loads((HERE / "iam_facts.json").read_text())["actions"]
OF_ECR = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/byoc-classifier-serve:1.0"


@dataclass
class Office:
    """An engineer whose user has a policy, and an administrator who lays out what the engineer's verbs find."""

    emulator: Emulator
    engineer: Driver
    admin: Driver
    photos: Path
    counter: int = 0

    def lay_out(self, scenario: "Scenario") -> list[str]:
        """Return what the engineer types, when all that it needs is there."""
        text = SETTINGS.replace("[images]", '[images]\nserve = "byoc-classifier-serve:cpu"') + '[tags]\nteam = "dogs"\n'
        for driver in (self.engineer, self.admin):
            (driver.folder / "byoc.toml").write_text(text)
        arguments = scenario(self)
        self.asked()
        return arguments

    def allow(self, document: dict[str, Any]) -> None:
        iam = self.emulator.client("iam")
        iam.put_user_policy(UserName=USER, PolicyName="byoc", PolicyDocument=json.dumps(document))

    def new(self, stem: str) -> str:
        self.counter += 1
        return f"{stem}-{self.counter}"

    def asked(self) -> dict[str, bool]:
        """Return the actions that the engineer's requests have asked for since the last call, and whether they were allowed."""
        address = f"{self.emulator.url}/_local/permissions"
        told = json.load(urllib.request.urlopen(address))
        urllib.request.urlopen(urllib.request.Request(address, method="DELETE")).close()
        found: dict[str, bool] = {}
        for entry in next(iter(told.values()), []):
            found[entry["action"]] = found.get(entry["action"], True) and entry["allowed"]
        return found

    def bucket(self) -> str:
        """Return a bucket into which nobody has uploaded yet."""
        name = self.new(f"byoc-{BUCKET}")
        self.emulator.client("s3").create_bucket(Bucket=name)
        return name

    def photo(self) -> Path:
        path = self.engineer.folder / self.new("photos") / "1.jpg"
        path.parent.mkdir()
        path.write_bytes(b"\xff\xd8 a photo")
        return path

    def package(self, *, approved: bool) -> str:
        self.admin.run("register", self.model(), "--group", "group", "--yes")
        client = self.emulator.client("sagemaker")
        found = client.list_model_packages(ModelPackageGroupName="group", SortBy="CreationTime", SortOrder="Descending")
        arn = str(found["ModelPackageSummaryList"][0]["ModelPackageArn"])
        if approved:
            self.admin.run("approve", arn)
        return arn

    def transformed(self, *, slow: bool = False) -> str:
        """Run a transform job and return its name."""
        model, name = self.new("model"), self.new("tr")
        client = self.emulator.client("sagemaker")
        container = {"Image": "byoc-classifier-serve:cpu", "ModelDataUrl": self.model()}
        variables = {"SLEEP": "30"} if slow else {}
        client.create_model(
            ModelName=model, ExecutionRoleArn=ROLE, PrimaryContainer={**container, "Environment": variables}
        )
        source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/photos/test/cat/"}}
        client.create_transform_job(
            TransformJobName=name,
            ModelName=model,
            TransformInput={"DataSource": source},
            TransformOutput={"S3OutputPath": f"s3://{BUCKET}/answers/{name}"},
            TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
        )
        return name

    def model(self) -> str:
        """Put a model into S3 and return its address."""
        content = archive({"name": b"cat", "model.json": b"{}"})
        self.emulator.client("s3").put_object(Bucket=BUCKET, Key="made/model.tar.gz", Body=content)
        return f"s3://{BUCKET}/made/model.tar.gz"

    def job(self, *more: str) -> str:
        name = self.new("job")
        self.admin.run(*TRAIN, "--name", name, *more)
        return name

    def endpoint(self, *more: str) -> str:
        name = self.new("ep")
        self.admin.run("deploy", self.model(), "--endpoint", name, "--yes", "--sender", "boto3", *more)
        return name


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory, loopback_alone: None, samples: Path) -> Iterator[Office]:
    folder = tmp_path_factory.mktemp("office")
    (folder / "programs").mkdir()
    for program in (HERE / "programs" / "train", HERE / "served" / "serve"):
        shutil.copy(program, folder / "programs")
    running = emulate(folder / "data", "--jobs", "64", "--programs", str(folder / "programs"))
    s3, iam = running.client("s3"), running.client("iam")
    s3.create_bucket(Bucket=BUCKET)
    for split in ("train", "validation", "test"):
        for label in ("cat", "dog"):
            s3.put_object(Bucket=BUCKET, Key=f"photos/{split}/{label}/1.jpg", Body=b"\xff\xd8 a photo")
    for path in (path for label in sorted(samples.glob("*/*")) for path in sorted(label.iterdir())[:3]):
        (folder / path.relative_to(samples.parent)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / path.relative_to(samples.parent))
    iam.create_user(UserName=USER)
    iam.create_role(RoleName="local", Path="/service-role/", AssumeRolePolicyDocument="{}")
    key = iam.create_access_key(UserName=USER)["AccessKey"]
    keys = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
    queue = {"AWS_ENDPOINT_URL_SERVICE_QUOTAS": running.url}
    office = Office(
        running,
        Driver(running, folder / "engineer", {**keys, **queue}),
        Driver(running, folder / "admin"),
        folder / samples.name,
    )
    yield office
    assert running.end() == 130, running.output.read_text()


# Each scenario of a verb: what the administrator lays out, and then what the engineer types. Together they use all actions.
Scenario = Callable[[Office], list[str]]


def upload(office: Office) -> list[str]:
    return ["data", "upload", str(office.photos), f"s3://{BUCKET}/{office.new('up')}/"]


def upload_deleting(office: Office) -> list[str]:
    prefix = office.new("extra")
    office.emulator.client("s3").put_object(Bucket=BUCKET, Key=f"{prefix}/old.jpg", Body=b"old")
    return ["data", "upload", str(office.photos), f"s3://{BUCKET}/{prefix}/", "--delete", "--yes"]


def setup_create(office: Office) -> list[str]:
    bucket, role = office.new("byoc-made"), office.new("byoc-made")
    return ["setup", "create", "--yes", "--bucket", bucket, "--role", role]


def setup_remove(office: Office) -> list[str]:
    bucket, role = office.new("byoc-made"), office.new("byoc-made")
    office.admin.run("setup", "create", "--yes", "--bucket", bucket, "--role", role)
    return ["setup", "remove", "--yes", "--bucket", bucket, "--role", role]


def setup_register(office: Office) -> list[str]:
    bucket, role = office.new("byoc-made"), office.new("byoc-made")
    office.admin.run("setup", "create", "--yes", "--bucket", bucket, "--role", role)
    return ["setup", "register", "--bucket", bucket, "--role", role]


def setup_check(office: Office) -> list[str]:
    text = (office.engineer.folder / "byoc.toml").read_text()
    (office.engineer.folder / "byoc.toml").write_text(text.replace("byoc-classifier-train:cpu", OF_ECR))
    return ["setup", "--check"]


def train(office: Office) -> list[str]:
    return [*TRAIN, "--name", office.new("t"), "--out", str(office.engineer.folder / office.new("out"))]


def train_folder(office: Office) -> list[str]:
    arguments = [str(office.photos) if part.startswith("s3://") else part for part in TRAIN]
    return [*arguments, "--bucket", office.bucket(), "--name", office.new("t"), "--detach"]


def train_best(office: Office) -> list[str]:
    name = office.new("u")
    office.admin.run(*TUNE, "--name", name, "--trials", "1")
    return [*TRAIN, "--name", office.new("t"), "--best-of", name]


def train_role_by_name(office: Office) -> list[str]:
    return [*TRAIN, "--name", office.new("t"), "--role", "local", "--detach"]


def tune(office: Office) -> list[str]:
    return [*TUNE, "--name", office.new("u"), "--trials", "1"]


def tune_folder(office: Office) -> list[str]:
    arguments = [str(office.photos) if part.startswith("s3://") else part for part in TUNE]
    return [*arguments, "--bucket", office.bucket(), "--name", office.new("u"), "--trials", "1", "--detach"]


def tune_role_by_name(office: Office) -> list[str]:
    return [*TUNE, "--name", office.new("u"), "--trials", "1", "--role", "local", "--detach"]


def jobs(office: Office) -> list[str]:
    office.job()
    office.transformed()
    office.endpoint()
    office.admin.run(*TUNE, "--name", office.new("u"), "--trials", "1")
    return ["jobs", "--most", "100", "--calls", "100"]


def leftovers(office: Office) -> list[str]:
    office.endpoint()
    return ["jobs", "--leftovers"]


def logs(office: Office) -> list[str]:
    return ["logs", office.endpoint()]


def stop_training(office: Office) -> list[str]:
    return ["stop", office.job("--env", "DO=wait", "--detach")]


def stop_tuning(office: Office) -> list[str]:
    name = office.new("u")
    office.admin.run(*TUNE, "--name", name, "--trials", "1", "--env", "DO=wait", "--detach")
    return ["stop", name]


def stop_transform(office: Office) -> list[str]:
    return ["stop", office.transformed(slow=True)]


def prices(office: Office) -> list[str]:
    return ["prices"]


def deploy(office: Office) -> list[str]:
    return ["deploy", office.model(), "--endpoint", office.new("ep"), "--yes", "--sender", "boto3"]


def deploy_around(office: Office) -> list[str]:
    name = office.endpoint("--autoscale", "1:2", "--alarms")
    around = ["--autoscale", "1:3", "--alarms", "--bake", "0"]
    return ["deploy", office.model(), "--endpoint", name, "--yes", "--sender", "boto3", *around]


def deploy_again(office: Office) -> list[str]:
    name = office.endpoint("--autoscale", "1:2")
    return ["deploy", office.model(), "--endpoint", name, "--yes", "--sender", "boto3", "--bake", "0"]


def deploy_async(office: Office) -> list[str]:
    return [*deploy(office), "--async", "--scale-to-zero"]


def deploy_job(office: Office) -> list[str]:
    return ["deploy", office.job(), "--endpoint", office.new("ep"), "--yes", "--sender", "boto3", "--detach"]


def deploy_multi(office: Office) -> list[str]:
    office.model()
    where = ["--multi-model", f"s3://{BUCKET}/made/"]
    return ["deploy", *where, "--endpoint", office.new("ep"), "--yes", "--sender", "boto3"]


def deploy_group(office: Office) -> list[str]:
    office.package(approved=True)
    return ["deploy", "--group", "group", "--endpoint", office.new("ep"), "--yes", "--sender", "boto3", "--detach"]


def deploy_file(office: Office) -> list[str]:
    path = office.engineer.folder / f"{office.new('m')}.tar.gz"
    path.write_bytes(archive({"name": path.name.encode(), "model.json": b"{}"}))
    return ["deploy", str(path), "--endpoint", office.new("ep"), "--yes", "--sender", "boto3", "--detach"]


def deploy_role_by_name(office: Office) -> list[str]:
    return [*deploy(office), "--role", "local", "--detach"]


def deploy_of_ecr(office: Office) -> list[str]:
    return [*deploy(office), "--serve-image", OF_ECR, "--detach"]


def endpoints(office: Office) -> list[str]:
    return ["endpoints"]


def one_endpoint(office: Office) -> list[str]:
    return ["endpoints", office.endpoint("--autoscale", "1:2", "--alarms")]


def rollback(office: Office) -> list[str]:
    name = office.endpoint()
    office.admin.run("deploy", office.model(), "--endpoint", name, "--yes", "--sender", "boto3", "--bake", "0")
    return ["rollback", name, "--yes"]


def delete(office: Office) -> list[str]:
    return ["delete", office.endpoint("--autoscale", "1:2", "--alarms"), "--yes"]


def predict(office: Office) -> list[str]:
    return ["predict", str(office.photo()), "--endpoint", office.endpoint()]


def predict_async(office: Office) -> list[str]:
    return ["predict", str(office.photo()), "--endpoint", office.endpoint("--async"), "--timeout", "3"]


def transform(office: Office) -> list[str]:
    out = office.engineer.folder / office.new("answers")
    source = f"s3://{BUCKET}/photos/test/cat/"
    return ["transform", source, "--model", office.model(), "--out", str(out), "--yes", "--sender", "boto3"]


def transform_folder(office: Office) -> list[str]:
    folder = office.photo().parent
    out = ["--out", str(office.engineer.folder / office.new("answers")), "--bucket", office.bucket()]
    return ["transform", str(folder), "--model", office.model(), *out, "--yes", "--sender", "boto3"]


def transform_role_by_name(office: Office) -> list[str]:
    return [*transform(office), "--role", "local"]


def register(office: Office) -> list[str]:
    return ["register", office.model(), "--group", office.new("group"), "--yes"]


def register_file(office: Office) -> list[str]:
    return ["register", deploy_file(office)[1], "--group", office.new("group"), "--yes"]


def approve(office: Office) -> list[str]:
    return ["approve", office.package(approved=False)]


SCENARIOS: dict[str, tuple[Scenario, ...]] = {
    "data upload": (upload, upload_deleting),
    "setup create": (setup_create,),
    "setup register": (setup_register,),
    "setup remove": (setup_remove,),
    "setup --check": (setup_check,),
    "train": (train, train_folder, train_best, train_role_by_name),
    "tune": (tune, tune_folder, tune_role_by_name),
    "jobs": (jobs, leftovers),
    "logs": (logs,),
    "stop": (stop_training, stop_tuning, stop_transform),
    "prices": (prices,),
    "deploy": (
        deploy,
        deploy_around,
        deploy_again,
        deploy_async,
        deploy_job,
        deploy_multi,
        deploy_group,
        deploy_file,
        deploy_role_by_name,
        deploy_of_ecr,
    ),
    "endpoints": (endpoints, one_endpoint),
    "rollback": (rollback,),
    "delete": (delete,),
    "predict": (predict, predict_async),
    "transform": (transform, transform_folder, transform_role_by_name),
    "register": (register, register_file),
    "approve": (approve,),
}
QUICK = ("data upload", "setup register", "setup remove", "setup create")
# The emulator has neither a price list nor quotas nor service-linked roles, so that nothing asks for these.
NOT_HERE = {"servicequotas:GetServiceQuota", "servicequotas:GetAWSDefaultServiceQuota", "iam:CreateServiceLinkedRole"}


def marked(verb: str) -> Any:
    return pytest.param(verb, marks=() if verb in QUICK else pytest.mark.long)


def without(verb: str, missing: str = "") -> dict[str, Any]:
    """Return the policy of one verb, without an action."""
    document = policy.document([verb], WHERE)
    for statement in document["Statement"]:
        statement["Action"] = [action for action in statement["Action"] if action != missing]
    nothing = {"Effect": "Allow", "Action": "sts:GetCallerIdentity", "Resource": "*"}
    document["Statement"] = [statement for statement in document["Statement"] if statement["Action"]] or [nothing]
    return document


def run(office: Office, arguments: list[str]) -> str:
    """Run a verb as the engineer and return what it printed, whether it succeeded or not."""
    output, errors = io.StringIO(), io.StringIO()
    with office.engineer._here(), contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        status = main(arguments)
    return f"{output.getvalue()}{errors.getvalue()}status {status}"


@pytest.mark.parametrize("verb", [marked(verb) for verb in VERBS])
def test_each_verb_works_on_its_policy_and_each_action_is_needed(office: Office, verb: str) -> None:
    of_scenario: dict[Scenario, set[str]] = {}
    for scenario in SCENARIOS[verb]:
        arguments = office.lay_out(scenario)
        office.allow(without(verb))
        printed = run(office, arguments)
        asked = office.asked()
        refused = {action for action, allowed in asked.items() if not allowed}
        assert not refused and "you lack the permission" not in printed, (scenario.__name__, refused, printed)
        if verb not in ("prices", "setup --check"):
            assert printed.endswith("status 0") or scenario in (deploy_of_ecr,), (scenario.__name__, printed)
        of_scenario[scenario] = set(asked)
    permissions = {permission.action: permission for permission in VERBS[verb]}
    used = set().union(*of_scenario.values()) - {"sts:GetCallerIdentity"}
    assert used - permissions.keys() == set()
    assert permissions.keys() - used <= NOT_HERE
    for action in sorted(used):
        scenario = next(scenario for scenario, asked in of_scenario.items() if action in asked)
        arguments = office.lay_out(scenario)
        office.allow(without(verb, action))
        printed = run(office, arguments)
        assert office.asked()[action] is False, (action, printed)
        if not permissions[action].else_:
            # S3 answers 403 also for an answer that is not there yet.
            assert "status 1" in printed and (action in printed or "let these keys of S3 be read" in printed), (
                action,
                printed,
            )
        assert "Traceback" not in printed


# AWS's own list: tests/aws/iam_facts.json.


@pytest.mark.parametrize("verb", VERBS)
def test_each_action_and_its_resource_are_aws_own(verb: str) -> None:
    for permission in VERBS[verb]:
        fact = FACTS[permission.action]
        kinds = [re.sub(r"\$\{[^}]*\}", "[^:]*", arn) for arn in fact["resources"].values()]
        arn = policy.resource(permission, policy.Place(ACCOUNT, "us-east-1", "bucket", "byoc", "role"))
        if arn == "*":
            assert not fact["required"], permission
        else:
            assert any(re.fullmatch(kind, arn) for kind in kinds), (permission, kinds)


@pytest.mark.parametrize("verb", VERBS)
def test_the_actions_that_aws_checks_besides_are_in_the_verbs_policy(verb: str) -> None:
    actions = {permission.action for permission in VERBS[verb]}
    # Nothing of ours tags a scalable target.
    wanted = {other for action in actions for other in FACTS[action]["dependent"]} - {
        "application-autoscaling:TagResource"
    }
    assert wanted <= actions


def test_the_roles_policy_names_actions_that_aws_knows() -> None:
    settings = Settings(subnets=("s",), security_groups=("g",), volume_key="alias/x", output_key="0a1b")
    document = policy.execution(settings, WHERE)
    assert {action for statement in document["Statement"] for action in statement["Action"]} <= FACTS.keys()
    assert f"arn:aws:kms:us-east-1:{ACCOUNT}:key/*" in str(document)
    assert "ec2:" not in str(policy.execution(Settings(), WHERE)) and "kms:" not in str(
        policy.execution(Settings(), WHERE)
    )


def test_the_policy_names_what_the_settings_name(folder: Path) -> None:
    (folder / "byoc.toml").write_text(f'region = "cn-north-1"\nrole = "{ROLE}"\nbucket = "my-photos"\n')
    done = byoc("setup", "policy", "--verb", "train", "--out", "policy.json")
    assert done.returncode == 0 and "put-user-policy" in done.stdout and done.stderr == ""
    text = (folder / "policy.json").read_text()
    assert f'"arn:aws-cn:iam::{ACCOUNT}:role/service-role/local"' in text
    assert (
        '"arn:aws-cn:s3:::my-photos/*"' in text and f"arn:aws-cn:sagemaker:cn-north-1:{ACCOUNT}:training-job/*" in text
    )
    passed = [entry for entry in json.loads(text)["Statement"] if "iam:PassRole" in entry["Action"]]
    assert [entry["Condition"] for entry in passed] == [
        {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}
    ]
    assert len(text) < 6144  # characters of a managed policy: IAM's quota
    done = byoc("setup", "policy", "--out", "policy.json")
    assert done.returncode == 1 and "exists; name a new file" in done.stderr
    done = byoc("setup", "policy", "--verb", "trian")
    assert done.returncode == 1 and "did you mean train?" in done.stderr


def test_the_policy_of_all_verbs_fits_into_a_managed_policy() -> None:
    text = json.dumps(policy.document(VERBS, WHERE), separators=(",", ":"))
    assert len(text) <= 6144  # white space does not count
