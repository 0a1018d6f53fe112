"""A running multi-model endpoint, and requests to it over HTTP."""

import http.client
import json
from pathlib import Path
from typing import Any

from tests.server import workers


class Endpoint:
    """A multi-model endpoint: its port, its folder of models and its process."""

    def __init__(self, port: int, models: Path, pid: int) -> None:
        self._port, self.models, self.pid = port, models, pid

    def ask(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=120)
        data = body if isinstance(body, bytes) or body is None else json.dumps(body)
        connection.request(method, path, data, {"Content-Type": content_type})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, json.loads(text) if text else None

    def load(self, name: str) -> tuple[int, Any]:
        return self.ask("POST", "/models", {"model_name": name, "url": str(self.models / name / "model")})

    def workers(self) -> int:
        return len(workers(self.pid))
