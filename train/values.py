"""One hyperparameter's value: plain text out of hyperparameters.json, and a typed value out of the text."""

import json
from typing import Any

from classifier.errors import ConfigError

# What Python and JSON make of a value that a notebook left open.
NOT_GIVEN = ("null", "None")
BOOLEANS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
_WANTED = {bool: "true or false", int: "a whole number", float: "a number, as in 0.01"}


def plain_text(name: str, value: object) -> str | None:
    """Return a value as text without quotes, None when it stands for "not given".

    The SDK sends some values as JSON inside the string, a tuner even twice: `64`, `"adam"`, `"\\"64\\""`. Raises ConfigError
    when the quotes do not match.
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
    """Return the text as `type_`; raises ConfigError when it cannot be. Choices are read in any case: Adam is adam."""
    try:
        if type_ is bool:
            return BOOLEANS[text.lower()]
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
    """Return the text so that two spellings of one value are the same: case, numbers (0.10), yes and true."""
    text = text.lower()
    if text in BOOLEANS and text not in ("0", "1"):
        return str(BOOLEANS[text]).lower()
    try:
        return f"{float(text):.12g}"
    except ValueError:
        return text


def short(text: str) -> str:
    """Return the text, cut where it is too long for a message."""
    return text if len(text) <= 60 else f"{text[:57]}..."


def _whole(text: str) -> int:
    """Return a whole number, also from 64.0 and 1e3; raises ValueError."""
    try:
        return int(text)
    except ValueError:
        number = float(text)
        if not number.is_integer():
            raise
        return int(number)
