"""Several real processes choose one backend for their feature pass."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT, needs_openvino
from tests.ports import free_port

pytestmark = [pytest.mark.slow, needs_openvino]

CODE = """
import dataclasses, json, sys
from pathlib import Path
import torch
from torch import distributed
from classifier.backbones import build_backbone
from classifier.models import Classifier
from classifier.photos import PhotoSet, load_photo_set
from train.features import FeaturePass, backend
from train.processes.world import World

rank, port, folder, out, without = int(sys.argv[1]), *sys.argv[2:5], json.loads(sys.argv[5])
if rank in without:
    sys.modules["openvino"] = None
distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
backend.CONVERTED_FROM = backend.GAIN = 0
torch.manual_seed(0)
network, _, preprocessing = build_backbone("timm/test_efficientnet")
model = Classifier(network, torch.nn.Identity(), preprocessing, 1.0).eval()
photos = PhotoSet((), load_photo_set({"training": Path(folder)}, validation_share=0.1, seed=0).splits)
feature_pass = FeaturePass(model=model, precision="fp32", world=World(rank, 2))
chosen = feature_pass.choose(photos)
splits, _ = dataclasses.replace(feature_pass, forward=chosen.forward).extract(photos)
alone, _ = FeaturePass(model=model, precision="fp32").extract(photos)
off = max(float((split.features - alone[name].features[split.rows]).abs().max()) for name, split in splits.items())
Path(out).write_text(json.dumps([chosen.backend.name, chosen.reason, chosen.forward is not None, off]))
distributed.barrier()
distributed.destroy_process_group()  # an open group sometimes ends its process by SIGABRT
"""


def chosen(photos: Path, out: Path, without: list[int]) -> list[Any]:
    """Return the choices of two processes and their features' distance from torch's; the ranks in `without` have no OpenVINO."""
    port = free_port()
    processes = [
        subprocess.Popen(
            [sys.executable, "-P", "-c", CODE, str(rank), str(port), photos, f"{out}{rank}", json.dumps(without)],
            env=os.environ | {"PYTHONPATH": str(ROOT), "LOCAL_WORLD_SIZE": "2", "GLOO_SOCKET_IFNAME": "lo"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        for process in processes:
            _, errors = process.communicate(timeout=300)
            assert process.returncode == 0, errors
    finally:
        for process in processes:
            process.kill()
    return [json.loads(Path(f"{out}{rank}").read_text()) for rank in range(2)]


def test_two_processes_compute_on_openvino_together(tiny: Path, tmp_path: Path) -> None:
    for name, _, opened, off in chosen(tiny, tmp_path / "out", []):
        assert name == "openvino" and opened and off < 1e-3


@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_that_cannot_open_openvino_is_named_and_all_stay_on_torch(
    tiny: Path, tmp_path: Path, rank: int
) -> None:
    for name, reason, opened, off in chosen(tiny, tmp_path / "out", [rank]):
        assert name == "torch" and not opened and off < 1e-4
        assert reason.startswith("openvino cannot be imported (") and reason.endswith(f" (process {rank} of 2)")
