"""LitServe with an image classifier as its documentation writes it: python -m benchmarks.peers.litserve_server PORT WORKERS [ours]"""

import io
import os
import sys
from pathlib import Path
from typing import Any

import litserve  # type: ignore[import-not-found, unused-ignore]
from PIL import Image

PORT, WORKERS, OURS = int(sys.argv[1]), int(sys.argv[2]), "ours" in sys.argv[3:]


class Documented(litserve.LitAPI):  # type: ignore[misc]
    """PIL and torchvision's transforms, then an eager forward pass."""

    def setup(self, device: str) -> None:
        from benchmarks.peers.eager import Eager

        self.model = Eager(Path(os.environ["BENCH_ARTIFACT"]))

    def decode_request(self, request):  # type: ignore[no-untyped-def] # LitServe reads its type: a form, when none is named
        return self.model.transform(Image.open(io.BytesIO(request["photo"].file.read())).convert("RGB"))[None]

    def predict(self, images: Any) -> Any:
        return self.model.predict(images)[0]

    def encode_response(self, output: Any) -> dict[str, str]:
        return {"answer": self.model.answer(output)}


class Ours(Documented):
    """Our decode and model."""

    def setup(self, device: str) -> None:
        from serve.predictor import Predictor

        self.predictor = Predictor(Path(os.environ["BENCH_PREPARED"]), threads=1)

    def decode_request(self, request):  # type: ignore[no-untyped-def] # LitServe reads its type: a form, when none is named
        return self.predictor.decode(request["photo"].file.read())[None]

    def predict(self, images: Any) -> Any:
        return self.predictor.probabilities(images)[0]

    def encode_response(self, output: Any) -> dict[str, Any]:
        best = (-output).argsort()[:5]
        return {self.predictor.classes[index]: float(output[index]) for index in best}


if __name__ == "__main__":
    server = litserve.LitServer(Ours() if OURS else Documented(), accelerator="cpu", workers_per_device=WORKERS)
    server.run(host="127.0.0.1", port=PORT, generate_client_file=False, log_level="warning")
