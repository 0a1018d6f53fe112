"""Code that users bring to a training image: a script with a second module, as a folder, as an archive, or in a derived image."""

import contextlib
import http.server
import io
import json
import tarfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

from local_test.contract.engine import EngineError, docker, unique_name

# A user's script. It writes its arguments, and a word from its second module, to a file in the model folder.
SCRIPT = """
import json, os, sys
import neighbour
folder = os.environ.get("SM_MODEL_DIR", "/opt/ml/model")
with open(os.path.join(folder, "brought.json"), "w") as file:
    json.dump({"arguments": sys.argv[1:], "neighbour": neighbour.WORD}, file)
"""
FILES = {"brought.py": SCRIPT, "neighbour.py": "WORD = 'found'\n"}
# A script that uses one operator from each package that users import. It needs no network.
IMPORTS = """
import io, os
import numpy as np
import timm
import torch
import torchvision
from PIL import Image
from torchvision import models, transforms
buffer = io.BytesIO()
Image.fromarray(np.arange(64 * 64 * 3, dtype=np.uint8).reshape(64, 64, 3)).save(buffer, "JPEG")
photo = transforms.Compose([transforms.Resize(64), transforms.ToTensor()])(Image.open(buffer))[None]
scores = models.resnet18(weights=None).eval()(photo)
features = timm.create_model("resnet18", num_classes=0).eval()(photo)
overlap = torchvision.ops.box_iou(torch.tensor([[0.0, 0, 4, 4]]), torch.tensor([[0.0, 0, 4, 2]]))
assert scores.shape == (1, 1000) and features.shape == (1, 512) and overlap.item() == 0.5
torch.save(scores, os.path.join(os.environ["SM_MODEL_DIR"], "scores.pth"))
"""


def write(folder: Path, files: Mapping[str, str] = FILES) -> Path:
    """Write files into a folder and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def archive(path: Path, files: Mapping[str, str] = FILES) -> Path:
    """Write files into a .tar.gz and return it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    return path


def script(name: str, source: str) -> dict[str, str]:
    """Return the hyperparameters that name a script, as the SDK sends them."""
    return {"sagemaker_program": json.dumps(name), "sagemaker_submit_directory": json.dumps(source)}


@contextlib.contextmanager
def derived(image: str, folder: Path, **environment: str) -> Iterator[str]:
    """Build a derived image with the folder's modules in /opt/ml/code and with variables. Remove the image at the end."""
    variables = "".join(f"ENV {name}={value}\n" for name, value in environment.items())
    (folder / "Dockerfile").write_text(f"FROM {image}\nCOPY *.py /opt/ml/code/\n{variables}")
    name = unique_name()
    docker("build", "--quiet", "--tag", name, str(folder))
    try:
        yield name
    finally:
        with contextlib.suppress(EngineError):
            docker("image", "rm", "--force", name)


@contextlib.contextmanager
def bucket(content: bytes) -> Iterator[dict[str, str]]:
    """Serve one object of an S3 bucket on the loopback interface; yields the variables for the program that fetches it."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("ETag", '"1"')
            self.end_headers()

        def do_GET(self) -> None:
            self.do_HEAD()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    named = {"AWS_ACCESS_KEY_ID": "fake", "AWS_SECRET_ACCESS_KEY": "fake", "AWS_REGION": "us-east-1"}
    # S3_ENDPOINT_URL is the toolkit's own variable.
    named |= {"S3_ENDPOINT_URL": url, "AWS_ENDPOINT_URL_S3": url, "AWS_EC2_METADATA_DISABLED": "true"}
    try:
        yield named
    finally:
        server.shutdown()
        server.server_close()
