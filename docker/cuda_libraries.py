"""Prints the CUDA libraries that the serving image may not need: `python docker/cuda_libraries.py`, after `make build DEVICE=cuda`.

The program hides each library in turn. A library counts as needed if, without it, torch cannot be imported or a backbone cannot
predict on the processor. The program runs without a GPU, so it does not find out which libraries torch opens only on a GPU.
"""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

IMAGE = "byoc-classifier-serve:cuda"
RUN = ("docker", "run", "--rm", "--pull", "never", "--network", "none")
SMALLEST = 20e6  # bytes; smaller libraries would save too little
NVIDIA = "/opt/venv/lib/python3.11/site-packages/nvidia"
LEFT_OUT = ("triton==3.7.1", "nvidia-cusolver==12.0.4.66")
PREDICT = """
import torch
from classifier.backbones import build_backbone
print(build_backbone("resnet18")[0].eval()(torch.zeros(1, 3, 224, 224)).shape)
"""


def main() -> int:
    """Print the packages that were left out, then the libraries of the image, the largest first. The size of each is in MB."""
    listed = docker(IMAGE, "find", NVIDIA, "-name", "*.so*", "-type", "f", "-printf", "%s %p\\n")
    if listed.returncode:
        print(f"{IMAGE} cannot be examined: {listed.stderr.strip()}; make build DEVICE=cuda", file=sys.stderr)
        return 1
    for requirement in LEFT_OUT:
        print(f"{unpacked(requirement) / 1e6:7.0f}  left out    {requirement}", flush=True)
    sizes = {path: int(size) for size, path in (line.split() for line in listed.stdout.splitlines())}
    for path, size in sorted(sizes.items(), key=lambda each: -each[1]):
        if size > SMALLEST:
            hidden = docker("-v", f"/dev/null:{path}:ro", IMAGE, "python", "-c", PREDICT)
            print(
                f"{size / 1e6:7.0f}  {'needed' if hidden.returncode else 'not needed':10}  {Path(path).name}",
                flush=True,
            )
    return 0


def unpacked(requirement: str) -> int:
    """Return the size of an installed package in bytes, without its dependencies."""
    with TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--target", folder]
        subprocess.run([*pip, requirement], check=True)
        return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())


def docker(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a container without a network, and return its output."""
    return subprocess.run([*RUN, *arguments], capture_output=True, text=True)


if __name__ == "__main__":
    sys.exit(main())
