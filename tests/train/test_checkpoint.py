"""Checkpoints: others may write to their folder, so their content is read as data and never run as code."""

import io
import json
import os
import pickle
from pathlib import Path

import pytest
import torch
from torch import nn

from classifier.errors import ConfigError
from train.loop.checkpoint import Checkpoints, _digest
from train.loop.stage import Best, Stage, State
from train.loop.updates import Updates
from train.processes.world import World


class Code:
    """An object that makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_code_in_a_checkpoint_is_left_out_and_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = tmp_path / "made by the code"
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    buffer = io.BytesIO()
    torch.save({"format": 1, "job": {}, "best": Code(made)}, buffer)
    for data in (buffer.getvalue(), pickle.dumps(Code(made))):
        path = folder / f"best-head-0001.{_digest(data)}.pt"
        path.write_bytes(data)
        assert Checkpoints(folder, {}, 60.0, World()).load_best("head") is None
        assert not made.exists() and not path.exists()
        assert f"checkpoint {path} is damaged and left out" in capsys.readouterr().err


def stage(name: str = "head") -> Stage:
    head = nn.Linear(2, 3)
    optimizer = torch.optim.SGD(head.parameters(), lr=0.1, momentum=0.9)
    head(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    return Stage(
        name=name,
        seed=0,
        updates=Updates(model=head, optimizer=optimizer),
        epochs=1,
        batch_size=1,
        labels=torch.zeros(1, dtype=torch.int64),
        batches=lambda epoch, steps: (_ for _ in ()),
        predict=lambda model: (torch.zeros(1, 3), torch.zeros(1)),
    )


JOB = {
    "hyperparameters": {"lr": 0.1, "hidden": (8,), "export-onnx": False},
    "classes": ["a", "b"],
    "photos": {"train": "1"},
}


def names(folder: Path) -> list[str]:
    return sorted(path.name.split(".")[0] for path in folder.iterdir())


def test_the_newest_two_checkpoints_stay_and_the_newest_is_loaded(tmp_path: Path) -> None:
    (tmp_path / ".head-0001-000001.part").write_bytes(b"of a killed job")
    kept = Checkpoints(tmp_path, JOB, 60.0, World())
    assert names(tmp_path) == []
    for epoch, step in ((1, 9), (2, 0), (2, 10)):
        kept.save(stage(), State(epoch=epoch, step=step))
    assert names(tmp_path) == ["head-0002-000000", "head-0002-000010"]
    kept.save(stage("finetune"), State(epoch=1))
    assert names(tmp_path) == ["finetune-0001-000000", "head-0002-000010"]
    content = Checkpoints(tmp_path, JOB, 60.0, World()).load()
    assert content is not None and content.stage == "finetune" and content.state.epoch == 1
    for path in tmp_path.glob("finetune-*"):
        path.write_bytes(path.read_bytes()[:-1])
    content = kept.load()
    assert content is not None and content.state.step == 10 and names(tmp_path) == ["head-0002-000010"]
    kept.discard()
    assert names(tmp_path) == [] and kept.load() is None


def test_a_stage_is_put_where_its_checkpoint_left_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, kept = stage(), Checkpoints(tmp_path, JOB, 60.0, World())
    kept.epochs.append({"stage": "head", "epoch": 1, "metrics": {}})
    kept.save(before, State(epoch=2, step=3, losses=[0.5], hits=2.0, waited=0.25, since_best=1))
    content = kept.load()
    assert content is not None and content.epochs == kept.epochs
    again = stage()
    assert content.restore(again) == State(epoch=2, step=3, losses=[0.5], hits=2.0, waited=0.25, since_best=1)
    assert torch.equal(again.model.weight, before.model.weight)
    assert repr(again.updates.optimizer.state_dict()) == repr(before.updates.optimizer.state_dict())
    assert capsys.readouterr().out == "head: goes on after step 3 of epoch 2\n"


def test_the_best_model_of_a_stage_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path, JOB, 60.0, World())
    assert kept.load_best("head") is None
    for epoch in (1, 3):
        kept.save_best("head", Best(epoch=epoch, score=(0.5, -1.0), model={"w": torch.ones(epoch)}, logits=None))
    kept.save_best("finetune", Best(epoch=2, score=(0.75, -0.5), model={}, logits=None), {"lr": 0.2})
    assert names(tmp_path) == ["best-finetune-0002", "best-head-0003"]
    head, tuned = kept.load_best("head"), kept.load_best("finetune")
    assert head is not None and (head.best.epoch, head.best.score, head.finished) == (3, (0.5, -1.0), None)
    assert torch.equal(head.best.model["w"], torch.ones(3))
    assert tuned is not None and tuned.finished == {"lr": 0.2}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hyperparameters": {"lr": 0.1, "hidden": (8,), "export-onnx": True}}, None),
        ({"hyperparameters": {"lr": 0.2, "hidden": (8,)}}, "of a job with lr 0.1, this one has 0.2; empty .* to start"),
        ({"hyperparameters": {"lr": 0.1, "hidden": (8,), "new": 1}}, "of a job with new None, this one has 1"),
        ({"classes": ["a", "b", "c"]}, "of a job with 2 classes, this one has 3; they differ in 'c'; empty"),
        ({"classes": ["b", "a"]}, "of a job with 2 classes, this one has 2; they differ in their order;"),
        ({"classes": [*"bcdefgh"]}, "they differ in 'a', 'c', 'd', 'e', 'f'; empty"),
        ({"photos": {"train": "2"}}, "of a job with other train photos or labels; empty"),
        ({"photos": {"train": "1", "validation": "1"}}, "of a job with other validation photos or labels"),
    ],
)
def test_a_checkpoint_of_another_job_is_refused_with_what_differs(
    tmp_path: Path, changes: dict[str, object], message: str | None
) -> None:
    Checkpoints(tmp_path, JOB, 60.0, World()).save(stage(), State())
    kept = Checkpoints(tmp_path, JOB | changes, 60.0, World())
    if message is None:
        assert kept.load() is not None
    else:
        with pytest.raises(ConfigError, match=message):
            kept.load()


@pytest.mark.parametrize(("written", "refused"), [(1, False), (0, True), (2, True), (None, True)])
def test_a_checkpoint_of_another_format_is_refused(tmp_path: Path, written: int | None, refused: bool) -> None:
    buffer = io.BytesIO()
    job = json.loads(json.dumps(JOB))
    content = {"stage": "head", "state": {"epoch": 3}, "epochs": [{"epoch": 2}], "job": job}
    torch.save(content | ({} if written is None else {"format": written}), buffer)
    (tmp_path / f"head-0001-000001.{_digest(buffer.getvalue())}.pt").write_bytes(buffer.getvalue())
    kept = Checkpoints(tmp_path, JOB, 60.0, World())
    if refused:
        with pytest.raises(ConfigError, match=f"has format {written}, this program writes 1; empty"):
            kept.load()
    else:
        saved = kept.load()
        assert saved is not None and (saved.stage, saved.state) == ("head", State(epoch=3))
        assert saved.epochs == [{"epoch": 2}] and saved.updates == content | {"format": 1}


def test_a_checkpoint_is_due_when_the_last_is_long_enough_ago(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    kept = Checkpoints(tmp_path, JOB, 60.0, World())
    for seconds, due in ((59.9, False), (60.0, True), (61.0, True)):
        now[0] = 100.0 + seconds
        assert kept.due() == due
    kept.save(stage(), State())
    assert not kept.due()
    # Only the chief writes checkpoints and decides when one is due.
    other = Checkpoints(tmp_path / "none", JOB, 0.0, World(1, 2))
    other.save(stage(), State())
    other.save_best("head", Best(epoch=1, score=(0.5, -1.0), model={}, logits=None))
    assert not other.due() and not (tmp_path / "none").exists()
