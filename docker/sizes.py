"""Prints the images' sizes, budgets and layers: `python docker/sizes.py [--json FILE]`.

Exits with 1 if an image is over its budget, or if an image of DEVICE=cpu is not built. Other images that are not built are left out.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

# Limits of the unpacked size in GB, as shown by `docker images`.
BUDGETS = {
    "byoc-classifier-serve:openvino": 0.8,
    "byoc-classifier-serve:cpu": 1.6,
    "byoc-classifier-train:cpu": 1.8,
    "byoc-classifier-serve:cuda": 6.0,
    "byoc-classifier-train:cuda": 7.0,
}
# A part of a layer's instruction -> the layer's name in the table.
PARTS = {
    "COPY /opt/venv": "torch and what both share",
    "COPY /opt/packages": "its own packages",
    "COPY /opt/project": "our code",
    "apt-get": "Python",
    "Imported from": "base",
    "ADD file": "base",
}


def main() -> int:
    parser = argparse.ArgumentParser(description="Print the sizes and budgets of the images that are built.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the sizes to this file")
    options = parser.parse_args()
    images = [found for name in BUDGETS if (found := measure(name))]
    missing = {name for name in BUDGETS if name.endswith(":cpu")} - {image["image"] for image in images}
    print(f"{'image':<32}{'GB':>6}{'budget':>8}   layers in MB")
    for image in images:
        parts = ", ".join(f"{name} {size:.0f}" for name, size in image["layers_mb"].items() if size >= 1)
        print(f"{image['image']:<32}{image['gb']:>6.2f}{image['budget_gb']:>8.1f}   {parts}")
    if options.json:
        options.json.write_text(json.dumps({"command": "make image-sizes", "images": images}, indent=2) + "\n")
    over = [image["image"] for image in images if image["gb"] > image["budget_gb"]]
    for sentence in (
        *(f"{name} is not built; make build DEVICE=cpu" for name in sorted(missing)),
        *(f"{name} is over its budget; look at the sizes of its layers" for name in over),
    ):
        print(f"image-sizes: {sentence}", file=sys.stderr)
    return 1 if over or missing else 0


def measure(name: str) -> dict[str, Any] | None:
    """Return the size and the layers of an image; None if the image is not built."""
    found = subprocess.run(["docker", "image", "inspect", name], capture_output=True, text=True, check=False)
    if found.returncode:
        return None
    description = json.loads(found.stdout)[0]
    command = [
        "docker",
        "history",
        "--no-trunc",
        "--human=false",
        "--format",
        "{{.Size}} {{.CreatedBy}} {{.Comment}}",
        name,
    ]
    layers: dict[str, float] = {}
    for line in reversed(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()):
        size, _, made_by = line.partition(" ")
        part = next((part for start, part in PARTS.items() if start in made_by), "the rest")
        layers[part] = layers.get(part, 0) + int(size) / 1e6
    return {
        "image": name,
        "id": description["Id"],
        "revision": (description["Config"]["Labels"] or {}).get("org.opencontainers.image.revision"),
        "gb": round(description["Size"] / 1e9, 3),
        "budget_gb": BUDGETS[name],
        "layers_mb": {part: round(size, 1) for part, size in layers.items()},
    }


if __name__ == "__main__":
    sys.exit(main())
