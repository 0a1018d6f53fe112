"""Reads options that hold several values in one text: NAME=VALUE, and lists with commas."""

from collections.abc import Sequence

from classifier.errors import ConfigError


def pairs(texts: Sequence[str], option: str) -> dict[str, str]:
    """Return what NAME=VALUE options say; raises ConfigError for one of another form. `option` is named in the error."""
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (equals and name):
            raise ConfigError(f"{option} {text!r} must read NAME=VALUE")
        found[name] = value
    return found


def items(text: str) -> tuple[str, ...]:
    """Return what stands between commas, as in --instance a,b; nothing for an empty text."""
    return tuple(part.strip() for part in text.split(",")) if text else ()
