"""Decides where test files run: on the host or inside an image, by the file's folder."""

import os
from pathlib import Path

# The image in which this process runs, "train" or "serve"; an empty string on the host.
INSIDE = os.environ.get("BYOC_INSIDE", "")
# True if the files of MINUTES are left out inside the images, as CI does; make test-inside runs them too.
QUICK = os.environ.get("BYOC_QUICK", "") == "1"

# The image in which the tests of a folder run. All other test files run only on the host.
IMAGE = {"classifier": "train", "train": "train", "serve": "serve"}
BOTH = {"test_cuda_libraries", "test_device", "test_environment", "test_images"}
# Files of these folders that need more than an image's packages, and why.
HOST = {
    "test_attacks_stock": "needs .venv-stock",
    "test_gpu_agreement": "compares both programs",
    "test_serving_environment": "looks at the documents",
    "test_training_environment": "looks at the documents",
    "test_soak": "takes minutes; make test-soak runs it",
}
MINUTES = {
    "test_attacks",
    "test_attacks_artifact",
    "test_attacks_multi_model",
    "test_calibrate",
    "test_features",
    "test_finetune",
    "test_fuzz",
    "test_host_faults",
    "test_models",
    "test_multi_model",
    "test_multi_model_faults",
    "test_pipe",
    "test_processes",
    "test_resume",
    "test_search",
    "test_serve_faults",
    "test_served_probabilities",
    "test_views",
    "test_worker_loss",
    "test_world",
}


def images(path: Path) -> set[str]:
    """Return the programs in whose images a test file runs; an empty result if it runs only on the host."""
    if path.stem in BOTH:
        return {"train", "serve"}
    folder = path.parent.name
    return {IMAGE[folder]} if folder in IMAGE and path.stem not in HOST else set()


def left_out(folder: Path) -> list[str]:
    """Return the test files below `folder` that do not run here, and the folders that hold only such files.

    Paths are relative to `folder`. The result is empty on the host.
    """
    if not INSIDE:
        return []
    skipped = MINUTES if QUICK else set()
    left = {path: INSIDE not in images(path) or path.stem in skipped for path in sorted(folder.rglob("test_*.py"))}
    folders = {path.parent for path in left} - {path.parent for path, out in left.items() if not out} - {folder}
    return [str(path.relative_to(folder)) for path in [*folders, *(path for path, out in left.items() if out)]]
