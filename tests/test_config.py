"""Hyperparameters: SageMaker's strings to one typed configuration, and the metric lines."""

import re
import subprocess
import sys

import pytest

from classifier.errors import ConfigError
from tests.conftest import needs_torch
from train.config import (
    METRIC_DEFINITIONS,
    OBJECTIVE,
    PLATFORM_NAMES,
    TUNING_RANGES,
    Config,
    help_table,
    metric_line,
    parse,
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


def test_names_that_the_platform_adds_are_left_out() -> None:
    assert parse(dict.fromkeys(PLATFORM_NAMES, "x")) == Config()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"learning-rate": "0.1"}, "'learning-rate' is unknown"),
        ({"epoch": "2"}, "did you mean 'epochs'"),
        ({"batchsize": "2"}, "did you mean 'batch-size'"),
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


def test_every_value_the_tuner_may_try_is_allowed() -> None:
    for name, space in TUNING_RANGES.items():
        for value in space.get("choices", (space.get("low"), space.get("high"))):
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
