"""The suite's default platform: `docker run`, with the mounts, limits and names that SageMaker gives a container."""

import contextlib
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from local_test.contract.client import Answer, Endpoint, send
from local_test.contract.conditions import USUAL, Conditions
from local_test.contract.engine import Container, internal_network, open_up
from local_test.contract.job import PATIENCE, Ended, Job

LATE = 4  # seconds between the starts of two hosts of a job
ROOT = "/opt/ml/models"
LOADING = 360  # seconds that the platform gives a model to load
BATCH = {
    "SAGEMAKER_BATCH": "true",
    "SAGEMAKER_MAX_PAYLOAD_IN_MB": "50",
    "SAGEMAKER_BATCH_STRATEGY": "SINGLE_RECORD",
    "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": "2",
}


class StartedJob(Container):
    """The container of a job. At its end the suite gets the permission to read the job's files."""

    def __init__(self, job: Job, image: str, command: Sequence[str], options: Sequence[str]) -> None:
        self.job = job
        self.image = image
        super().__init__(image, command, options)

    def __exit__(self, *exception: object) -> None:
        self.remove()
        open_up(self.image, self.job.folder)

    def ended(self) -> Ended:
        """Wait for the container's end and return what the job left."""
        status = self.wait(PATIENCE)
        if status is None:
            self.stop(1)
        changes = self.changes()
        return Ended(
            job=self.job,
            status=status,
            log=self.logs(),
            last_line=self.last_line(),
            changes=lambda: changes,
            failure=lambda: self.job.failure,
        )


class Batch(Endpoint):
    """A container that is started as batch transform starts it."""

    def transform(self, body: bytes, content_type: str) -> Answer:
        return self.invoke(body, content_type)

    def execution_parameters(self) -> Answer:
        return self.get("/execution-parameters")


class MultiModel(Endpoint):
    """A container that hosts several models. At the start no model is loaded."""

    def load(self, name: str, url: str | None = None) -> Answer:
        body = json.dumps({"model_name": name, "url": url or f"{ROOT}/{name}/model"}).encode()
        return send(self.place, "POST", "/models", body, {"Content-Type": "application/json"}, LOADING)

    def have(self, *names: str) -> None:
        """Load those of the named models that are not loaded yet; raises AssertionError if a load fails."""
        for name in names:
            answer = self.load(name)
            assert answer.status in (200, 409), f"loading a good model gets {answer.brief()}"

    def unload(self, name: str) -> Answer:
        return send(self.place, "DELETE", f"/models/{name}")

    def names(self) -> list[str]:
        """The models that GET /models lists, over all its pages."""
        found, token = [], ""
        for _ in range(20):
            value = self.get(f"/models{token}").json or {}
            found += [item["modelName"] for item in value.get("models", [])]
            if not value.get("nextPageToken"):
                break
            token = f"?next_page_token={value['nextPageToken']}"
        return found

    def invoke_model(self, name: str, body: bytes, content_type: str) -> Answer:
        return self.post(f"/models/{name}/invoke", body, content_type)

    def load_and_invoke(self, name: str, body: bytes, content_type: str) -> Answer:
        """Load a model and invoke it. Return the refusal if the load is refused, else the model's answer."""
        answer = self.load(name)
        return self.invoke_model(name, body, content_type) if answer.status in (200, 409) else answer


class Containers:
    """Runs the containers of one image with `docker run`."""

    def __init__(self, image: str) -> None:
        self.image = image

    def start(self, job: Job, conditions: Conditions = USUAL) -> StartedJob:
        """Start a job's container; as a context manager it is removed at the end."""
        environment = {
            "TRAINING_JOB_NAME": "contract",
            "TRAINING_JOB_ARN": "arn:aws:sagemaker:us-east-1:1:training-job/c",
            **conditions.environment,
        }
        named = [part for pair in environment.items() for part in ("--env", "=".join(pair))]
        # A single host's name leads to the host itself, as on the platform. Several hosts find each other on their network.
        alone = () if len(job.hosts) > 1 else ("--add-host", f"{job.host}:127.0.0.1")
        network = ("--network", "none") if conditions.isolated else ()
        network = ("--network", "host") if conditions.hosts_network else network
        # 64 MB is the default of Docker, and so of local mode.
        options = ["--shm-size", "64m", *alone, *named, *job.mounts(), *network, *conditions.options]
        command = ("train",) if conditions.command is None else conditions.command
        return StartedJob(job, conditions.image or self.image, command, options)

    def run(self, job: Job, conditions: Conditions = USUAL) -> Ended:
        """Run a job to its end and return what it left."""
        with self.start(job, conditions) as started:
            return started.ended()

    def run_hosts(self, jobs: Sequence[Job]) -> list[Ended]:
        """Run the hosts of one job on their own network; all hosts except the first start late."""
        with internal_network() as network, contextlib.ExitStack() as stack:
            started = list[StartedJob]()
            for job in jobs:
                time.sleep(LATE if started else 0)
                place = ("--network", network, "--network-alias", job.host, "--hostname", job.host)
                started.append(stack.enter_context(self.start(job, Conditions(options=place))))
            return [host.ended() for host in started]

    @contextlib.contextmanager
    def endpoint(self, model: Path, conditions: Conditions = USUAL) -> Iterator[Endpoint]:
        """Start a container that serves a model."""
        memory = f"{conditions.memory}m"
        options = ("--memory", memory, "--memory-swap", memory) if conditions.memory else ()
        with contextlib.ExitStack() as stack:
            network = stack.enter_context(internal_network()) if conditions.isolated else None
            endpoint = Endpoint(
                self.image,
                model,
                (*options, *conditions.options),
                environment=conditions.environment,
                port=conditions.port,
                network=network,
            )
            stack.enter_context(endpoint)
            if network and endpoint.unreachable():
                pytest.skip("this host cannot reach a container on an internal network")
            yield endpoint

    @contextlib.contextmanager
    def batch(self, model: Path) -> Iterator[Batch]:
        """Start a container that serves a model for batch transform, with payloads of at most 50 MB."""
        with Batch(self.image, model, environment=BATCH) as batch:
            batch.wait_ready()
            yield batch

    @contextlib.contextmanager
    def multi_model(self, models: Path) -> Iterator[MultiModel]:
        """Start a multi-model container; the folder `models` holds each model at NAME/model."""
        options = ("--volume", f"{models}:{ROOT}:ro")
        with MultiModel(self.image, None, options, environment={"SAGEMAKER_MULTI_MODEL": "true"}) as server:
            server.wait_ready()
            yield server
