"""Reads options that hold several values in one text: NAME=VALUE options, and lists with commas."""

from collections.abc import Sequence

from classifier.errors import ConfigError


def pairs(texts: Sequence[str], option: str) -> dict[str, str]:
    """Parse NAME=VALUE options. Raises ConfigError with the name `option` for a text in another form."""
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (equals and name):
            raise ConfigError(f"{option} {text!r} must read NAME=VALUE")
        found[name] = value
    return found


def items(text: str) -> tuple[str, ...]:
    """Split a text at its commas, as in --instance a,b. Empty parts are left out."""
    return tuple(part.strip() for part in text.split(",") if part.strip())
