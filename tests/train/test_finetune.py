"""Fine-tuning: the effect of each hyperparameter, compared with torch's own function if there is one."""

import math
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional

from classifier.backbones import build_auxiliary, build_backbone
from classifier.models import Classifier, build_head
from classifier.spec import Preprocessing
from tests.conftest import Run, run_training
from train.config import Config
from train.features import Features
from train.finetune.augment import batch_augmentation, photo_augmentation
from train.finetune.loading import die_with_parent
from train.finetune.stage import WithAuxiliary
from train.head.stage import class_weights, head_stage
from train.loop import compiler
from train.loop.engine import fit
from train.loop.optimizers import LEVELS, layer_groups, make_optimizer, warmup_cosine
from train.loop.stage import Stage
from train.processes.world import World

SMALL = {"backbone": "timm/test_efficientnet", "weights": "random", "batch-size": "4", "finetune-batch-size": "4"}
PREPROCESSING = Preprocessing(
    resize=64, crop=48, interpolation="bicubic", mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.2), draft_margin=1.0
)


@pytest.mark.slow
def test_fine_tuning_beats_its_own_frozen_head_and_the_artifact_is_the_fine_tuned_model(
    tiny: Path, tmp_path: Path, feature_cache: Path
) -> None:
    settings = {"epochs": "1", "lr": "0.0001", "precision": "fp32"}
    frozen = run_training(tmp_path / "frozen", {"training": tiny}, settings, feature_cache)
    tuned = run_training(
        tmp_path / "tuned",
        {"training": tiny},
        settings | {"finetune-epochs": "3", "finetune-lr": "0.001"},
        feature_cache,
    )
    assert frozen.status == tuned.status == 0, tuned.errors
    before, after = (run.record("result", split="validation") for run in (frozen, tuned))
    assert after["stage"] == "finetune" and after["loss"] < before["loss"]
    written = sorted(path.name for path in (tuned.base / "model").iterdir())
    assert written == ["guard.safetensors", "model.json", "model.safetensors", "selftest.safetensors"]
    weights = [load_file(run.base / "model" / "model.safetensors") for run in (frozen, tuned)]
    assert not torch.equal(weights[0]["backbone.conv_stem.weight"], weights[1]["backbone.conv_stem.weight"])
    # Fine-tuning leaves the statistics of batch normalisation unchanged.
    assert torch.equal(weights[0]["backbone.bn1.running_mean"], weights[1]["backbone.bn1.running_mean"])


@pytest.mark.slow
def test_when_fine_tuning_only_harms_the_heads_model_is_kept(tiny: Path, tmp_path: Path, feature_cache: Path) -> None:
    settings = {"epochs": "5", "lr": "0.01", "precision": "fp32"}
    harm = {"finetune-epochs": "1", "finetune-lr": "0.5", "clip-norm": "0", "layer-decay": "1"}
    run = run_training(tmp_path / "opt-ml", {"training": tiny}, settings | harm, feature_cache)
    assert run.status == 0, run.errors
    assert "no epoch of fine-tuning was better on validation than the head alone" in run.output
    result = run.record("result", split="validation")
    assert result["stage"] == "head" and result["accuracy"] == 1.0


@pytest.mark.slow
def test_metric_lines_count_the_epochs_of_both_stages(tiny: Path, train: Callable[..., Run]) -> None:
    run = train(tiny, **SMALL, epochs="2", **{"finetune-epochs": "2"})
    lines = [line for line in run.output.splitlines() if line.startswith("epoch=")]
    assert [line.split()[0] for line in lines] == [f"epoch={number}" for number in (1, 2, 3, 4)], run.errors
    stages = [(record["stage"], record["epoch"]) for record in run.records if record["kind"] == "epoch"]
    assert stages == [("head", 1), ("head", 2), ("finetune", 1), ("finetune", 2)]
    shares = [
        record["data_wait_share"]
        for record in run.records
        if record.get("stage") == "finetune" and "epoch_seconds" in record
    ]
    assert len(shares) == 2 and all(0 <= share <= 1 for share in shares)


def test_tensorboard_reads_the_curves(tiny: Path, train: Callable[..., Run]) -> None:
    from tensorboardX.proto.event_pb2 import Event

    run = train(tiny, **SMALL, epochs="2", **{"finetune-epochs": "1"})
    (file,) = (run.base / "output" / "tensorboard").iterdir()
    data, found = file.read_bytes(), []
    while data:  # length in 8 bytes, its checksum in 4, the event, its checksum in 4
        length = int.from_bytes(data[:8], "little")
        event = Event.FromString(data[12 : 12 + length])
        found += [(value.tag, event.step, value.simple_value) for value in event.summary.value]
        data = data[16 + length :]
    for record in run.records:
        if record["kind"] == "epoch":
            tag, step = f"{record['stage']}/validation_accuracy", record["epoch"]
            assert (tag, step, pytest.approx(record["validation_accuracy"])) in found
    assert [step for tag, step, _ in found if tag == "head/step_loss"] == [1, 2, 3, 4]


def test_early_stopping_ends_a_stage_that_gets_no_better(tiny: Path, train: Callable[..., Run]) -> None:
    # With random weights and a tiny rate the accuracy does not change.
    run = train(tiny, **SMALL, epochs="50", lr="1e-7", **{"early-stopping": "3", "finetune-epochs": "0"})
    count = sum(record["kind"] == "epoch" for record in run.records)
    assert run.status == 0 and 3 < count < 50, run.errors


def test_the_deeper_a_layer_the_lower_its_rate_and_every_parameter_learns() -> None:
    backbone, features, _ = build_backbone("resnet18")
    head = nn.Linear(features, 3)
    groups = layer_groups(backbone, [head], 0.01, 0.5)
    rates = [group["lr"] for group in groups]
    assert rates == pytest.approx([0.01 * 0.5**level for level in range(LEVELS + 1)])
    assert any(parameter is backbone.conv1.weight for parameter in groups[-1]["params"])  # type: ignore[attr-defined]
    counted = {id(parameter) for group in groups for parameter in group["params"]}  # type: ignore[attr-defined]
    assert counted == {id(parameter) for model in (backbone, head) for parameter in model.parameters()}


def test_a_group_of_matrices_or_of_vectors_alone_stays_one_group() -> None:
    layer = nn.Linear(2, 3)
    groups: list[dict[str, object]] = [{"params": [layer.weight], "lr": 0.1}, {"params": [layer.bias], "lr": 0.2}]
    found = make_optimizer(groups, Config(weight_decay=0.1), 0.01).param_groups
    assert [(group["lr"], group["weight_decay"], len(group["params"])) for group in found] == [
        (0.1, 0.1, 1),
        (0.2, 0.0, 1),
    ]


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_matrices_decay_and_vectors_do_not(name: str) -> None:
    layer = nn.Linear(2, 2)
    optimizer = make_optimizer([{"params": layer.parameters()}], Config(optimizer=name, weight_decay=0.1), 0.01)
    assert type(optimizer).__name__.lower() == name
    assert {group["params"][0].ndim: group["weight_decay"] for group in optimizer.param_groups} == {2: 0.1, 1: 0.0}


def test_the_rate_rises_over_the_warm_up_then_falls_along_a_cosine_to_zero() -> None:
    layer = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    schedule = warmup_cosine(optimizer, 20, 0.2)
    rates = []
    for _ in range(20):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[12] == pytest.approx((1 + math.cos(math.pi / 2)) / 2)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0, abs=1e-9)


def clouds(counts: list[int]) -> Features:
    random = torch.Generator().manual_seed(0)
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    features = torch.randn(len(labels), 4, generator=random) + labels[:, None]
    return Features(features=features, rows=torch.arange(len(labels)), labels=labels, photos=(), fingerprint="")


def one_step(config: Config, **changes: object) -> nn.Linear:
    """Return a linear head after one SGD step on all rows."""
    data = clouds([6, 2])
    torch.manual_seed(0)
    head = nn.Linear(4, 2)
    stage: Stage = head_stage(head, data, data, config, World())
    for name, value in changes.items():
        setattr(stage.updates if name == "clip_norm" else stage, name, value)
    fit(stage, lambda epoch, metrics: None)
    return head


SGD = Config(optimizer="sgd", momentum=0.0, lr=0.1, epochs=1, batch_size=8)


def test_accumulated_parts_and_lanes_give_the_step_of_the_whole_batch() -> None:
    whole = one_step(SGD).state_dict()
    for changes in ({"accumulate": 4}, {"lane": 3}):
        torch.testing.assert_close(one_step(SGD, **changes).state_dict(), whole)


def test_gradients_are_clipped_to_the_norm_and_left_alone_below_it() -> None:
    torch.manual_seed(0)
    start = nn.Linear(4, 2).state_dict()
    moved = one_step(SGD, clip_norm=0.01).state_dict()
    change = torch.cat([(moved[name] - start[name]).flatten() for name in start])
    assert float(change.norm()) == pytest.approx(0.1 * 0.01, rel=1e-3)
    torch.testing.assert_close(one_step(SGD, clip_norm=1000.0).state_dict(), one_step(SGD).state_dict())


def test_balanced_weights_give_each_class_the_same_say() -> None:
    labels = torch.tensor([0] * 6 + [1] * 2)
    weights = class_weights(labels, 2, Config(class_weights="balanced"))
    assert weights is not None and class_weights(labels, 2, Config()) is None
    assert (weights * labels.bincount()).tolist() == pytest.approx([4, 4])
    torch.manual_seed(0)
    head = nn.Linear(4, 2)
    loss = functional.cross_entropy(head(clouds([6, 2]).features), labels, weights, reduction="sum") / 8
    loss.backward()
    expected = head.weight.detach() - 0.1 * head.weight.grad
    actual = one_step(Config(optimizer="sgd", momentum=0.0, lr=0.1, epochs=1, batch_size=8, class_weights="balanced"))
    torch.testing.assert_close(actual.weight.detach(), expected)


@pytest.mark.slow
def test_the_kept_average_is_between_the_first_weights_and_the_last(tiny: Path, tmp_path: Path) -> None:
    settings = {
        "epochs": "1",
        "lr": "0.0001",
        "precision": "fp32",
        "finetune-epochs": "1",
        "finetune-lr": "0.001",
        "finetune-batch-size": "4",
    }
    plain = run_training(tmp_path / "plain", {"training": tiny}, settings)
    averaged = run_training(tmp_path / "averaged", {"training": tiny}, settings | {"ema": "0.9999"})
    start = run_training(tmp_path / "start", {"training": tiny}, settings | {"finetune-epochs": "0"})
    moved, held, first = (
        load_file(run.base / "model" / "model.safetensors")["backbone.conv_head.weight"]
        for run in (plain, averaged, start)
    )
    assert averaged.record("result", split="validation")["stage"] == "finetune", averaged.output
    assert 0 < float((held - first).norm()) < 0.1 * float((moved - first).norm())


@pytest.mark.parametrize("augment", ["none", "trivialaugment", "randaugment"])
def test_an_augmented_photo_depends_on_the_seed_alone(samples: Path, augment: str) -> None:
    image = Image.open(samples / "train" / "coffee" / "000.jpg").convert("RGB")
    change = photo_augmentation(Config(augment=augment, erasing=0.5), PREPROCESSING)

    def pixels(seed: int) -> np.ndarray:
        torch.manual_seed(seed)
        return change(image)

    assert pixels(1).shape == (48, 48, 3) and pixels(1).dtype == np.uint8
    assert np.array_equal(pixels(1), pixels(1)) and not np.array_equal(pixels(1), pixels(2))


def test_an_erased_rectangle_is_grey_as_the_mean(samples: Path) -> None:
    image = Image.open(samples / "train" / "coffee" / "000.jpg").convert("RGB")
    torch.manual_seed(0)
    pixels = photo_augmentation(Config(erasing=1.0), PREPROCESSING)(image)
    grey = (pixels == np.array([127, 102, 76])).all(2)
    assert 0.01 < grey.mean() < 0.4


def test_mixup_and_cutmix_mix_labels_as_they_mix_photos() -> None:
    pixels = torch.stack([torch.full((8, 8, 3), value, dtype=torch.uint8) for value in (0, 100)])
    for config in (Config(mixup=1.0), Config(cutmix=1.0), Config(mixup=0.3, cutmix=0.7)):
        mix = batch_augmentation(config, 2)
        assert mix is not None
        torch.manual_seed(3)
        mixed, targets = mix(pixels, torch.tensor([0, 1]))
        assert mixed.shape == pixels.shape and targets.sum(1).tolist() == pytest.approx([1, 1])
        # Photo 0 is black and photo 1 has brightness 100, so a mixture's brightness shows its share of photo 1.
        assert (mixed.float().mean((1, 2, 3)) / 100).tolist() == pytest.approx(targets[:, 1].tolist(), abs=1e-5)
    assert batch_augmentation(Config(), 2) is None


def test_inceptions_auxiliary_classifier_adds_its_loss_in_training_and_is_not_in_the_artifact() -> None:
    backbone, features, _ = build_backbone("inception_v3")
    auxiliary = build_auxiliary("inception_v3", 3)
    assert auxiliary is not None and build_auxiliary("resnet18", 3) is None
    preprocessing = Preprocessing(resize=80, crop=80, interpolation="bilinear", mean=(0.5,) * 3, std=(0.5,) * 3)
    classifier = Classifier(backbone, build_head(features, (), 0.0, 3), preprocessing, 1.0)
    model = WithAuxiliary(classifier, *auxiliary).eval()
    pixels = torch.zeros(2, 299, 299, 3, dtype=torch.uint8)
    with torch.inference_mode():
        assert torch.equal(model(pixels), classifier(pixels))
        model.train()
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d | nn.Dropout):
                module.eval()
        logits, second = model(pixels)
    assert logits.shape == second.shape == (2, 3)
    assert not any("auxiliary" in name.lower() or "auxlogits" in name.lower() for name in classifier.state_dict())


@pytest.mark.long
def test_inception_fine_tunes_with_its_auxiliary_loss(tiny: Path, tmp_path: Path) -> None:
    settings = {"backbone": "inception_v3", "weights": "random", "finetune-epochs": "1", "finetune-batch-size": "4"}
    runs = [run_training(tmp_path / w, {"training": tiny}, settings | {"auxiliary": w}) for w in ("0", "1")]
    assert [run.status for run in runs] == [0, 0], [run.errors for run in runs]
    alone, both = [run.record("epoch", stage="finetune")["step_losses"][0] for run in runs]
    # Both runs start with the same model. The untrained auxiliary classifier adds the loss of a guess between two classes: log 2.
    assert both - alone == pytest.approx(math.log(2), rel=0.4)


def test_without_a_compiler_the_model_is_trained_as_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    model = nn.Linear(1, 1)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    assert compiler.compiled(model) is model
    assert capsys.readouterr().out == (
        "compile: no C++ compiler is installed (g++ or clang++), so the model is trained as it is\n"
    )


def test_on_a_gpu_without_triton_the_model_is_trained_as_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "g++").touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    model = nn.Linear(1, 1)
    monkeypatch.setattr(nn.Parameter, "is_cuda", True, raising=False)  # pretends to be on a GPU
    assert compiler.compiled(model) is model
    assert capsys.readouterr().out.startswith("compile: triton is not installed")


@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method:DeprecationWarning")
@pytest.mark.parametrize("compiler_name", ["g++", "clang++", "of its own"])
def test_with_a_compiler_the_model_is_given_to_torch(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, compiler_name: str
) -> None:
    (tmp_path / compiler_name).touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CXX", "" if "+" in compiler_name else compiler_name)
    model = nn.Linear(1, 1)
    wrapped = compiler.compiled(model)  # torch compiles at the first call of `wrapped`
    assert wrapped is not model and wrapped._orig_mod is model and not capsys.readouterr().out


@pytest.mark.long
def test_a_compiled_model_trains_to_what_a_plain_one_does(tiny: Path, tmp_path: Path) -> None:
    settings = SMALL | {"precision": "fp32", "epochs": "1", "finetune-epochs": "2"}
    plain = run_training(tmp_path / "plain", {"training": tiny}, settings)
    compiled = run_training(tmp_path / "compiled", {"training": tiny}, settings | {"compile": "true"})
    assert plain.status == compiled.status == 0, compiled.errors
    pair = [run.record("epoch", stage="finetune", epoch=2)["train_loss"] for run in (plain, compiled)]
    assert pair[0] == pytest.approx(pair[1], rel=1e-3)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize(("alive", "status"), [(True, 0), (False, 1)])
def test_a_process_that_reads_photos_ends_where_its_parent_was_killed_before_it_began(alive: bool, status: int) -> None:
    parent = os.getpid()
    if not (child := os.fork()):
        die_with_parent(parent if alive else child, 0)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == status
