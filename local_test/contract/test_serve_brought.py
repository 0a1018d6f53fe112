"""Serving with users' code: inference code in the artifact, and the packages that it imports."""

import json
from collections.abc import Callable
from pathlib import Path

from local_test.contract.clause import OWN, clause
from local_test.contract.conditions import Conditions
from local_test.contract.conftest import readable
from local_test.contract.platforms import Platform

Seen = Callable[[str], None]
ALLOWED = Conditions(environment={"ALLOW_MODEL_CODE": "true"})
# Inference code as in notebooks. It has no output_fn, so the toolkit's default_output_fn writes the answer.
FUNCTIONS = """
import io, json
from PIL import Image

def model_fn(model_dir):
    return open(model_dir + "/scale.txt").read()

def input_fn(request_body, content_type="image/jpeg"):
    if content_type == "application/json":
        return json.loads(request_body)["size"]
    return Image.open(io.BytesIO(request_body)).size

def predict_fn(input_object, model):
    return [float(model) * value for value in input_object]
"""
CONTEXT = """
def model_fn(model_dir, context):
    return context.system_properties["model_dir"]

def transform_fn(model, body, content_type, accept, context):
    headers = context.get_all_request_header(0)
    return {"model": model, "text": isinstance(body, str), "attributes": headers["X-Amzn-SageMaker-Custom-Attributes"]}
"""
IMPORTS = """
import numpy, requests, timm, torch, torchvision
from PIL import Image
from torchvision import models, transforms

def model_fn(model_dir):
    return models.resnet18(weights=None).eval(), timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()

def input_fn(body, content_type):
    return transforms.Compose([transforms.Resize((32, 32)), transforms.ToTensor()])(Image.new("RGB", (64, 48)))

def predict_fn(data, model):
    with torch.no_grad():
        shapes = [list(part(data[None]).shape) for part in model]
    return {"shapes": shapes, "versions": [numpy.__version__, torch.__version__, torchvision.__version__, requests.__version__]}
"""


def artifact(folder: Path, program: str) -> Path:
    (folder / "code").mkdir(parents=True)
    (folder / "code" / "inference.py").write_text(program)
    (folder / "scale.txt").write_text("0.5")
    readable(folder)
    return folder


@clause(
    "inference code with model_fn, input_fn and predict_fn, without output_fn, answers as in the stock toolkit", OWN
)
def test_the_original_functions_without_output_fn_answer(
    platform: Platform, photo: bytes, tmp_path: Path, seen: Seen
) -> None:
    with platform.endpoint(artifact(tmp_path / "model", FUNCTIONS), ALLOWED) as endpoint:
        endpoint.wait_ready()
        answer = endpoint.invoke(photo, "image/jpeg")
        text = endpoint.invoke(b'{"size": [4, 6]}', "application/json", Accept="text/csv")
    seen(f"image/jpeg {answer.brief()}, application/json {text.brief()}")
    assert answer.status == 200 and answer.headers["content-type"] == "application/json" and len(answer.json) == 2
    assert (text.status, text.headers["content-type"], text.body) == (200, "text/csv", b"2.0\n3.0\n")


@clause(
    "functions with the parameter `context` get it, a JSON body reaches them as text, and their dict is written as JSON",
    OWN,
)
def test_functions_get_the_context_and_may_answer_a_dict(platform: Platform, tmp_path: Path, seen: Seen) -> None:
    headers = {"X_Amzn_SageMaker_Custom_Attributes": "trace=7"}
    with platform.endpoint(artifact(tmp_path / "model", CONTEXT), ALLOWED) as endpoint:
        endpoint.wait_ready()
        answer = endpoint.invoke(b"{}", "application/json", **headers)
    seen(answer.brief())
    assert answer.status == 200
    assert answer.json == {"model": "/opt/ml/model", "text": True, "attributes": "trace=7"}


@clause("inference code may import and use torch, torchvision, timm, PIL, numpy and requests", OWN)
def test_what_inference_code_imports_is_there_and_works(
    platform: Platform, photo: bytes, tmp_path: Path, seen: Seen
) -> None:
    with platform.endpoint(artifact(tmp_path / "model", IMPORTS), ALLOWED) as endpoint:
        endpoint.wait_ready()
        answer = endpoint.invoke(photo, "image/jpeg")
    seen(answer.brief() if answer.status != 200 else json.dumps(answer.json["versions"]))
    assert answer.status == 200 and answer.json["shapes"] == [[1, 1000], [1, 1000]]
