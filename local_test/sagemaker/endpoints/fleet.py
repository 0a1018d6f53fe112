"""The instances of all variants of an endpoint configuration, and which of them answers an invocation."""

import random
import shutil
import threading
import time
import uuid
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from local_test.sagemaker.cloud import Cloud
from local_test.sagemaker.endpoints.instance import Instance, new_id
from local_test.sagemaker.endpoints.model_data import ModelData, NoModelData, bring
from local_test.sagemaker.endpoints.multi_model import Models
from local_test.sagemaker.logs import ENDPOINTS
from local_test.sagemaker.machine import Container, Mount

STARTUP = 8 * 60  # seconds within which the container must answer /ping (C 3.1)
SERVERLESS_STARTUP = 3 * 60  # seconds within which a serverless variant must answer /ping (C 3.5)
PORT = 8080
MODEL, MODELS = PurePosixPath("/opt/ml/model"), PurePosixPath("/opt/ml/models")
STEP = 0.05


class NotServing(Exception):
    """A fleet did not get ready; the text becomes the endpoint's FailureReason."""


class GivenUp(Exception):
    """The emulator ended while a fleet started."""


class Variant:
    """A production variant: its model's data on this machine, and its instances."""

    def __init__(self, cloud: Cloud, endpoint: str, config: Mapping[str, Any], folder: Path) -> None:
        self.name: str = config["VariantName"]
        self.weight = float(config["InitialVariantWeight"])
        self.instances: list[Instance] = []
        self.models: dict[Instance, Models] = {}  # the models that each instance of a multi-model endpoint has loaded
        self.serverless: dict[str, Any] | None = config.get("ServerlessConfig")
        self.in_flight = 0  # the invocations that a serverless variant answers at the moment
        self.lock = threading.Lock()
        self._cloud = cloud
        self._endpoint = endpoint
        self._config = config
        self._folder = folder
        self._data = ModelData.of(config["_Container"])

    @property
    def several(self) -> bool:
        """Return whether the variant hosts several models. Each invocation then names a model."""
        return self._data.several

    def prepare(self) -> None:
        """Download the model's data; raises NoModelData."""
        if self._data.several:
            return
        if self._data.source:
            bring(self._data.source, self._cloud.storage, self._folder / "model")
        else:
            (self._folder / "model").mkdir(parents=True)

    def grow(self, count: int) -> list[Instance]:
        """Start `count` more instances and return them."""
        fresh = [self._instance() for _ in range(count)]
        for instance in fresh:
            instance.start()
        self.instances = [*self.instances, *fresh]
        return fresh

    def shrink(self, leaving: list[Instance]) -> None:
        """Stop instances that get no more invocations."""
        self.instances = [instance for instance in self.instances if instance not in leaving]
        for instance in leaving:
            instance.end()
        for instance in leaving:
            instance.wait()
            if models := self.models.pop(instance, None):
                models.remove()

    def take(self) -> Instance | None:
        """Return a ready instance for an invocation, or None if no instance is ready. The caller releases the instance afterwards."""
        ready = [instance for instance in self.instances if instance.ready]
        if (self._config.get("RoutingConfig") or {}).get("RoutingStrategy") == "LEAST_OUTSTANDING_REQUESTS":
            ready.sort(key=lambda instance: instance.outstanding)
        else:
            random.shuffle(ready)  # API, ProductionVariantRoutingConfig: RANDOM is the default
        return next((instance for instance in ready if instance.take()), None)

    def _instance(self) -> Instance:
        identity = new_id()
        container = self._config["_Container"]
        variables = dict(container.get("Environment") or {})
        folder, target = self._folder / "model", MODEL
        if self.several:
            variables |= {"SAGEMAKER_MULTI_MODEL": "true"}  # the container then hosts several models (C 3.4)
            folder, target = self._folder / identity, MODELS
            folder.mkdir(parents=True)
        instance = Instance(
            self._cloud,
            self._endpoint,
            Container(
                name=f"{self._endpoint}-{self.name}-{identity}",
                image=container["Image"],
                command=("serve",),
                environment=variables,
                mounts=(Mount(folder, target, read_only=True),),
                isolated=bool(self._config["_Isolated"]),
                port=PORT,
                memory=(self.serverless or {}).get("MemorySizeInMB"),
            ),
            self._cloud.logs.stream(f"{ENDPOINTS}/{self._endpoint}", f"{self.name}/{identity}"),
            self._startup(),
        )
        if self.several:
            assert self._data.source
            enabled = (container.get("MultiModelConfig") or {}).get("ModelCacheSetting") != "Disabled"
            self.models[instance] = Models(instance, self._data.source.where, self._cloud.storage, folder, enabled)
        return instance

    def _startup(self) -> float:
        if self.serverless:
            return SERVERLESS_STARTUP
        return float(self._config.get("ContainerStartupHealthCheckTimeoutInSeconds") or STARTUP)


class Fleet:
    """The variants of one endpoint configuration, as they run for an endpoint."""

    def __init__(self, cloud: Cloud, endpoint: str, config: Mapping[str, Any]) -> None:
        self.config = config
        self._cloud = cloud
        self._folder: Path = cloud.settings.work / f"endpoint-{endpoint}-{uuid.uuid4().hex[:8]}"
        self.variants = {
            entry["VariantName"]: Variant(cloud, endpoint, entry, self._folder / entry["VariantName"])
            for entry in config["ProductionVariants"]
        }

    def start(self) -> None:
        """Download the models' data, start all instances, and return when all are ready; raises NotServing and GivenUp."""
        for variant, entry in zip(self.variants.values(), self.config["ProductionVariants"], strict=True):
            try:
                variant.prepare()
            except NoModelData as error:
                raise NotServing(str(error)) from None
            variant.grow(entry.get("InitialInstanceCount") or 1)
        for variant in self.variants.values():
            self.until_ready(variant, variant.instances)

    def until_ready(self, variant: Variant, instances: list[Instance]) -> None:
        """Return when instances of a variant are ready; raises NotServing and GivenUp."""
        while not all(instance.ready for instance in instances):
            if self._cloud.background.ending.is_set():
                raise GivenUp
            if failed := next((instance.failure for instance in instances if instance.failure), ""):
                raise NotServing(
                    f"The primary container for production variant {variant.name} {failed}. Please check CloudWatch logs for "
                    "this endpoint."
                )
            time.sleep(STEP)

    def choose(self, target: str | None) -> Variant | None:
        """Return the variant with this name, or None if there is no such variant. Without a name, choose one by the weights."""
        if target is not None:
            return self.variants.get(target)
        variants = list(self.variants.values())
        return random.choices(variants, [variant.weight for variant in variants])[0]

    def end(self) -> None:
        """Stop all instances, and return when they have ended."""
        for variant in self.variants.values():
            for instance in variant.instances:
                instance.end()
        for variant in self.variants.values():
            for instance in variant.instances:
                instance.wait()
        shutil.rmtree(self._folder, ignore_errors=True)
