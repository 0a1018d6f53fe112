"""Hyperparameters: SageMaker's strings become one typed configuration. Also the metric lines."""

import re
import subprocess
import sys

import pytest

from classifier.errors import ConfigError
from tests.conftest import needs_torch
from train.config import (
    METRIC_DEFINITIONS,
    OBJECTIVE,
    TUNING_RANGES,
    Config,
    help_table,
    metric_line,
    nothing_left,
    parse,
    searched,
)


def test_strings_become_typed_values() -> None:
    config = parse({"lr": "0.01", "batch-size": "128", "epochs": '"2"', "hidden": "[512, 256]", "export-onnx": "True"})
    assert (config.lr, config.batch_size, config.epochs, config.hidden, config.export_onnx) == (
        0.01,
        128,
        2,
        (512, 256),
        True,
    )


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("1", True), ("False", False), ("0", False), ('"true"', True)]
)
def test_a_boolean_is_what_it_says(text: str, value: bool) -> None:
    assert parse({"export-onnx": text}).export_onnx is value


def test_an_underscore_means_a_hyphen() -> None:
    assert parse({"batch_size": "32"}) == parse({"batch-size": "32"})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("64", 64),
        (" 64 ", 64),
        ("64.0", 64),
        ("6.4e1", 64),
        (64, 64),
        (64.0, 64),
        ('"64"', 64),
        ('"\\"64\\""', 64),
        ("\ufeff64", 64),
        ("\uff16\uff14", 64),
        (None, Config.batch_size),
        ("null", Config.batch_size),
        ("None", Config.batch_size),
        ('"None"', Config.batch_size),
    ],
)
def test_a_whole_number_is_read_in_every_way_that_a_notebook_writes_it(text: object, value: int) -> None:
    assert parse({"batch-size": text}).batch_size == value


@pytest.mark.parametrize("text", ["yes", "on", "TRUE", True, 1])
def test_a_boolean_is_read_in_every_way_that_a_notebook_writes_it(text: object) -> None:
    assert parse({"export-onnx": text}).export_onnx is True


def test_a_choice_is_read_in_any_case_and_a_name_too() -> None:
    assert parse({"Optimizer": "SGD", "WEIGHT_DECAY": "1e-4"}) == Config(optimizer="sgd", weight_decay=1e-4)


@pytest.mark.parametrize("text", ["512,256", "[512, 256]", [512, 256], '"512, 256"', "(512, 256)", "[512.0, 256]"])
def test_widths_are_read_in_every_way_that_a_notebook_writes_them(text: object) -> None:
    assert parse({"hidden": text}).hidden == (512, 256)


def test_hidden_may_be_none_as_its_default_is_called() -> None:
    assert parse({"hidden": "none"}).hidden == ()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"epoch": "2"}, "'epoch' (did you mean 'epochs'?) is unknown"),
        ({"batchsize": "2"}, "did you mean 'batch-size'?"),
        (
            {"--epochs": "2"},
            "'--epochs' (did you mean 'epochs'?) is unknown",
        ),  # nearer to n-epochs, which is not our name
        (
            {"unfreeze_layers": "2"},
            "unfreeze_layers has no place here: `finetune-epochs` trains the whole backbone too",
        ),
        ({"optimizer": '"adam'}, """optimizer is '"adam', whose quotes do not match; write the value without quotes"""),
        ({"optimizer": 'adam"'}, "quotes do not match"),
        ({"optimizer": '"'}, "quotes do not match"),
        ({"optimizer": '"\\"adam"'}, "quotes do not match"),
        ({"batch-size": "0x40"}, "batch-size is '0x40'; it must be a whole number"),
        ({"batch-size": "1e400"}, "batch-size is '1e400'; it must be a whole number"),
        ({"batch-size": "9" * 5000}, "9...'; it must be a whole number"),
        ({"batch-size": "9" * 2500}, "9...; it must lie between 1 and 65536"),
        ({"seed": "2147483648"}, "hyperparameter seed is 2147483648; it must lie between 0 and 2147483647"),
        ({"batch-size": {"value": 64}}, "batch-size is \"{'value': 64}\"; it must be a whole number"),
        ({"lr": "0,001"}, "lr is '0,001'; it must be a number, as in 0.01"),
        ({"lr": [0.1]}, "lr is '[0.1]'; it must be a number"),
        ({"lr": "fast"}, "lr is 'fast'; it must be a number"),
        ({"lr": "nan"}, "lr is nan; it must lie between"),
        ({"lr": "inf"}, "lr is inf"),
        ({"lr": "-1"}, "lr is -1.0; it must lie between 1e-07 and 10"),
        ({"lr": ""}, "lr is ''"),
        ({"epochs": "2.5"}, "epochs is '2.5'; it must be a whole number"),
        ({"epochs": "0"}, "epochs is 0"),
        ({"hidden": "512,wide"}, "hidden is '512,wide'; it must be whole numbers with commas"),
        ({"hidden": "0"}, "hidden is 0"),
        ({"export-onnx": "maybe"}, "export-onnx is 'maybe'; it must be true or false"),
        ({"weights": "imagenet"}, "weights is 'imagenet'; it must be one of pretrained, random"),
    ],
)
def test_a_wrong_hyperparameter_is_one_sentence(given: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        parse(given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"learning_rate": "0.1", "epochs": "5"}, "optimizer is lbfgs, which has no learning_rate, epochs: it uses all photos"),
        ({"search-trials": "20"}, "lbfgs, which has no search-trials: "),
        ({"momentum": "0.9", "batch-size": "64"}, "lbfgs, which has no batch-size, momentum: "),
        ({"hidden": "64"}, "this one has hidden 64 and dropout 0: leave them out, or use adam"),
        ({"dropout": "0.1"}, "this one has hidden none and dropout 0.1: leave them out, or use adam"),
    ],
)  # fmt: skip
def test_what_has_no_meaning_for_lbfgs_is_refused(given: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        parse({"optimizer": "lbfgs"} | given)


def test_what_has_a_meaning_for_lbfgs_is_taken() -> None:
    given = {"weight-decay": "0.01", "label-smoothing": "0.1", "class-weights": "balanced", "finetune-epochs": "2"}
    assert parse({"optimizer": '"LBFGS"', "early-stopping": "3", "seed": "1"} | given).optimizer == "lbfgs"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"optimizer": "LBFGS"}, "lr, batch-size, epochs have no place with the optimizer lbfgs, which searches weight-decay"),
        ({"lr": "1", "batch-size": "1", "n_epochs": "1"}, "lr, batch-size, epochs all have fixed values"),
    ],
)  # fmt: skip
def test_why_nothing_is_left_to_search(given: dict[str, str], message: str) -> None:
    assert searched(given) == [] and nothing_left(given).startswith(message)


def test_all_that_is_wrong_is_reported_at_once() -> None:
    given = {"lr": "fast", "epochs": "0", "optimizer": '"adam', "epoch": "2", "momentun": "0.9"}
    with pytest.raises(ConfigError) as names:
        parse(given)
    assert "'epoch' (did you mean 'epochs'?), 'momentun' (did you mean 'momentum'?) are unknown" in str(names.value)
    assert "quotes do not match" in str(names.value)
    assert "hyperparameter lr is 'fast'" in str(names.value) and "epochs is 0; it must lie" in str(names.value)
    with pytest.raises(ConfigError) as values:
        parse({name: given[name] for name in ("lr", "epochs")})
    assert str(values.value).splitlines() == [
        "hyperparameter lr is 'fast'; it must be a number, as in 0.01",
        "hyperparameter epochs is 0; it must lie between 1 and 10000",
    ]


def test_every_value_the_tuner_may_try_is_allowed() -> None:
    for name, space in TUNING_RANGES.items():
        for value in space["choices"] if "choices" in space else (space["low"], space["high"]):
            parse({name: str(value)})


def test_every_metric_definition_reads_its_own_number_from_the_line() -> None:
    numbers = {definition["Name"]: float(index) + 0.123456 for index, definition in enumerate(METRIC_DEFINITIONS, 1)}
    numbers["epoch"] = 3
    line = metric_line(3, numbers)
    assert "\n" not in line
    for definition in METRIC_DEFINITIONS:
        found = re.findall(definition["Regex"], line)
        assert [float(text) for text in found] == [pytest.approx(numbers[definition["Name"]], rel=1e-5)]
    assert OBJECTIVE in numbers


def test_metric_definitions_keep_the_platforms_limits() -> None:
    assert len(METRIC_DEFINITIONS) <= 40
    assert all(len(item["Regex"]) <= 500 and len(item["Name"]) <= 255 for item in METRIC_DEFINITIONS)


@needs_torch
def test_help_prints_the_table() -> None:
    done = subprocess.run([sys.executable, "-P", "-m", "train", "--help"], capture_output=True, text=True, check=True)
    assert help_table() in done.stdout
    assert [name for name in Config().to_json() if f"\n| `{name}` | " not in done.stdout] == []
