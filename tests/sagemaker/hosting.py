"""Models, configurations and endpoints for the tests, through boto3."""

import io
import json
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from tests.sagemaker.commands import PROGRAMS
from tests.sagemaker.conftest import ROLE, Emulator, emulate
from tests.server import until

SERVE_IMAGE = "byoc-classifier-serve:cpu"


def archive(files: dict[str, bytes]) -> bytes:
    """Return a model.tar.gz of some files."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def packed(folder: Path) -> bytes:
    """Return a folder of a model as an archive."""
    return archive({str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()})


@dataclass
class Hosting:
    """The clients of one emulator, and short functions for things that many tests make."""

    emulator: Emulator

    def __post_init__(self) -> None:
        self.sagemaker = self.emulator.client("sagemaker")
        self.runtime = self.emulator.client("sagemaker-runtime")
        self.s3 = self.emulator.client("s3")

    def data(self, name: str, content: bytes | None = None) -> str:
        """Put a model's archive into S3 and return its address; the model holds its own name."""
        content = archive({"name": name.encode()}) if content is None else content
        self.s3.put_object(Bucket="models", Key=f"{name}/model.tar.gz", Body=content)
        return f"s3://models/{name}/model.tar.gz"

    def model(self, name: str, data: str | None = None, **container: Any) -> str:
        """Make a model of the serving image and return its name."""
        url = {"ModelDataUrl": data or self.data(name)} if "ModelDataSource" not in container else {}
        self.sagemaker.create_model(
            ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer={"Image": SERVE_IMAGE, **url, **container}
        )
        return name

    def config(self, name: str, *variants: dict[str, Any], **more: Any) -> str:
        """Make an endpoint configuration. A variant is given as its model's name and the members that differ from the usual ones."""
        usual = {"VariantName": "AllTraffic", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
        found = [
            {**({} if "ServerlessConfig" in variant else usual), "VariantName": "AllTraffic", **variant}
            for variant in variants
        ]
        self.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=found, **more)
        return name

    def endpoint(self, name: str, *variants: dict[str, Any], **more: Any) -> dict[str, Any]:
        """Make an endpoint with a configuration of the same name, and return its description when it has settled."""
        self.config(name, *variants, **more)
        self.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
        return self.settled(name)

    def settled(self, name: str) -> dict[str, Any]:
        """Wait until an endpoint does not change any more, and return DescribeEndpoint's answer."""
        while True:
            answer: dict[str, Any] = self.sagemaker.describe_endpoint(EndpointName=name)
            if answer["EndpointStatus"] in ("InService", "Failed", "OutOfService"):
                return answer

    def ask(self, name: str, what: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
        """Invoke an endpoint whose program returns its input, and return the answer."""
        answer = self.runtime.invoke_endpoint(EndpointName=name, Body=json.dumps(what or {"do": "show"}), **more)
        shown: dict[str, Any] = json.loads(answer["Body"].read())
        return shown

    def impatient(self) -> Any:
        """Return a client of the runtime that does not try again when it is refused."""
        return self.emulator.impatient("sagemaker-runtime")

    def lines(self, name: str) -> list[str]:
        """Return the lines of all log streams of an endpoint so far."""
        logs, group = self.emulator.client("logs"), f"/aws/sagemaker/Endpoints/{name}"
        return [event["message"] for event in logs.filter_log_events(logGroupName=group)["events"]]

    def wait_for_line(self, name: str, line: str) -> None:
        """Wait until the log of an endpoint has a line. The log comes later than an answer, since another thread reads it."""
        until(f"{name} does not print {line!r}", lambda: line in self.lines(name))


def hosted(folder: Path) -> Iterator[Hosting]:
    """Run an emulator whose serving program returns its input, with the models `first` and `second`."""
    running = emulate(folder / "data", "--hold", "20", "--programs", str(PROGRAMS))
    found = Hosting(running)
    found.s3.create_bucket(Bucket="models")
    found.model("first")
    found.model("second")
    yield found
    assert running.end() == 130, running.output.read_text()
    assert not list((running.data / "work").iterdir()), "a finished server has left files"


def alive(pid: int) -> bool:
    """Return whether a process runs; one that has ended and waits for its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def shown_until(hosting: Hosting, name: str, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Invoke an endpoint until its answer is as wanted, and return the answer; failures meanwhile are expected."""
    deadline = time.monotonic() + 300
    while True:
        try:
            shown = hosting.ask(name)
        except ClientError:
            shown = None
        if shown and wanted(shown):
            return shown
        assert time.monotonic() < deadline, shown
        time.sleep(0.1)
