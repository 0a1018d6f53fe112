"""The Debugger's hook in a real loop; smdebug itself reads the tensors back. The loop continues after any error of the hook."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT, run_training
from tests.debugger import READ, loop, read

trainenv = pytest.mark.trainenv


def test_without_a_configuration_there_is_no_hook_and_smdebug_is_not_imported(tmp_path: Path) -> None:
    assert loop(tmp_path, None) == (["False ended"], [])
    assert not (tmp_path / "output").exists()


@trainenv
def test_losses_are_saved_by_name_at_the_interval_in_both_modes(tmp_path: Path) -> None:
    output, errors = loop(tmp_path, {"HookParameters": {"train.save_interval": "2", "eval.save_interval": "1"}})
    assert (output, errors) == (["True ended"], [])
    saved = read(tmp_path / "output" / "tensors")
    assert saved.keys() == {"loss_output_0", "auxiliary_loss_output_0"}
    assert saved["auxiliary_loss_output_0"] == {"TRAIN 0": 0.0, "TRAIN 2": 1.0, "TRAIN 4": 2.0}
    assert saved["loss_output_0"].keys() == {"TRAIN 0", "TRAIN 2", "TRAIN 4", "EVAL 0"}
    assert saved["loss_output_0"]["EVAL 0"] == 7.0 and saved["loss_output_0"]["TRAIN 0"] > 0


@pytest.mark.slow
@trainenv
def test_gradients_are_saved_as_reductions_when_asked_for_and_outputs_never(tmp_path: Path) -> None:
    config = {
        "LocalPath": str(tmp_path / "elsewhere"),
        "HookParameters": {"save_interval": "3", "save_all": "true"},
        "CollectionConfigurations": [
            {"CollectionName": "losses"},
            {"CollectionName": "gradients", "CollectionParameters": {"save_raw_tensor": "true"}},
            {"CollectionName": "relu_output", "CollectionParameters": {"include_regex": ".*relu_output"}},
        ],
    }
    output, errors = loop(
        tmp_path, config, after_step="gradient = model[0].weight.grad; step or print(gradient.norm().item())"
    )
    assert errors == [] and "saved, not relu_output, save_all" in output[0]
    saved = read(tmp_path / "elsewhere")
    assert {name for name in saved if "loss" not in name} == {
        f"gradient/Sequential_{layer}.{kind}" for layer in (0, 2) for kind in ("weight", "bias")
    }
    weight = saved["gradient/Sequential_0.weight"]
    assert weight.keys() == {"TRAIN 0", "TRAIN 3"}
    assert weight["TRAIN 0"].keys() == {"min", "max", "mean", "std", "abs_mean", "l2"}
    assert weight["TRAIN 0"]["l2"] == pytest.approx(float(output[1]), rel=1e-5)


@trainenv
@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ("{", "JSONDecodeError"),
        ("[]", "AttributeError"),
        ({"HookParameters": {"save_interval": "often"}}, "ValueError: invalid literal for int"),
        (
            {
                "CollectionConfigurations": [
                    {"CollectionName": "gradients", "CollectionParameters": {"reductions": "odd"}}
                ]
            },
            "reductions",
        ),
        ({"LocalPath": "/dev/null/tensors"}, "NotADirectoryError"),
    ],
)
def test_a_configuration_that_cannot_be_used_costs_one_line(tmp_path: Path, config: Any, reason: str) -> None:
    output, errors = loop(tmp_path, config)
    assert output[-1].endswith(" ended") and len(errors) == 1, errors
    assert errors[0].startswith("debugger hook off: ") and reason in errors[0]


@trainenv
def test_a_folder_that_goes_away_under_training_costs_one_line(tmp_path: Path) -> None:
    replace = "shutil.rmtree(base / 'output') or (base / 'output').write_text('') if step == 1 else None"
    output, errors = loop(tmp_path, {"HookParameters": {"save_interval": "1"}}, after_step=replace)
    assert output == ["True ended"] and len(errors) == 1 and errors[0].startswith("debugger hook off: "), errors


@pytest.mark.slow
@trainenv
def test_tensors_of_another_run_are_left_alone(tmp_path: Path) -> None:
    config = {"LocalPath": str(tmp_path / "tensors"), "HookParameters": {"save_interval": "1"}}
    loop(tmp_path / "a", config)
    before = read(tmp_path / "tensors")
    output, errors = loop(tmp_path / "b", config)
    assert output == ["True ended"] and len(errors) == 1 and "already exists" in errors[0]
    assert read(tmp_path / "tensors") == before


@trainenv
def test_a_folder_that_another_process_has_claimed_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "tensors"
    folder.mkdir()
    (folder / "claim.smd").touch()
    output, errors = loop(tmp_path, {"LocalPath": str(folder), "HookParameters": {"save_interval": "1"}})
    reason = f"FileExistsError: {folder} belongs to another run; name another LocalPath, or empty the folder"
    assert (output, errors) == (["True ended"], [f"debugger hook off: {reason}"])
    assert [path.name for path in folder.iterdir()] == ["claim.smd"]


@trainenv
def test_a_parameter_that_does_not_learn_has_no_gradient_to_save(tmp_path: Path) -> None:
    gradients = {"CollectionName": "gradients", "CollectionParameters": {"save_interval": "3"}}
    freeze = "model[0].bias.requires_grad_(False)"
    output, errors = loop(tmp_path, {"CollectionConfigurations": [gradients]}, after_step=freeze)
    assert (output, errors) == (["True ended"], [])
    saved = read(tmp_path / "output" / "tensors")
    assert saved["gradient/Sequential_0.bias"].keys() == {"TRAIN 0"}
    assert saved["gradient/Sequential_0.weight"].keys() == {"TRAIN 0", "TRAIN 3"}


@trainenv
def test_the_list_of_what_is_saved_is_written_once(tmp_path: Path) -> None:
    tell = "print(*(f'{path.name} {path.stat().st_mtime_ns}' for path in base.rglob('*_collections.json')))"
    output, errors = loop(tmp_path, {"HookParameters": {"save_interval": "1"}}, after_step=tell)
    assert errors == [] and len(output) == 7 and output[0].startswith("worker_0_collections.json ")
    assert set(output) == {output[0], "True ended"}


IMAGE = ROOT / ".venv-train" / "bin"


@pytest.mark.slow
@pytest.mark.skipif(not (IMAGE / "train").exists(), reason="`make test` makes .venv-train first")
def test_the_program_saves_both_stages_losses_and_gradients_where_the_platform_asks_for_them(
    tiny: Path, tmp_path: Path
) -> None:
    base = tmp_path / "opt-ml"
    (base / "input" / "config").mkdir(parents=True)
    gradients = {"CollectionName": "gradients", "CollectionParameters": {"save_interval": "1"}}
    config = {"HookParameters": {"save_interval": "1"}, "CollectionConfigurations": [gradients]}
    (base / "input" / "config" / "debughookconfig.json").write_text(json.dumps(config))
    job = {"epochs": "2", "batch-size": "4", "finetune-epochs": "1", "finetune-batch-size": "4", "precision": "fp32"}
    small = {"backbone": "timm/test_efficientnet", "weights": "random"}
    run = run_training(base, {"training": tiny}, job | small, program=str(IMAGE / "train"))
    assert run.status == 0 and "debugger hook off" not in run.errors, run.errors
    done = subprocess.run(
        [str(IMAGE / "python"), "-c", READ, str(base / "output" / "tensors")],
        capture_output=True,
        text=True,
        check=True,
    )
    saved = json.loads(done.stdout.rpartition("READ ")[2])
    # Two epochs of the head and one of fine-tuning; each has two steps.
    losses = [loss for record in run.records if record["kind"] == "epoch" for loss in record["step_losses"]]
    found = [saved["loss_output_0"][f"TRAIN {step}"] for step in range(6)]
    assert found == pytest.approx(losses, rel=1e-4)
    assert any(name.startswith("gradient/") and "conv_stem" in name for name in saved)
