"""Copies the output of a job's containers to CloudWatch, while they run."""

import threading
import time
from collections.abc import Callable, Sequence

from local_test.sagemaker.cloud import Cloud
from local_test.sagemaker.logs import TRAINING as LOG_GROUP
from local_test.sagemaker.logs import Stream
from local_test.sagemaker.machine import Running
from local_test.sagemaker.metrics import TRAINING as NAMESPACE
from local_test.sagemaker.metrics import MetricReader, Point, final
from local_test.sagemaker.store import Resource

Watch = Callable[[Sequence[Point]], None]


class Report:
    """The logs and metrics of one job, over all its attempts; `watch` is called with each new value of a metric."""

    def __init__(self, cloud: Cloud, resource: Resource, watch: Watch | None = None) -> None:
        self._cloud = cloud
        self._resource = resource
        self._watch = watch
        self._points: list[Point] = []
        self._streams: set[str] = set()

    def read(self, running: Running, number: int) -> threading.Thread:
        """Start a thread that reads all lines of a host, and return the thread."""
        thread = threading.Thread(
            target=self._read,
            args=(running, self._stream(number)),
            name=f"log {self._resource.name}",
            daemon=True,
        )
        thread.start()
        return thread

    def _stream(self, number: int) -> Stream:
        """Return a host's stream, with a name as SageMaker gives it: <job>/algo-<n>-<epoch>. Each attempt has its own stream,
        even if two attempts begin in the same second.
        """
        second = int(time.time())
        while (name := f"{self._resource.name}/algo-{number}-{second}") in self._streams:
            second += 1
        self._streams.add(name)
        return self._cloud.logs.stream(LOG_GROUP, name)

    def _read(self, running: Running, stream: Stream) -> None:
        reader = MetricReader(self._resource.request["AlgorithmSpecification"].get("MetricDefinitions") or [])
        for line in running.lines():
            stream.write([line])
            if points := reader.read(line):
                self._cloud.metrics.put(NAMESPACE, {"TrainingJobName": self._resource.name}, points)
                # The threads of other hosts add points too.
                with self._cloud.store.changing(self._resource) as state:
                    self._points += points
                    state["FinalMetricDataList"] = final(self._points)
                if self._watch:
                    self._watch(points)
