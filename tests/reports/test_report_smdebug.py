"""Reading the files of SageMaker's Debugger without smdebug: files that smdebug itself wrote, and damaged ones."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from reports.report import make, read
from reports.rules.thresholds import SAGEMAKER
from reports.sources.smdebug_events import masked_crc
from tests.debugger import loop
from tests.debugger import read as read_with_smdebug
from tests.reports.debugger_files import EVAL, GRADIENT, LOSS, TRAIN, event, event_file, framed, tensors
from tests.reports.made import healthy, metrics, verdict, write

# Six epochs, each of four training steps and one validation: the training loss falls, the validation loss rises.
OVERFIT = {
    5 * epoch + step: (TRAIN, 2.0 - 0.3 * epoch - 0.02 * step) if step < 4 else (EVAL, 2.0 + 0.5 * epoch)
    for epoch in range(6)
    for step in range(5)
}


def sentences(folder: Path) -> str:
    return "\n".join(read(folder)[1])


@pytest.mark.slow
@pytest.mark.trainenv
def test_files_of_smdebug_give_the_numbers_that_smdebug_itself_reads(tmp_path: Path) -> None:
    reductions = {"CollectionName": "gradients", "CollectionParameters": {"reductions": "mean,std,min,max"}}
    config = {
        "LocalPath": str(tmp_path / "debug-output"),
        "HookParameters": {"train.save_interval": "2", "eval.save_interval": "1"},
        "CollectionConfigurations": [{"CollectionName": "losses"}, reductions],
    }
    assert loop(tmp_path / "job", config)[1] == []
    theirs = read_with_smdebug(tmp_path / "debug-output")
    run = read(tmp_path / "debug-output")[0].run
    assert run is not None
    (epoch,) = run.epochs
    losses = theirs["loss_output_0"]
    assert epoch.step_numbers == (0, 2, 4)
    assert epoch.step_losses == pytest.approx([losses[f"TRAIN {step}"] for step in epoch.step_numbers])
    assert epoch.validation_loss == losses["EVAL 0"] == 7
    gradients = {(one.layer, one.step): one for one in run.layers}
    for name, steps in theirs.items():
        for step in steps if name.startswith("gradient/") else ():
            ours = gradients.pop((name.removeprefix("gradient/"), int(step.removeprefix("TRAIN "))))
            assert (ours.mean, ours.std) == pytest.approx((steps[step]["mean"], steps[step]["std"]))
    assert not gradients
    assert "auxiliary_loss_output_0" in sentences(tmp_path / "debug-output")


def test_losses_become_epochs_where_training_follows_validation(tmp_path: Path) -> None:
    run = read(tensors(tmp_path, OVERFIT))[0].run
    assert run is not None and [epoch.number for epoch in run.epochs] == [1, 2, 3, 4, 5, 6]
    assert run.epochs[1].step_losses == pytest.approx((1.7, 1.68, 1.66, 1.64), abs=1e-6)
    assert run.epochs[1].train_loss == pytest.approx(1.67, abs=1e-6)
    assert run.epochs[1].validation_loss == pytest.approx(2.5)
    assert run.epochs[1].step_numbers == (5, 6, 7, 8)
    assert "no settings, no accuracy" in sentences(tmp_path)


def test_a_training_loss_that_falls_beside_one_that_rises_is_overfitting(tmp_path: Path) -> None:
    report = make(tensors(tmp_path, OVERFIT))
    assert {one.rule for one in report.judged if one.ours.state == "triggered"} == {"Overfit", "Overtraining"}
    curves = next(section for section in report.sections if section.id == "learning").charts
    assert [chart.id for chart in curves] == ["loss", "steps"]
    assert curves[1].x[:5] == ("0", "1", "2", "3", "5")


def test_the_published_losses_fire_from_files_too(tmp_path: Path) -> None:
    losses = dict(zip((0, 4, 8, 12, 16), (0.3, 0.33, 0.31, 0.30, 0.28), strict=True))
    found = verdict(
        "LossNotDecreasing", tensors(tmp_path, {step: (TRAIN, loss) for step, loss in losses.items()}), SAGEMAKER
    )
    assert found.state == "triggered" and "at 1 of 5 steps" in found.sentence


@pytest.mark.parametrize(
    ("gradient", "rules"),
    [
        ((0.0, 0.0), {"AllZero", "VanishingGradient"}),
        ((1e-9, -1e-9), {"VanishingGradient"}),
        ((float("nan"), 1.0), {"ExplodingTensor"}),
    ],
)
def test_gradients_are_judged(tmp_path: Path, gradient: tuple[float, ...], rules: set[str]) -> None:
    judged = make(tensors(tmp_path, {step: (TRAIN, 2.0 - step / 10) for step in range(8)}, gradient)).judged
    assert {one.rule for one in judged if one.ours.state == "triggered"} == rules


def test_the_collection_says_which_tensors_are_losses(tmp_path: Path) -> None:
    tensors(tmp_path, {0: (TRAIN, 2.0)})
    path = tmp_path / "debug-output" / "collections" / "000000000" / "worker_0_collections.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"collections": {"losses": {"name": "losses", "tensor_names": ["other"]}}}))
    assert "The Debugger saved no loss." in sentences(tmp_path)


def test_records_of_ours_keep_their_losses_and_gain_the_gradients(tmp_path: Path) -> None:
    run = read(tensors(write(tmp_path, healthy()), {0: (TRAIN, 9.0)}))[0].run
    assert run is not None and len(run.epochs) == 10 and run.job is not None
    assert [one.layer for one in run.layers] == ["fc.weight"]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda data: data[:-3], "it is cut off"),
        (lambda data: data[:5], "it is cut off"),
        (lambda data: data[:8] + b"\0\0\0\0" + data[12:], "a checksum is wrong"),
        (lambda data: data[:-1] + bytes([data[-1] ^ 1]), "a checksum is wrong"),
        (lambda _: b"no event file", "a checksum is wrong"),
        (lambda _: framed(b"\x0b"), "a field has an unknown wire type"),
        (lambda _: framed(b"\x2a\x7f"), "a message is cut off"),
        (lambda _: framed(b"\x28\x01"), "holds a number"),
        (lambda _: framed(event(LOSS, (), TRAIN, 3)), "a tensor has no values"),
    ],
)
def test_a_damaged_file_affects_no_other_file_and_is_named(
    tmp_path: Path, damage: Callable[[bytes], bytes], reason: str
) -> None:
    tensors(tmp_path, {step: (TRAIN, 2.0) for step in range(4)})
    path = event_file(tmp_path, 3)
    path.write_bytes(damage(path.read_bytes()))
    evidence, missing = read(tmp_path)
    assert evidence.run is not None and evidence.run.epochs[0].step_numbers[:3] == (0, 1, 2)
    assert any(
        "1 event file could only be read in part" in one and reason in one and path.name in one for one in missing
    ), missing


def test_the_checksum_of_a_constant_is_taken_as_smdebug_writes_it(tmp_path: Path) -> None:
    tensors(tmp_path, {0: (TRAIN, 2.0)})
    content = event(GRADIENT, (3.0, 5.0), TRAIN, 0)
    data = framed(content)
    event_file(tmp_path, 0).write_bytes(data[:-4] + masked_crc(b"0x12345678").to_bytes(4, "little"))
    run = read(tmp_path)[0].run
    assert run is not None and [(one.mean, one.std) for one in run.layers] == [(4.0, 1.0)]


def test_tensors_of_another_job_are_named_and_not_mixed_in(tmp_path: Path) -> None:
    tensors(tmp_path / "a", {0: (TRAIN, 2.0), 1: (TRAIN, 1.0)})
    tensors(tmp_path / "b", {0: (TRAIN, 9.0)})
    run = read(tmp_path)[0].run
    assert run is not None and run.epochs[0].step_losses == (2.0, 1.0)
    assert f"The tensors of other jobs in {tmp_path / 'b' / 'debug-output'}" in sentences(tmp_path)


def test_profiler_output_beside_the_tensors_is_read_too(tmp_path: Path) -> None:
    evidence, _ = read(metrics(tensors(tmp_path, {0: (TRAIN, 2.0)}), [90.0] * 30, [10.0] * 30))
    assert evidence.run is not None and evidence.profile is not None
