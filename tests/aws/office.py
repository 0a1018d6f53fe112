"""An IAM user of the local SageMaker who runs verbs, and an administrator who prepares the account for them."""

import contextlib
import io
import json
import shutil
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from launch.cli import main
from tests.aws.driver import BUCKET, SETTINGS, TRAIN, Driver
from tests.sagemaker.conftest import ROLE, Emulator, emulate
from tests.sagemaker.hosting import archive

HERE = Path(__file__).parent
USER = "engineer"


@dataclass
class Office:
    """An engineer whose IAM user has a policy, and an administrator who prepares the account for the engineer's verbs."""

    emulator: Emulator
    engineer: Driver
    admin: Driver
    photos: Path
    counter: int = 0

    def lay_out(self, scenario: "Scenario") -> list[str]:
        """Prepare the account for a verb, and return the command that the engineer types."""
        text = SETTINGS.replace("[images]", '[images]\nserve = "byoc-classifier-serve:cpu"') + '[tags]\nteam = "dogs"\n'
        for driver in (self.engineer, self.admin):
            (driver.folder / "byoc.toml").write_text(text)
        arguments = scenario(self)
        self.asked()
        return arguments

    def run(self, arguments: list[str]) -> str:
        """Run a verb as the engineer and return what it printed, whether it succeeded or not."""
        output, errors = io.StringIO(), io.StringIO()
        with self.engineer._here(), contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            status = main(arguments)
        return f"{output.getvalue()}{errors.getvalue()}status {status}"

    def allow(self, document: dict[str, Any]) -> None:
        iam = self.emulator.client("iam")
        iam.put_user_policy(UserName=USER, PolicyName="byoc", PolicyDocument=json.dumps(document))

    def new(self, stem: str) -> str:
        self.counter += 1
        return f"{stem}-{self.counter}"

    def asked(self) -> dict[str, bool]:
        """Return the actions that the engineer's requests have needed since the last call, and whether they were allowed."""
        address = f"{self.emulator.url}/_local/permissions"
        told = json.load(urllib.request.urlopen(address))
        urllib.request.urlopen(urllib.request.Request(address, method="DELETE")).close()
        found: dict[str, bool] = {}
        for entry in next(iter(told.values()), []):
            found[entry["action"]] = found.get(entry["action"], True) and entry["allowed"]
        return found

    def bucket(self) -> str:
        """Return a new, empty bucket."""
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


# A function that prepares the account for a verb and returns the command that the engineer types.
Scenario = Callable[[Office], list[str]]


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
