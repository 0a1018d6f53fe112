"""Data capture: writes requests and answers as JSON lines to S3, for Model Monitor. The lines and the names of objects have the
form of the guide's example (model-monitor-data-capture).
"""

import base64
import json
import random
import tempfile
import threading
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from local_test.sagemaker.cloud import Cloud
from local_test.sagemaker.endpoints.client import Answer
from local_test.sagemaker.endpoints.invocation import PREFIX, Invocation
from local_test.sagemaker.storage import NoBucket, S3Uri

STEP = 0.2  # seconds between two checks for the end of the endpoint or the emulator
COLLECT = 2.0  # seconds for which lines are collected into one object; AWS takes a minute or two


class Capture:
    """The data capture of one endpoint."""

    def __init__(self, cloud: Cloud, endpoint: str, config: dict[str, Any]) -> None:
        modes = {entry["CaptureMode"] for entry in config["CaptureOptions"]}
        headers = config.get("CaptureContentTypeHeader") or {}
        self._input = bool(modes & {"Input", "InputAndOutput"})
        self._output = bool(modes & {"Output", "InputAndOutput"})
        self._percentage = config["InitialSamplingPercentage"]
        # Bodies whose type is in neither list are encoded in base64 (API, CaptureContentTypeHeader).
        self._encodings = {kind: "CSV" for kind in headers.get("CsvContentTypes") or []}
        self._encodings |= {kind: "JSON" for kind in headers.get("JsonContentTypes") or []}
        self._cloud = cloud
        self._where = S3Uri.parse(config["DestinationS3Uri"]).below(endpoint)
        self._lines: dict[str, list[str]] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        cloud.background.start(f"capture of {endpoint}", self._run)

    def add(self, variant: str, invocation: Invocation, answer: Answer) -> None:
        """Capture an invocation if it belongs to the sample."""
        if random.random() * 100 >= self._percentage or not isinstance(invocation.body, bytes):
            return
        data = {}
        if self._input:
            kind = invocation.headers.get("Content-Type", "")
            data["endpointInput"] = self._encoded("INPUT", kind, invocation.body)
        if self._output:
            data["endpointOutput"] = self._encoded("OUTPUT", answer.headers.get("content-type", ""), answer.body)
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        metadata: dict[str, Any] = {"eventId": str(uuid.uuid4()), "inferenceTime": now}
        if inference := invocation.headers.get(f"{PREFIX}Inference-Id"):
            metadata["inferenceId"] = inference
        if attributes := invocation.headers.get(f"{PREFIX}Custom-Attributes"):
            metadata["customAttributes"] = [attributes]
        line = json.dumps({"captureData": data, "eventMetadata": metadata, "eventVersion": "0"})
        with self._lock:
            self._lines.setdefault(variant, []).append(line)

    def close(self) -> None:
        self._closed.set()

    def _encoded(self, mode: str, kind: str, body: bytes) -> dict[str, str]:
        encoding = self._encodings.get(kind.split(";")[0].strip().lower(), "BASE64")
        data = base64.b64encode(body).decode() if encoding == "BASE64" else body.decode("utf-8", "replace")
        return {"observedContentType": kind, "mode": mode, "data": data, "encoding": encoding}

    def _run(self) -> None:
        written = time.monotonic()
        while not (self._closed.wait(STEP) or self._cloud.background.ending.is_set()):
            if time.monotonic() - written > COLLECT:
                self._write()
                written = time.monotonic()
        self._write()

    def _write(self) -> None:
        """Put the collected lines into S3: <destination>/<endpoint>/<variant>/yyyy/mm/dd/hh/<file>.jsonl."""
        with self._lock:
            lines, self._lines = self._lines, {}
        now = datetime.now(UTC)
        for variant, found in lines.items():
            name = f"{variant}/{now:%Y/%m/%d/%H}/{now:%M-%S}-{now.microsecond // 1000:03}-{uuid.uuid4()}.jsonl"
            with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
                file.write("".join(f"{line}\n" for line in found))
                file.flush()
                try:
                    self._cloud.storage.put(self._where.below(name), Path(file.name))
                except NoBucket:
                    self._cloud.say(f"captured data are lost: there is no bucket {self._where.bucket}")
