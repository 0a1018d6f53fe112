"""The name and the value of one hyperparameter: from hyperparameters.json to plain text, and from the text to a typed value."""

import json
from typing import Any

from classifier.errors import ConfigError
from classifier.switches import yes_or_no

# Python's and JSON's texts for a value that is not given.
NOT_GIVEN = ("null", "None")
_WANTED = {bool: "true or false", int: "a whole number", float: "a number, as in 0.01"}


def plain_text(name: str, value: object) -> str | None:
    """Return a value as text without quotes, None if it stands for "not given".

    The SDK writes some values as JSON inside the string, and a tuner does so twice: `64`, `"adam"`, `"\\"64\\""`. Raises
    ConfigError if the quotes do not match.
    """
    if value is None:
        return None
    text = str(value).strip().strip("\ufeff")
    while '"' in (text[:1], text[-1:]):
        try:
            text = str(json.loads(text)).strip()
        except ValueError:
            raise ConfigError(
                f"hyperparameter {name} is {short(text)!r}, whose quotes do not match; write the value without quotes"
            ) from None
    return None if text in NOT_GIVEN else text


def cast(name: str, type_: Any, text: str, choices: tuple[str, ...] = ()) -> Any:
    """Return the text as a value of `type_`; raises ConfigError if it is not one. With `choices` case is ignored."""
    try:
        if type_ is bool:
            return _switch(text)
        if type_ is int:
            return _whole(text)
        if type_ == tuple[int, ...]:
            parts = [] if text.lower() == "none" else text.strip("[]() ").split(",")
            return tuple(_whole(part) for part in parts if part.strip())
        return text.lower() if choices else type_(text)
    except (ValueError, KeyError):
        wanted = _WANTED.get(type_, "whole numbers with commas")
        raise ConfigError(f"hyperparameter {name} is {short(text)!r}; it must be {wanted}") from None


def canonical(text: str) -> str:
    """Return one spelling for all texts of the same value: lower case, 0.1 for 0.10, true for yes."""
    text = text.lower()
    said = yes_or_no(text)
    if said is not None and text not in ("0", "1"):
        return str(said).lower()
    try:
        return f"{float(text):.12g}"
    except ValueError:
        return text


def short(text: str) -> str:
    """Return the text, shortened if it is too long for a message."""
    return text if len(text) <= 60 else f"{text[:57]}..."


def plain_name(name: str) -> str:
    """Return a hyperparameter's name in our spelling: lower case, with hyphens for underscores."""
    return name.strip().lower().replace("_", "-")


def _switch(text: str) -> bool:
    """Return True or False for a spelling of yes or no; raises ValueError for other text."""
    said = yes_or_no(text)
    if said is None:
        raise ValueError(text)
    return said


def _whole(text: str) -> int:
    """Return a whole number, which may also be written as 64.0 or 1e3; raises ValueError for other text."""
    try:
        return int(text)
    except ValueError:
        number = float(text)
        if not number.is_integer():
            raise
        return int(number)
