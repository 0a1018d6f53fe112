"""A user's folder for the tests of hosting: a byoc.toml, small models, and the command line in this process."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from launch.aws.hosting import endpoint
from launch.aws.session import Session
from launch.aws.settings import Settings
from launch.cli import main
from tests.sagemaker.conftest import ROLE, Emulator, emulate
from tests.sagemaker.hosting import archive

PROGRAMS = Path(__file__).parent / "served"
BUCKET = "byoc-tests"
TOML = f"""
region = "us-east-1"
role = "{ROLE}"
bucket = "{BUCKET}"
[images]
serve = "byoc-classifier-serve:cpu"
train = "byoc-classifier-train:cpu"
[limits]
ask_above = 1000.0
[tags]
team = "dogs"
"""


@dataclass
class Hosted:
    """One emulator, whose serving image holds a small program, and a user of it."""

    emulator: Emulator
    capsys: pytest.CaptureFixture[str]
    session: Session

    def byoc(self, *arguments: str | Path, status: int = 0) -> str:
        """Run a verb and return its standard output; its standard error is in `errors`."""
        self.capsys.readouterr()
        quick = ["--sender", "boto3"] if arguments[0] in ("deploy", "transform") and "--sender" not in arguments else []
        found = main([*(str(argument) for argument in arguments), *quick])
        printed = self.capsys.readouterr()
        self.errors = printed.err
        assert found == status, (found, printed)
        return printed.out

    def json(self, *arguments: str | Path) -> Any:
        """Run a verb with --json and return the parsed output."""
        return json.loads(self.byoc(*arguments, "--json"))

    def model(self, name: str) -> str:
        """Put a model that answers with its own name into S3 and return its address."""
        content = archive({"name": name.encode(), "model.json": b"{}"})
        self.session.client("s3").put_object(Bucket=BUCKET, Key=f"made/{name}/model.tar.gz", Body=content)
        return f"s3://{BUCKET}/made/{name}/model.tar.gz"

    def deploy(self, name: str, model: str, *more: str | Path) -> dict[str, Any]:
        """Deploy a model with this name and return the verb's output."""
        said: dict[str, Any] = self.json("deploy", self.model(model), "--endpoint", name, "--yes", *more)
        return said

    def label(self, name: str, photo: Path, *more: str) -> str:
        """Return the label that an endpoint gives a photo."""
        answered = self.json("predict", photo, "--endpoint", name, *more)
        return str(answered[0]["predictions"][0]["label"])

    def describe(self, name: str) -> dict[str, Any]:
        """Return AWS's description of an endpoint."""
        found: dict[str, Any] = self.session.client("sagemaker").describe_endpoint(EndpointName=name)
        return found

    def config(self, name: str) -> dict[str, Any]:
        """Return the only variant of an endpoint's configuration, and the other members of the configuration."""
        found = endpoint.configuration(self.session, self.describe(name)["EndpointConfigName"])
        assert found
        return {**found.answer, **found.variants[0]}

    def order(self, kind: str, target: str, times: int = 1) -> None:
        """Order a fault."""
        import urllib.request

        body = json.dumps({"kind": kind, "target": target, "times": times}).encode()
        urllib.request.urlopen(urllib.request.Request(f"{self.emulator.url}/_local/faults", body)).close()


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory, loopback_alone: None) -> Iterator[Emulator]:
    """One emulator for a module, whose images hold the small programs."""
    running = emulate(tmp_path_factory.mktemp("hosted") / "data", "--programs", str(PROGRAMS))
    running.client("s3").create_bucket(Bucket=BUCKET)
    yield running
    assert running.end() == 130, running.output.read_text()
    assert not list((running.data / "work").iterdir()), "a finished program has left files"


@pytest.fixture
def hosted(account: Path, emulator: Emulator, capsys: pytest.CaptureFixture[str]) -> Hosted:
    """A user with a separate working folder."""
    (account / "byoc.toml").write_text(TOML)
    return Hosted(emulator, capsys, Session(Settings(region="us-east-1", bucket=BUCKET)))


@pytest.fixture
def photo(folder: Path) -> Path:
    """A file that the small program accepts as a photo."""
    path = folder / "photo.jpg"
    path.write_bytes(b"\xff\xd8 a photo")
    return path


def left(hosted: Hosted, name: str) -> list[str]:
    """Return the names of everything that exists for an endpoint."""
    client = hosted.session.client("sagemaker")
    named = [entry["EndpointName"] for entry in client.list_endpoints(NameContains=name)["Endpoints"]]
    named += [
        entry["EndpointConfigName"] for entry in client.list_endpoint_configs(NameContains=name)["EndpointConfigs"]
    ]
    named += [entry["ModelName"] for entry in client.list_models(NameContains=name)["Models"]]
    scaling = hosted.session.client("application-autoscaling").describe_scalable_targets(ServiceNamespace="sagemaker")
    named += [target["ResourceId"] for target in scaling["ScalableTargets"] if f"/{name}/" in target["ResourceId"]]
    alarms = hosted.session.client("cloudwatch").describe_alarms()["MetricAlarms"]
    return named + [alarm["AlarmName"] for alarm in alarms if name in alarm["AlarmName"]]
