"""Runs a server of the suite as an endpoint or a transform job of a local SageMaker."""

import contextlib
import json
import re
import time
from pathlib import Path
from typing import Any, Self

from botocore.exceptions import ClientError

from local_test.contract.client import PATIENCE, Answer
from local_test.contract.conditions import Conditions, GivenUp, Stop
from local_test.contract.emulated import (
    BUCKET,
    INSTANCE,
    LOOK,
    ROLE,
    Api,
    address,
    cannot_be_asked,
    check,
    gone,
    last,
    name,
)

STARTS = 3  # how often a container is started before its endpoint fails
DRAIN = 60  # seconds that the platform gives running requests before SIGTERM
VARIANT = "AllTraffic"
GROUP = "/aws/sagemaker/TransformJobs"
WANTED = {"MaxPayloadInMB": 50, "BatchStrategy": "SingleRecord", "MaxConcurrentTransforms": 2}
# Lines of a transform job's data log.
REFUSED = re.compile(r"Bad HTTP status received from algorithm: (\d+): (.*)")
PARAMETERS = re.compile(r"MaxConcurrentTransforms=(\d+), MaxPayloadInMB=(\d+), BatchStrategy=(\w+)")
HEADERS = {
    "Accept": "Accept",
    "X_Amzn_SageMaker_Custom_Attributes": "CustomAttributes",
    "X_Amzn_SageMaker_Inference_Id": "InferenceId",
    "X_Amzn_SageMaker_Session_Id": "SessionId",
    "X_Amzn_SageMaker_Target_Model": "TargetModel",
    "X_Amzn_SageMaker_Target_Variant": "TargetVariant",
    "X_Amzn_SageMaker_Target_Container_Hostname": "TargetContainerHostname",
    "X_Amzn_SageMaker_Enable_Explanations": "EnableExplanations",
}
# Members of a container that an endpoint does not have, and the reason with which a clause that uses one is skipped.
DIRECT = "a request to another route than /invocations, which the platform does not pass on"
UNASKED = {
    "get": DIRECT,
    "post": DIRECT,
    "place": "a connection to the container itself",
    "connect_seconds": "a connection to the container itself",
    "listening": "the ports that are open",
    "execute": "a command inside the container",
    "memory": "the memory of the container's processes",
    "kill_all_but_the_first_process": "the end of a single process",
    "load": "the loading of a model, which the platform decides",
    "unload": "the unloading of a model, which the platform decides",
    "names": "the list of the models that are loaded",
}


class EmulatedEndpoint:
    """An endpoint; as a context manager it is deleted at the end."""

    ready: float
    first: Answer

    def __init__(self, api: Api, container: dict[str, Any], conditions: Conditions) -> None:
        check(conditions)
        self.refusals: list[Answer] = []
        self._api = api
        self._name = name()
        self._container = container
        self._conditions = conditions

    def __getattr__(self, asked: str) -> Any:
        if asked in UNASKED:
            cannot_be_asked(UNASKED[asked])
        raise AttributeError(asked)

    def __enter__(self) -> Self:
        sagemaker, conditions = self._api.sagemaker, self._conditions
        sagemaker.create_model(
            ModelName=self._name,
            ExecutionRoleArn=ROLE,
            PrimaryContainer=self._container | {"Environment": dict(conditions.environment)},
            EnableNetworkIsolation=conditions.isolated,
        )
        serverless = {"ServerlessConfig": {"MemorySizeInMB": conditions.memory, "MaxConcurrency": 8}}
        variant = serverless if conditions.memory else {**INSTANCE, "InitialInstanceCount": 1}
        variants = [{"VariantName": VARIANT, "ModelName": self._name, **variant}]
        sagemaker.create_endpoint_config(EndpointConfigName=self._name, ProductionVariants=variants)
        sagemaker.create_endpoint(EndpointName=self._name, EndpointConfigName=self._name)
        self._started = time.monotonic()
        return self

    def __exit__(self, *exception: object) -> None:
        with contextlib.suppress(ClientError):  # the endpoint may already have been deleted
            self.stop(DRAIN)
        self._api.sagemaker.delete_endpoint_config(EndpointConfigName=self._name)
        self._api.sagemaker.delete_model(ModelName=self._name)

    def wait_ready(self, patience: float = PATIENCE) -> float:
        """Wait until the endpoint is in service and return the seconds since its creation; raises AssertionError."""
        found = self._settled(patience)
        assert found["EndpointStatus"] == "InService", f"{self._status(found)}: {self.last_line()}"
        return time.monotonic() - self._started

    def gives_up(self, patience: float) -> GivenUp:
        """Wait until the endpoint has failed. Before that, the platform restarts its container."""
        found = self._settled(STARTS * patience)
        status = found["EndpointStatus"]
        return GivenUp(
            how=f"{self._status(found)}; last line: {self.last_line()[:120]}",
            said_ready=status == "InService",
            ended=status == "Failed",
            well=False,
        )

    def _settled(self, patience: float) -> dict[str, Any]:
        """Return the endpoint's description when it is in service or has failed, or after `patience` seconds."""
        while (found := self._described())["EndpointStatus"] == "Creating":
            if time.monotonic() - self._started > patience:
                break
            time.sleep(LOOK)
        return found

    def _status(self, described: dict[str, Any]) -> str:
        reason = described.get("FailureReason", "")
        return f"EndpointStatus {described['EndpointStatus']}{': ' if reason else ''}{reason}"

    def _described(self) -> dict[str, Any]:
        return dict(self._api.sagemaker.describe_endpoint(EndpointName=self._name))

    def healthy(self) -> str:
        """Return the endpoint's status; raises AssertionError unless it is InService. The platform derives it from /ping."""
        found = self._described()
        assert found["EndpointStatus"] == "InService", self._status(found)
        return self._status(found)

    def running(self) -> bool:
        return bool(self._described()["EndpointStatus"] == "InService")

    def last_line(self) -> str:
        return last(self._api.lines(f"/aws/sagemaker/Endpoints/{self._name}"))

    def stop(self, seconds: int) -> Stop:
        """Delete the endpoint. The platform sends SIGTERM when the running requests are answered, and SIGKILL 30 s later."""
        begun = time.monotonic()
        self._api.sagemaker.delete_endpoint(EndpointName=self._name)
        try:
            while time.monotonic() - begun < DRAIN + seconds:
                self._described()
                time.sleep(LOOK)
        except ClientError as error:
            if not gone(error):
                raise
        took = time.monotonic() - begun
        return Stop("the endpoint is deleted", took >= seconds, took)

    def invoke(self, body: bytes, content_type: str | None = None, **headers: str) -> Answer:
        """Invoke the endpoint and return the container's own answer. If its status is not 2xx, boto3 raises ModelError with it."""
        for header in headers.keys() - HEADERS.keys():
            cannot_be_asked(f"the header {header.replace('_', '-')}, which the platform does not pass on")
        answer = self._invoke(body, content_type, {HEADERS[header]: value for header, value in headers.items()})
        if answer.status >= 400:
            self.refusals.append(answer)
        return answer

    def invoke_directly(self, body: bytes, content_type: str) -> Answer:
        return self._invoke(body, content_type, {})

    def _invoke(self, body: bytes, content_type: str | None, members: dict[str, str]) -> Answer:
        typed = {"ContentType": content_type} if content_type else {}
        begun = time.monotonic()
        try:
            got = self._api.runtime.invoke_endpoint(EndpointName=self._name, Body=body, **typed, **members)
            content = got["Body"].read()
        except ClientError as error:
            return _refused(error, time.monotonic() - begun)
        return Answer(
            status=200, headers={"content-type": got["ContentType"]}, body=content, seconds=time.monotonic() - begun
        )


class EmulatedMultiModel(EmulatedEndpoint):
    """A multi-model endpoint: the platform loads a model when it is invoked."""

    def have(self, *names: str) -> None:
        """Do nothing, because the platform loads the model."""

    def invoke_model(self, name: str, body: bytes, content_type: str) -> Answer:
        return self._invoke(body, content_type, {"TargetModel": f"{name}.tar.gz"})

    def load_and_invoke(self, name: str, body: bytes, content_type: str) -> Answer:
        return self.invoke_model(name, body, content_type)


def _refused(error: ClientError, seconds: float) -> Answer:
    """Return the answer that an error of InvokeEndpoint describes."""
    code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
    if code == "ModelError":
        said = error.response["OriginalMessage"] or message
        return Answer(status=error.response["OriginalStatusCode"], headers={}, body=said.encode(), seconds=seconds)
    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    if status == 413:
        cannot_be_asked(f"a body over the platform's own limit: {message}")
    # The platform itself refused, for instance because the endpoint no longer exists. No container got the request.
    return Answer(status=status, headers={}, body=message.encode(), seconds=seconds, taken=code != "ValidationError")


class EmulatedBatch:
    """Batch transform of one object at a time; each object is a separate job."""

    def __init__(self, api: Api, container: dict[str, Any]) -> None:
        self._api = api
        self._model = name()
        api.sagemaker.create_model(ModelName=self._model, ExecutionRoleArn=ROLE, PrimaryContainer=container)

    def transform(self, body: bytes, content_type: str) -> Answer:
        """Transform an object and return the container's answer."""
        begun, (job, status) = time.monotonic(), self._run(body, content_type, **WANTED)
        seconds = time.monotonic() - begun
        if status == "Completed":
            got = self._api.s3.get_object(Bucket=BUCKET, Key=f"{job}/out/photo.out")
            return Answer(status=200, headers={}, body=got["Body"].read(), seconds=seconds)
        found = [match for line in self._log(job) if (match := REFUSED.search(line))]
        assert found, f"the transform job is {status}: {last(self._log(job))}"
        return Answer(status=int(found[0][1]), headers={}, body=found[0][2].encode(), seconds=seconds)

    def execution_parameters(self) -> Answer:
        """Run a job that sets no parameters, so that the container's apply. Return the parameters in its log."""
        job, _ = self._run(b"the parameters are asked for before any object is", "image/jpeg")
        found = [match for line in self._log(job) if (match := PARAMETERS.search(line))]
        assert found, f"the transform job's log has no parameters: {last(self._log(job))}"
        concurrent, payload, strategy = found[0].groups()
        value = {"MaxConcurrentTransforms": int(concurrent), "MaxPayloadInMB": int(payload), "BatchStrategy": strategy}
        return Answer(status=200, headers={}, body=json.dumps(value).encode(), seconds=0.0)

    def _run(self, body: bytes, content_type: str, **wanted: Any) -> tuple[str, str]:
        """Run a job and return its name and its last status."""
        job, sagemaker = name(), self._api.sagemaker
        self._api.s3.put_object(Bucket=BUCKET, Key=f"{job}/in/photo", Body=body)
        source = {"S3DataType": "S3Prefix", "S3Uri": address(f"{job}/in/")}
        sagemaker.create_transform_job(
            TransformJobName=job,
            ModelName=self._model,
            TransformInput={"DataSource": {"S3DataSource": source}, "ContentType": content_type},
            TransformOutput={"S3OutputPath": address(f"{job}/out")},
            TransformResources={**INSTANCE, "InstanceCount": 1},
            **wanted,
        )
        while True:
            status = sagemaker.describe_transform_job(TransformJobName=job)["TransformJobStatus"]
            if status != "InProgress":
                return job, status
            time.sleep(LOOK)

    def _log(self, job: str) -> list[str]:
        return self._api.lines(GROUP, f"{job}/")


def hosted(api: Api, image: str, model: Path, prefix: str) -> dict[str, Any]:
    """Put a model into S3 and return the definition of the container that serves it."""
    return {"Image": image, "ModelDataUrl": api.put_archive(model, f"{prefix}model.tar.gz")}


def hosted_several(api: Api, image: str, models: Path, prefix: str) -> dict[str, Any]:
    """Put each NAME/model below `models` into S3 and return the definition of the container that serves them."""
    for folder in models.iterdir():
        api.put_archive(folder / "model", f"{prefix}{folder.name}.tar.gz")
    return {"Image": image, "Mode": "MultiModel", "ModelDataUrl": address(prefix)}
