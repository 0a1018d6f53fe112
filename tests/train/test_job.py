"""Jobs run in the test's process: the photos that the two stages train on, the seed's effects, and continuing."""

import re
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from classifier.backbones import build_backbone
from classifier.models import Classifier, build_head
from classifier.photos import load_photo_set
from tests.small_job import SMALL, job
from train import stop
from train.config import parse
from train.features import FeaturePass, Features
from train.job import _outputs
from train.loop.stage import Best
from train.setup import Setup


def test_the_head_learns_from_the_views_too_and_fine_tuning_from_each_photo_once(tiny: Path, tmp_path: Path) -> None:
    _, records = job(tmp_path, tiny, views="2", **{"finetune-epochs": "2"})
    epochs = [(record["stage"], len(record["step_losses"])) for record in records if record["kind"] == "epoch"]
    # A step has 4 rows: fine-tuning has 8 photos, the head has them and their 16 views.
    assert epochs == [("head", 6), ("finetune", 2), ("finetune", 2)]


def test_the_seed_decides_the_first_weights(tiny: Path, tmp_path: Path) -> None:
    runs = []
    for number, seed in enumerate("001"):
        torch.rand(number)  # earlier random numbers have no influence
        runs.append(job(tmp_path / str(number), tiny, seed=seed)[0])
    first, again, other = runs
    for name in ("backbone.conv_stem.weight", "head.0.weight"):
        torch.testing.assert_close(again[name], first[name], atol=1e-5, rtol=0)
        assert float((other[name] - first[name]).abs().max()) > 0.01, name


def epochs(records: list[dict[str, Any]]) -> list[tuple[str, list[float]]]:
    return [(record["stage"], record["step_losses"]) for record in records if record["kind"] == "epoch"]


def test_of_lost_checkpoints_what_can_be_is_kept_and_the_rest_done_again(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {"finetune-epochs": "1", "checkpoint-seconds": "0", "seed": "5"}
    _, records = job(tmp_path / "first", tiny, **settings)
    before = epochs(records)
    assert [stage for stage, _ in before] == ["head", "finetune"]
    lost_head = "the head that fine-tuning began with is lost, so training starts from the beginning"
    kept_head = "the head is kept from before, as it was after epoch 1"
    for lost, line, printed in (
        ("best-head-*", lost_head, ["1", "2"]),
        ("[fh]*", kept_head, ["2"]),  # all checkpoints but the best ones
        ("head-*", f"{kept_head}\nfinetune: goes on after step", []),
    ):
        base = tmp_path / lost
        shutil.copytree(tmp_path / "first" / "checkpoints", base / "checkpoints")
        for path in list((base / "checkpoints").glob(f"{lost}.pt")):
            path.unlink()
        if line == lost_head:
            # A checkpoint of a later epoch: if it stayed, it would count as the newest after another interruption.
            (stale,) = (base / "checkpoints").glob("finetune-0002-*.pt")
            stale = stale.rename(stale.with_name(f"finetune-0009-000001.{stale.name.split('.')[1]}.pt"))
        capsys.readouterr()
        _, records = job(base, tiny, **settings)
        output = capsys.readouterr().out
        assert line in output and ("goes on" in output) == ("goes on" in line), lost
        assert re.findall(r"^epoch=(\d+) ", output, re.MULTILINE) == printed, lost
        assert not stale.exists()
        # Records of epochs before the interruption are written again, because outputs are lost with a machine.
        after = epochs(records)
        assert [stage for stage, _ in after] == ["head", "finetune"], lost
        for (_, losses), (_, again) in zip(before, after, strict=True):
            assert again == pytest.approx(losses, rel=1e-3), lost


def test_a_job_that_is_stopped_while_the_test_photos_are_judged_has_the_outputs_of_validation(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Late(threading.Event):
        """A flag that is set from its second check on."""

        def is_set(self) -> bool:
            before = super().is_set()
            self.set()
            return before

    monkeypatch.setattr("train.features.extract.CHUNK", 1)
    config = parse(SMALL)
    backbone, features, preprocessing = build_backbone(SMALL["backbone"])
    model = Classifier(backbone, build_head(features, (), 0.0, 2), preprocessing, 1.0).eval()
    photos = load_photo_set({"training": tiny}, validation_share=config.validation_share, seed=0).splits
    labels = torch.tensor([0, 1])
    splits = {
        name: Features(features=torch.empty(0), rows=labels, labels=labels, photos=tuple(photos[name]), fingerprint="")
        for name in ("validation", "test")
    }
    nothing: Any = None
    feature_pass = FeaturePass(model=model, precision="fp32")
    setup = Setup(job=nothing, start=nothing, feature_pass=feature_pass, report=nothing)
    best = Best(epoch=1, score=(1.0, 0.0), model={}, logits=torch.eye(2))
    assert _outputs(setup, splits, best).keys() == {"validation", "test"}
    assert not capsys.readouterr().out
    monkeypatch.setattr(stop, "requested", Late())
    outputs = _outputs(setup, splits, best)
    assert outputs.keys() == {"validation"} and torch.equal(outputs["validation"][0], torch.eye(2))
    assert capsys.readouterr().out == "stopped before the test photos were judged\n"
