"""One hyperparameter's value: the meaning of each spelling, and refusals."""

from typing import Any

import pytest

from classifier.errors import ConfigError
from train.values import canonical, cast, plain_text, short


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (64, "64"),
        (" 64 ", "64"),
        ('"64"', "64"),
        ('"\\"64\\""', "64"),
        ('" adam "', "adam"),
        ("\ufeff0.1", "0.1"),
        ("", ""),
        (None, None),
        ("null", None),
        ("None", None),
        ('"None"', None),
        ("none", "none"),
    ],
)
def test_quotes_and_blanks_around_a_value_do_not_count(value: Any, text: str | None) -> None:
    assert plain_text("lr", value) == text


@pytest.mark.parametrize("value", ['"64', '64"', '"'])
def test_quotes_that_do_not_match_are_refused(value: str) -> None:
    with pytest.raises(ConfigError, match=r"^hyperparameter lr is '.*', whose quotes do not match"):
        plain_text("lr", value)


@pytest.mark.parametrize(
    ("type_", "text", "value"),
    [
        (int, "64", 64),
        (int, "64.0", 64),
        (int, "1e3", 1000),
        (int, "-2", -2),
        (float, "1e-3", 0.001),
        (bool, "Yes", True),
        (bool, "OFF", False),
        (bool, "y", True),
        (bool, "F", False),
        (str, "resnet18", "resnet18"),
        (tuple[int, ...], "512,256", (512, 256)),
        (tuple[int, ...], "[512, 256.0]", (512, 256)),
        (tuple[int, ...], "(7,)", (7,)),
        (tuple[int, ...], "", ()),
        (tuple[int, ...], "None", ()),
    ],
)
def test_text_becomes_a_value_of_its_type(type_: Any, text: str, value: Any) -> None:
    found = cast("name", type_, text)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    ("type_", "text", "wanted"),
    [
        (int, "6.5", "a whole number"),
        (int, "many", "a whole number"),
        (int, "inf", "a whole number"),
        (float, "fast", "a number, as in 0.01"),
        (bool, "2", "true or false"),
        (tuple[int, ...], "5,x", "whole numbers with commas"),
    ],
)
def test_text_of_another_type_is_refused_with_what_is_wanted(type_: Any, text: str, wanted: str) -> None:
    with pytest.raises(ConfigError, match=f"^hyperparameter name is '{text}'; it must be {wanted}$"):
        cast("name", type_, text)


def test_a_choice_is_read_in_any_case_and_other_text_as_it_is() -> None:
    assert cast("optimizer", str, "AdamW", ("adam", "adamw")) == "adamw"
    assert cast("backbone", str, "timm/ViT") == "timm/ViT"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("0.10", "0.1", True),
        ("1e-1", "0.1", True),
        ("yes", "True", True),
        ("on", "off", False),
        ("1", "true", False),  # "1" may also be a number
        ("1", "1.0", True),
        ("Adam", "adam", True),
        ("0.1", "0.2", False),
        ("0.100000000001", "0.1", False),
        ("adam", "adamw", False),
    ],
)
def test_two_spellings_of_one_value_are_the_same(one: str, other: str, same: bool) -> None:
    assert (canonical(one) == canonical(other)) == same


@pytest.mark.parametrize(("length", "shown"), [(60, 60), (61, 60), (500, 60)])
def test_a_long_value_is_cut_in_a_message(length: int, shown: int) -> None:
    text = short("x" * length)
    assert len(text) == shown and text.endswith("...") == (length > 60)
