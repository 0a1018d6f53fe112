"""A user's script for the stock toolkit: softmax regression on a colour histogram. The script knows nothing about containers."""

import argparse
import json
import os
from pathlib import Path

import numpy as np
from PIL import Image

BINS = 8


def histogram(path: Path) -> np.ndarray:
    pixels = np.asarray(Image.open(path).convert("RGB").resize((64, 64)))
    counts = [np.histogram(pixels[..., channel], BINS, (0, 256))[0] for channel in range(3)]
    return np.concatenate(counts) / pixels[..., 0].size


def load(folder: str, classes: list[str]) -> tuple[np.ndarray, np.ndarray]:
    files = [(path, label) for label, name in enumerate(classes) for path in sorted(Path(folder, name).iterdir())]
    return np.stack([histogram(path) for path, _ in files]), np.array([label for _, label in files])


def probabilities(inputs: np.ndarray, weights: np.ndarray) -> np.ndarray:
    exponents = np.exp(inputs @ weights)
    return exponents / exponents.sum(1, keepdims=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--lr", type=float, default=5.0)
    options = parser.parse_args()
    folders = {name: os.environ[f"SM_CHANNEL_{name.upper()}"] for name in ("train", "validation")}
    classes = sorted(path.name for path in Path(folders["train"]).iterdir())
    weights = np.zeros((3 * BINS, len(classes)))
    for epoch in range(1, options.epochs + 1):
        inputs, labels = load(folders["train"], classes)
        for _ in range(100):
            error = probabilities(inputs, weights) - np.eye(len(classes))[labels]
            weights -= options.lr * inputs.T @ error / len(labels)
        held_out, truth = load(folders["validation"], classes)
        accuracy = (probabilities(held_out, weights).argmax(1) == truth).mean()
        print(f"epoch={epoch} validation:accuracy={accuracy:.4f}", flush=True)
    model = Path(os.environ["SM_MODEL_DIR"])
    np.save(model / "weights.npy", weights)
    (model / "classes.json").write_text(json.dumps(classes))


if __name__ == "__main__":
    main()
