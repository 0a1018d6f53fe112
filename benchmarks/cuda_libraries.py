"""What of the CUDA libraries could be left out for inference: each one hidden in turn from the CUDA serving image.

    python -m benchmarks.cuda_libraries

`loads` says whether torch and a backbone still import and predict on the CPU without the library. That is as far as it
can be seen without a GPU: a library that torch opens on first use on a GPU passes too.
"""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.machine import describe
from benchmarks.parts import write_results

IMAGE = "byoc-classifier-serve:cuda"
SMALLEST = 20e6  # bytes; smaller libraries are not worth a sentence
NVIDIA = "/opt/venv/lib/python3.11/site-packages/nvidia"
LEFT_OUT = ("triton==3.7.1", "nvidia-cusolver==12.0.4.66")
PREDICT = """
import torch
from classifier.backbones import build_backbone
print(build_backbone("resnet18")[0].eval()(torch.zeros(1, 3, 224, 224)).shape)
"""


def main() -> None:
    """Hide one library after another, the largest first, and write results/cuda_libraries.json."""
    listed = _docker(IMAGE, "find", NVIDIA, "-name", "*.so*", "-type", "f", "-printf", "%s %p\\n").stdout
    sizes = [(int(size), path) for size, path in (line.split(" ", 1) for line in listed.splitlines())]
    rows = []
    for size, path in sorted(sizes, reverse=True):
        if size > SMALLEST:
            done = _docker("-v", f"/dev/null:{path}:ro", IMAGE, "python", "-c", PREDICT)
            rows.append({"library": Path(path).name, "mb": round(size / 1e6), "loads": done.returncode == 0})
            print(rows[-1], flush=True)
    left_out = {name: round(_unpacked(name) / 1e6) for name in LEFT_OUT}
    write_results("cuda_libraries", {"machine": describe(), "left_out_mb": left_out, "hidden": rows})


def _docker(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["docker", "run", "--rm", "--network", "none", *arguments], capture_output=True, text=True)


def _unpacked(requirement: str) -> int:
    """Return the bytes that a package left out of the image would take, from its wheel."""
    with TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--target", folder]
        subprocess.run([*pip, requirement], check=True)
        return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())


if __name__ == "__main__":
    main()
