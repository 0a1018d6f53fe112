"""Hyperparameters that notebooks set for other programs: each is translated to ours, ignored, or refused with a remedy."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from classifier.errors import ConfigError
from tests.conftest import LITE, ROOT, Run
from train.config import Config, hyphenated, parse, searched, translated
from train.foreign_names.checks import check_class_count, check_size
from train.foreign_names.markdown import table
from train.foreign_names.rules import BY_NAME, RULES

# Hyperparameters that the SDK adds to a job, or a tuner adds to its trials.
PLATFORM = {
    "sagemaker_program": '"train.py"',
    "sagemaker_estimator_class_name": '"PyTorch"',
    "sagemaker_estimator_module": '"sagemaker.pytorch.estimator"',
    "sagemaker_container_log_level": "20",
    "sagemaker_job_name": '"pytorch-training-2021-12-25"',
    "sagemaker_parameter_server_enabled": "false",
    "sagemaker_instance_type": '"ml.m5.xlarge"',
    "sagemaker_whatever_comes_next": "1",
    "_tuning_objective_metric": '"average test loss"',
    "default_user_module_name": "x",
}


def fields(**changes: object) -> Config:
    return Config(**changes)


def test_names_of_the_platform_are_left_out_whatever_they_are() -> None:
    assert parse(PLATFORM) == Config() and translated(PLATFORM).notes == ()


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ({"learning_rate": "0.05"}, fields(lr=0.05)),
        ({"adam-learning-rate": "0.05", "batch-size": "4", "epochs": "3"}, fields(lr=0.05, batch_size=4, epochs=3)),
        ({"mini_batch_size": "128"}, fields(batch_size=128)),
        ({"num_epochs": "3"}, fields(epochs=3)),
        ({"n_epochs": "3"}, fields(epochs=3)),
        ({"model_name": "resnet18"}, fields(backbone="resnet18")),
        ({"arch": '"timm/resnet18"'}, fields(backbone="timm/resnet18")),
        ({"num_layers": "50", "use_pretrained_model": "1"}, fields(backbone="resnet50")),
        ({"precision_dtype": "float32"}, fields(precision="fp32")),
        ({"train_only_top_layer": "True"}, fields(finetune_epochs=0)),
        ({"early_stopping": "True"}, fields(early_stopping=5)),
        ({"early_stopping": "True", "early_stopping_patience": "3"}, fields(early_stopping=3)),
        ({"early_stopping_patience": "3"}, fields(early_stopping=3)),
        ({"early_stopping": "False", "early_stopping_patience": "3"}, fields(early_stopping=0)),
        ({"early_stopping": "2"}, fields(early_stopping=2)),
        ({"hidden_units": "512"}, fields(hidden=(512,))),
        ({"dropout_rate": "0.2", "label_smoothing": "0.1"}, fields(dropout=0.2, label_smoothing=0.1)),
        ({"random_seed": "123"}, fields(seed=123)),
        ({"validation_split_ratio": "0.2"}, fields(validation_share=0.2)),
        ({"lr": "0.1", "learning_rate": "0.10"}, fields(lr=0.1)),
    ],
)
def test_a_name_with_the_same_meaning_is_read_as_ours(given: dict[str, str], meant: Config) -> None:
    assert parse(given) == meant


# The hyperparameters of whole notebooks: built-in image classification, JumpStart's TensorFlow models with all defaults, and a
# torch script.
BUILT_IN = {
    "num_layers": "18",
    "use_pretrained_model": "1",
    "image_shape": "3,224,224",
    "num_classes": "257",
    "num_training_samples": "15420",
    "mini_batch_size": "128",
    "epochs": "10",
    "learning_rate": "0.01",
    "precision_dtype": "float32",
    "top_k": "2",
    "optimizer": "sgd",
    "momentum": "0.9",
    "weight_decay": "0.0001",
    "multi_label": "0",
}
JUMPSTART = {
    "train_only_top_layer": "True",
    "epochs": "3",
    "batch_size": "32",
    "optimizer": "adam",
    "learning_rate": "0.001",
    "beta_1": "0.9",
    "beta_2": "0.999",
    "momentum": "0.9",
    "epsilon": "1e-07",
    "rho": "0.95",
    "initial_accumulator_value": "0.1",
    "reinitialize_top_layer": "Auto",
    "early_stopping": "False",
    "early_stopping_patience": "5",
    "early_stopping_min_delta": "0.0",
    "dropout_rate": "0.2",
    "regularizers_l2": "0.0001",
    "label_smoothing": "0.1",
    "image_resize_interpolation": "bilinear",
    "augmentation": "False",
    "augmentation_random_flip": "horizontal_and_vertical",
    "augmentation_random_rotation": "0.2",
    "augmentation_random_zoom": "0.1",
    "binary_mode": "False",
    "eval_metric": "auto",
    "validation_split_ratio": "0.2",
    "random_seed": "123",
}
# Hyperparameters of scripts around Hugging Face's Trainer, and around Lightning's.
TRAINER = {
    "num_train_epochs": "3",
    "learning_rate": "5e-5",
    "weight_decay": "0.01",
    "warmup_ratio": "0.1",
    "label_smoothing_factor": "0.1",
    "max_grad_norm": "1.0",
    "seed": "42",
    "fp16": "False",
    "eval_strategy": '"epoch"',
    "save_strategy": '"epoch"',
    "load_best_model_at_end": "True",
    "metric_for_best_model": '"accuracy"',
    "do_train": "True",
    "do_eval": "True",
    "output_dir": '"/opt/ml/model"',
    "logging_dir": '"/opt/ml/output/tensorboard"',
    "report_to": '"none"',
    "push_to_hub": "False",
    "disable_tqdm": "True",
    "dataloader_num_workers": "4",
    "per_device_eval_batch_size": "64",
    "gradient_accumulation_steps": "1",
}
LIGHTNING = {
    "max_epochs": "3",
    "accelerator": '"auto"',
    "devices": "1",
    "gradient_clip_val": "1.0",
    "log_every_n_steps": "50",
    "enable_progress_bar": "False",
    "default_root_dir": '"/opt/ml/model"',
    "shuffle": "true",
}
SCRIPT = {
    "batch-size": 64,
    "test-batch-size": 1000,
    "epochs": 2,
    "lr": 0.01,
    "momentum": 0.5,
    "seed": 1,
    "log-interval": 100,
}


def test_a_notebook_of_the_built_in_algorithm_is_understood_whole() -> None:
    trained = {"lr": 0.01, "batch_size": 128, "epochs": 10, "optimizer": "sgd", "momentum": 0.9, "weight_decay": 1e-4}
    assert parse(BUILT_IN) == fields(backbone="resnet18", precision="fp32", **trained)
    assert parse(SCRIPT | PLATFORM) == fields(batch_size=64, epochs=2, lr=0.01, momentum=0.5, seed=1)


def test_the_arguments_of_hugging_faces_trainer_and_of_lightning_are_understood() -> None:
    learnt = {"lr": 5e-5, "weight_decay": 0.01, "warmup": 0.1, "label_smoothing": 0.1, "clip_norm": 1.0, "seed": 42}
    assert parse(TRAINER) == fields(epochs=3, **learnt)
    assert parse(LIGHTNING) == fields(epochs=3, clip_norm=1.0)


def test_of_jumpstarts_defaults_all_that_would_change_the_result_is_answered_at_once() -> None:
    with pytest.raises(ConfigError) as told:
        parse(JUMPSTART)
    refused = re.findall(r"hyperparameter ([a-z_0-9]+)", str(told.value))
    assert refused == ["epsilon", "regularizers_l2", "image_resize_interpolation"]
    understood = parse({name: value for name, value in JUMPSTART.items() if name not in refused})
    trained = {"epochs": 3, "batch_size": 32, "lr": 0.001, "dropout": 0.2, "label_smoothing": 0.1}
    assert understood == fields(**trained, validation_share=0.2, seed=123)


@pytest.mark.parametrize(
    "given",
    [
        {"num_workers": "4", "log-interval": "10", "test-batch-size": "1000", "backend": '"gloo"'},
        {"num_training_samples": "15420", "top_k": "2", "checkpoint_frequency": "1", "kv_store": "dist_sync"},
        {"beta_1": "0.9", "beta_2": "0.999", "eps": "1e-8", "multi_label": "0", "nesterov": "False"},
        {"use_weighted_loss": "0", "amp": "False", "bf16": "false", "mixed_precision": '"no"'},
        {"model_dir": "s3://bucket/job/model", "data-dir": "/opt/ml/input/data/training", "num_gpus": "1"},
        {"augmentation": "False", "augmentation_random_zoom": "0.1", "binary_mode": "False", "rho": "0.95"},
        {"reinitialize_top_layer": "Auto", "early_stopping_min_delta": "0.0", "loss": "categorical_crossentropy"},
    ],
)
def test_what_changes_nothing_is_ignored_and_said(given: dict[str, str]) -> None:
    assert parse(given) == Config()
    (note,) = translated(given).notes
    assert note.startswith("hyperparameters that change nothing here and are ignored: ")
    assert all(name in note for name in given)


@pytest.mark.parametrize(
    ("given", "answer"),
    [
        ({"lr_scheduler_step": "10", "lr_scheduler_factor": "0.1"}, "the head learns at a constant rate"),
        ({"gamma": "0.7"}, "the head learns at a constant rate"),
        ({"augmentation_type": "crop_color"}, "`views` augments for the head"),
        ({"resize": "256"}, "photos are resized and cropped as the backbone's weights need it; leave it out"),
        ({"num_layers": "110"}, "num_layers=110 has no place here: `backbone` names the network"),
        ({"use_pretrained_model": "0"}, "takes `weights=random` and `finetune-epochs`"),
        ({"train_only_top_layer": "False"}, "`finetune-epochs` says for how many epochs the backbone is trained too"),
        ({"kv_store": "dist_async"}, "all hosts make every step together"),
        ({"multi_label": "1"}, "a photo has one label"),
        ({"beta_1": "0.8"}, "adam uses torch's default, 0.9"),
        ({"data-dir": "/mnt/photos"}, "photos come from the job's channels"),
        ({"loss": "binary_crossentropy"}, "the loss is cross-entropy"),
        ({"model_id": "pytorch-ic-mobilenet-v2"}, "`backbone` names the network"),
        ({"fp16": "True"}, "`precision` is auto, fp32, bf16 or fp16"),
        ({"mixed_precision": "fp16"}, "`precision` is auto, fp32, bf16 or fp16"),
        ({"use_weighted_loss": "1"}, "a photo has one label"),
        ({"eval_strategy": "steps"}, "every epoch is judged on validation"),
        ({"model_name_or_path": "google/vit-base-patch16-224"}, "`backbone` names the network"),
        ({"lr_scheduler_type": "linear"}, "the head learns at a constant rate"),
    ],
)
def test_what_would_change_the_result_is_answered_with_what_takes_its_place(given: dict[str, str], answer: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(answer)) as told:
        parse(given)
    assert all(name in str(told.value) for name in given) and "did you mean" not in str(told.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"lr": "0.1", "learning_rate": "0.2"}, "lr=0.1 and learning_rate=0.2 both mean lr and differ"),
        ({"batch_size": "32", "batch-size": "64"}, "batch_size=32 and batch-size=64 both mean batch-size and differ"),
        ({"num_layers": "50", "backbone": "resnet18"}, "num_layers=50 and backbone=resnet18 both mean backbone"),
        ({"early_stopping": "4", "patience": "3"}, "early_stopping=4 and patience=3 both mean early-stopping"),
        ({"train_only_top_layer": "True", "finetune-epochs": "2"}, "both mean finetune-epochs and differ"),
        ({"learning_rate": "fast"}, "hyperparameter learning_rate is 'fast'; it must be a number"),
        ({"learning_rate": "100"}, "hyperparameter learning_rate is 100.0; it must lie between 1e-07 and 10"),
    ],
)
def test_a_contradiction_and_a_wrong_value_are_named_as_they_were_given(given: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        parse(given)


@pytest.mark.parametrize(
    "name", ["bucket", "region", "instance_type", "cooldown", "eval_freq", "alpha", "timeout", "x"]
)
def test_a_name_that_is_near_to_none_gets_no_hint(name: str) -> None:
    with pytest.raises(
        ConfigError, match=f"'{name}' is unknown; leave out names that are not in this list: backbone, "
    ) as told:
        parse({name: "1"})
    assert "did you mean" not in str(told.value)


def test_a_search_and_a_tuner_leave_what_is_given_by_another_name_alone() -> None:
    assert searched({"learning_rate": "0.1"}) == ["batch-size", "epochs"]
    assert searched({"mini_batch_size": "64", "n_epochs": "2", "lr": None}) == ["lr"]
    with pytest.raises(ConfigError, match="lr, batch-size, epochs all have values"):
        parse({"learning_rate": "0.1", "mini_batch_size": "64", "n_epochs": "2", "search-trials": "4"})


def test_the_number_of_classes_must_be_the_photos_own() -> None:
    for given in ({"num_classes": "3"}, {"num_classes": 3}, {"num-labels": "3.0"}, {"n_classes": None}, {}):
        check_class_count(given, 3)
    with pytest.raises(
        ConfigError, match=r"num_classes is '257', but the photos have 3 classes; .* or leave num_classes out"
    ):
        check_class_count({"num_classes": "257"}, 3)


def test_the_size_must_be_the_backbones_own() -> None:
    for given in ({"image_shape": "3,224,224"}, {"image_shape": '"3, 224, 224"'}, {"img-size": 224}, {"lr": "1"}):
        check_size(given, "resnet50", 224)
    for shape in ("1,28,28", "3,299,299", "224,256", "big"):
        with pytest.raises(ConfigError, match="the backbone resnet50 takes 224 x 224 pixels"):
            check_size({"image_shape": shape}, "resnet50", 224)


def test_no_name_has_two_rules_and_no_rule_takes_a_name_of_ours() -> None:
    ours = set(Config().to_json())
    assert len(BY_NAME) == sum(len(rule.names) for rule in RULES)
    assert BY_NAME.keys() & ours == {"early-stopping"}  # its values true and false come from another program
    assert {rule.ours for rule in RULES if rule.ours} <= ours
    assert all(name == hyphenated(name).lower() for name in BY_NAME)


def test_the_documented_table_is_the_programs() -> None:
    assert table() in (ROOT / "docs" / "hyperparameters.md").read_text()


@pytest.mark.slow
def test_training_says_what_it_read_and_ignored_in_its_log_and_in_the_record(
    tiny: Path, train: Callable[..., Run]
) -> None:
    run = train(tiny, learning_rate="0.02", num_classes="2", num_workers="2", image_shape="3,224,224")
    assert run.status == 0, run.errors
    job = run.record("job")
    assert job["hyperparameters"]["lr"] == 0.02
    read, ignored = job["notes"][:2]
    assert read == "hyperparameters: learning_rate is read as lr" and read in run.output.splitlines()
    assert "num_classes" in ignored and "num_workers" in ignored and ignored in run.output.splitlines()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"num_classes": "7"}, "num_classes is '7', but the photos have 2 classes"),
        ({"image_shape": "3,299,299"}, f"the backbone {LITE} takes 224 x 224 pixels"),
    ],
)
def test_training_refuses_what_the_photos_and_the_backbone_contradict(
    tiny: Path, train: Callable[..., Run], given: dict[str, str], message: str
) -> None:
    run = train(tiny, **given)
    assert run.status == 1 and message in run.failure and "Traceback" not in run.errors


def test_what_stands_before_another_hyperparameter_does_not_hide_it() -> None:
    # A hyperparameter of the platform, one with the value None, and an ignored one.
    for first in ({"sagemaker_job_name": "x"}, {"momentum": "None"}, {"num_workers": "4"}):
        assert parse(first | {"lr": "0.25", "epochs": "3"}) == Config(lr=0.25, epochs=3)
    with pytest.raises(ConfigError) as refused:
        parse({"lr": '"0.1', "layers": "9", "epochs": '3"', "amp": "1", "seed": "x"})
    said = str(refused.value)
    for part in (
        "hyperparameter lr is",
        "hyperparameter epochs is",
        "'layers' is unknown",
        "amp=1 has no place",
        "seed",
    ):
        assert part in said
