"""Starts LitServe with an image classifier as in its documentation: python -m benchmarks.peers.litserve_server PORT WORKERS"""

import sys
from typing import Any

import litserve  # type: ignore[import-not-found, unused-ignore]

from benchmarks.peers.models import OURS, Eager, Ours


class Classifier(litserve.LitAPI):  # type: ignore[misc]
    """A classifier with one of the two models of peers/models.py."""

    def setup(self, device: str) -> None:
        self.model: Any = Ours() if OURS else Eager()

    def decode_request(self, request):  # type: ignore[no-untyped-def] # LitServe reads the type of `request`; without a type it is a form
        return self.model.decode(request["photo"].file.read())[None]

    def predict(self, images: Any) -> Any:
        return self.model.probabilities(images)[0]

    def encode_response(self, output: Any) -> dict[str, str]:
        return {"answer": self.model.answer(output)}


if __name__ == "__main__":
    server = litserve.LitServer(Classifier(), accelerator="cpu", workers_per_device=int(sys.argv[2]))
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning")
