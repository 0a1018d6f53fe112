"""Which CUDA libraries inference could do without: hides each of them in turn from the CUDA serving image.

    python -m benchmarks.cuda_libraries

A library counts as needed if, without it, torch cannot be imported or a backbone cannot predict on the processor. This needs no
GPU, so it does not notice libraries that torch only opens on a GPU.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import parts
from benchmarks.machine import NotRun
from benchmarks.parts import Figure, Options

IMAGE = "byoc-classifier-serve:cuda"
SMALLEST = 20e6  # bytes; smaller libraries would save too little
NVIDIA = "/opt/venv/lib/python3.11/site-packages/nvidia"
LEFT_OUT = ("triton==3.7.1", "nvidia-cusolver==12.0.4.66")
PREDICT = """
import torch
from classifier.backbones import build_backbone
print(build_backbone("resnet18")[0].eval()(torch.zeros(1, 3, 224, 224)).shape)
"""


def _left_out(options: Options) -> Iterator[Figure]:
    """Yield the size, unpacked, of each package that the image lacks."""
    for requirement in LEFT_OUT:
        with TemporaryDirectory() as folder:
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--target", folder]
            subprocess.run([*pip, requirement], check=True)
            size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
        yield Figure(f"{requirement}, MB", size / 1e6)


def _hidden(options: Options) -> Iterator[Figure]:
    """Hide one library after another, the largest first."""
    listed = _docker(IMAGE, "find", NVIDIA, "-name", "*.so*", "-type", "f", "-printf", "%s %p\\n")
    if listed.returncode:
        raise NotRun(f"the libraries of {IMAGE} cannot be listed: {listed.stderr.strip()}; make build DEVICE=cuda")
    for size, path in sorted(
        ((int(line.split()[0]), line.split()[1]) for line in listed.stdout.splitlines()), reverse=True
    ):
        if size > SMALLEST:
            hidden = _docker("-v", f"/dev/null:{path}:ro", IMAGE, "python", "-c", PREDICT)
            yield Figure(f"{Path(path).name}, {'needed' if hidden.returncode else 'not needed'}, MB", size / 1e6)


def _docker(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["docker", "run", "--rm", "--network", "none", *arguments], capture_output=True, text=True)


PARTS = {"left out": _left_out, "hidden": _hidden}

if __name__ == "__main__":
    sys.exit(parts.main("cuda_libraries", PARTS, {}))
