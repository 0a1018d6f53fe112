"""An artifact's inference.py in the original style. It does what the body of a request orders, for faults that no photo causes."""

import os
import time
from pathlib import Path


def model_fn(model_dir):
    if (Path(model_dir) / "die").exists():
        os._exit(1)
    if (Path(model_dir) / "raise").exists():
        raise RuntimeError("no model for now")
    return float((Path(model_dir) / "weights.txt").read_text())


def input_fn(body, content_type):
    return content_type, body.decode()


def predict_fn(data, model):
    content_type, text = data
    if text.startswith("sleep"):
        time.sleep(float(text.split()[1]))
    if text.startswith("wait"):
        free = Path(text.split()[1])
        free.with_suffix(".begun").touch()
        while not free.exists():
            time.sleep(0.02)
    if text.startswith("large"):
        return "x" * int(text.split()[1])
    if text == "die":
        os._exit(1)
    if text == "memory":
        raise MemoryError
    if text == "raise":
        raise RuntimeError(f"secret of {__file__}")
    return f"{content_type} {text} {model}"


def output_fn(prediction, accept):
    return prediction.encode(), accept
