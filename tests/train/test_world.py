"""The feature pass in several real processes."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from tests.conftest import ROOT
from tests.ports import free_port
from tests.server import until

CODE = """
import json, os, signal, sys
from pathlib import Path
import pytest
import torch
from torch import distributed
from classifier.backbones import build_backbone
from classifier.errors import DataError
from classifier.models import Classifier
from classifier.photos import PhotoSet, load_photo_set
from train import stop
from train.features import FeaturePass
from train.head.stage import predict
from train.processes.world import World

rank, size, port, folder, out, options = int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:6], json.loads(sys.argv[6])
if size > 1:
    distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=size)
stop.install()
torch.manual_seed(0)
backbone, features, preprocessing = build_backbone(options.pop("backbone"))
model = Classifier(backbone, torch.nn.Identity(), preprocessing, 1.0).eval()
photos = PhotoSet((), load_photo_set({"training": Path(folder)}, validation_share=0.1, seed=0).splits)
cache, stops = options.pop("cache", None), options.pop("stops", None)
print("ready", flush=True)
if rank == stops:
    os.kill(os.getpid(), signal.SIGSTOP)
try:
    feature_pass = FeaturePass(model=model, precision="fp32", world=World(rank, size))
    splits, unreadable = feature_pass.extract(photos, cache=cache and Path(cache), **options)
except (DataError, stop.Stopped) as error:
    print(f"{type(error).__name__}: {error}", flush=True)
    os._exit(3)  # the same end as in train.__main__ for one of several processes
head = torch.nn.Linear(features, 3)
torch.save(
    {
        name: {
            "logits": predict(head, split, World(rank, size)),
            "features": split.features,
            "rows": split.rows,
            "labels": split.labels,
            "photos": [str(photo.path) for photo in split.photos],
            "fingerprint": split.fingerprint,
            "sample": split.sample,
        }
        for name, split in splits.items()
    }
    | {"unreadable": [str(item.path) for item in unreadable]},
    out,
)
if size > 1:
    distributed.barrier()
    distributed.destroy_process_group()  # an open group sometimes ends its process by SIGABRT
"""
BACKBONE = "squeezenet1_1"


def start(folder: Path, out: Path, size: int, **options: Any) -> "list[subprocess.Popen[str]]":
    port = free_port()
    options = {"backbone": BACKBONE, "max_unreadable": 50} | options
    return [
        subprocess.Popen(
            [sys.executable, "-P", "-c", CODE]
            + [str(value) for value in (rank, size, port, folder, f"{out}{rank}", json.dumps(options))],
            env=os.environ | {"PYTHONPATH": str(ROOT), "LOCAL_WORLD_SIZE": str(size), "GLOO_SOCKET_IFNAME": "lo"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(size)
    ]


def finish(processes: "list[subprocess.Popen[str]]") -> list[tuple[int, str, str]]:
    try:
        return [(*process.communicate(timeout=300), process.returncode)[::-1] for process in processes]
    finally:
        for process in processes:
            process.kill()


def passed(folder: Path, out: Path, size: int, **options: Any) -> list[dict[str, Any]]:
    for status, errors, _ in finish(start(folder, out, size, **options)):
        assert status == 0, errors
    return [torch.load(f"{out}{rank}") for rank in range(size)]


@pytest.mark.slow
def test_processes_together_hold_what_one_process_holds(tiny: Path, tmp_path: Path) -> None:
    (tiny / "train" / "brick" / "001.jpg").write_bytes(b"no photo")
    options = {"views": 2, "sample": 4}
    (alone,) = passed(tiny, tmp_path / "alone", 1, **options)
    together = passed(tiny, tmp_path / "together", 2, **options)
    for name in ("train", "validation", "test"):
        expected = alone[name]
        count = 3 * 7 if name == "train" else 4
        assert expected["rows"].tolist() == list(range(count)) and len(expected["photos"]) == count
        assert torch.cat([one[name]["rows"] for one in together]).sort().values.tolist() == list(range(count))
        for one in together:
            assert len(one[name]["rows"]), "a process has no rows of a split that has enough for all"
            for same in ("photos", "fingerprint"):
                assert one[name][same] == expected[same]
            for same in ("labels", "sample"):
                assert torch.equal(one[name][same], expected[same])
            torch.testing.assert_close(
                one[name]["features"], expected["features"][one[name]["rows"]], atol=1e-4, rtol=1e-4
            )
            # Each process gets the head's logits for all photos.
            torch.testing.assert_close(one[name]["logits"], expected["logits"], atol=1e-4, rtol=1e-4)
    assert all(one["unreadable"] == [str(tiny / "train" / "brick" / "001.jpg")] for one in (alone, *together))


@pytest.mark.slow
def test_too_many_unreadable_photos_of_one_process_end_all_of_them_with_one_sentence(
    tiny: Path, tmp_path: Path
) -> None:
    for name in ("000.jpg", "001.jpg"):
        (tiny / "train" / "brick" / name).write_bytes(b"")
    done = finish(start(tiny, tmp_path / "out", 2, max_unreadable=1))
    assert [status for status, _, _ in done] == [3, 3], done
    (sentence,) = {output for _, _, output in done}
    assert "2 of 16 photos cannot be read" in sentence and "000.jpg" in sentence


@pytest.mark.slow
def test_sigterm_keeps_the_features_of_one_in_the_pass_and_of_one_that_waits_for_it(tiny: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    waiting, slow = processes = start(tiny, tmp_path / "out", 2, cache=str(cache), views=40, stops=1)
    until("the second process is stopped", lambda: psutil.Process(slow.pid).status() == psutil.STATUS_STOPPED)
    # Once the first process has written its features, it waits for the other.
    until("features of the first process", lambda: any(cache.glob("*/*.safetensors")))
    for process in processes:
        process.send_signal(signal.SIGTERM)
    slow.send_signal(signal.SIGCONT)
    done = finish([waiting, slow])
    assert [status for status, _, _ in done] == [3, 3], done
    assert all("Stopped: stopped by SIGTERM after " in output for _, _, output in done)
    assert "after 8 of 8 photos" in done[0][2] and "after 8 of 8 photos" not in done[1][2]
    assert len(list(cache.glob("*/*.safetensors"))) == 2
