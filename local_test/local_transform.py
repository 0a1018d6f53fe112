"""Batch transform in local mode: the SDK's own Transformer for a folder of photos, with one answer file for each photo."""

import argparse
import json
import sys
import threading
from pathlib import Path
from typing import Any

from local_test.gpus import instance_type
from local_test.leftovers import Leftovers
from local_test.local_endpoint import check_port, give_up_early, last_words, local_model
from local_test.stop import LocalModeError, Stop


def transform(options: argparse.Namespace, session: Any, work: Path, leftovers: Leftovers, stop: Stop) -> int:
    """Write an answer to every photo of options.photos into options.out; returns 1 if a photo was refused.

    Raises LocalModeError when the transform could not run.
    """
    photos = [path for path in sorted(options.photos.iterdir()) if path.is_file()]
    if not photos:
        raise LocalModeError(
            f"{options.photos} holds no files; local mode reads no subfolders, so name the folder that holds the photos"
        )
    check_port(options.port)
    model = local_model(options, session, work)
    threading.Thread(target=give_up_early, args=(leftovers, stop), daemon=True).start()
    # Name the strategy: if neither the request nor the server names one, the SDK joins records as if they were text.
    transformer = model.transformer(
        1, instance_type(options.image), strategy="SingleRecord", output_path=f"file://{options.out}"
    )
    try:
        # This call returns when the transform has ended. Trap: with wait=True the SDK would ask AWS for the job's log.
        transformer.transform(f"file://{options.photos}", content_type="application/x-image", wait=False)
    except Exception as error:
        if not stop.is_set():
            raise LocalModeError(f"the transform failed: {last_words(leftovers) or error}") from error
    if stop.is_set():
        raise LocalModeError("it was stopped")
    return max([_line(path.name, options.out / f"{path.name}.out") for path in photos])


def _line(name: str, answer: Path) -> int:
    """Print the answer to a photo, and return 1 when the photo was refused."""
    said = json.loads(answer.read_bytes())
    if "predictions" not in said:
        print(f"{name}: {said.get('message', said)}", file=sys.stderr, flush=True)
        return 1
    best = said["predictions"][0]
    print(f"{name}: {best['label']} {best['probability']:.3f}", flush=True)
    return 0
