"""The server's probabilities equal those of training's own code for the same file; `draft` decoding changes no important answer."""

import json
import urllib.request
from pathlib import Path

import pytest
import torch

from classifier import artifact
from classifier.images import load_pixels
from launch.server import serving
from tests.conftest import SHARED, needs_openvino


def photos(samples: Path) -> list[Path]:
    """At least 50 photos: the natural ones if they are beside the project, else the samples' test photos."""
    found = sorted((SHARED / "photos").glob("*.[jJ]*")) or sorted(samples.glob("test/*/*.jpg"))
    return found[:: max(1, len(found) // 60)][:60]


@pytest.mark.slow
@pytest.mark.parametrize("backend", [pytest.param("openvino", marks=needs_openvino), "torch"])
def test_served_probabilities_at_float32_equal_trainings_to_four_digits(
    plain_model: Path, samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    classifier, spec = artifact.load(plain_model)
    files = photos(samples)
    assert len(files) >= 50
    monkeypatch.setenv("BYOC_BACKEND", backend)
    with serving(plain_model, 0, tmp_path / "log.txt") as url:
        for file in files:
            data = file.read_bytes()
            with torch.inference_mode():
                expected = classifier(torch.from_numpy(load_pixels(data, spec.preprocessing))[None]).softmax(1)[0]
            request = urllib.request.Request(f"{url}/invocations", data=data, headers={"Content-Type": "image/jpeg"})
            with urllib.request.urlopen(request, timeout=60) as answer:
                predictions = json.load(answer)["predictions"]
                assert len(predictions) == 5
                for item in predictions:
                    number = spec.classes.index(item["label"])
                    assert item["probability"] == pytest.approx(float(expected[number]), abs=1e-4), file
