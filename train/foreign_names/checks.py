"""Checks hyperparameters of other programs that state a fact about the photos or the backbone."""

import re
from collections.abc import Mapping

from classifier.errors import ConfigError
from train.foreign_names.rules import CLASS_COUNTS, SIZES
from train.values import plain_name, plain_text, short


def check_class_count(hyperparameters: Mapping[str, object], count: int) -> None:
    """Raise ConfigError if a hyperparameter expects another number of classes than the photos have."""
    _check(hyperparameters, CLASS_COUNTS, count, f"the photos have {count} classes; mend the class folders")


def check_size(hyperparameters: Mapping[str, object], backbone: str, pixels: int) -> None:
    """Raise ConfigError if a hyperparameter expects photos of another size than the backbone takes."""
    remedy = f"the backbone {backbone} takes {pixels} x {pixels} pixels; name a backbone of the other size"
    _check(hyperparameters, SIZES, pixels, remedy)


def _check(hyperparameters: Mapping[str, object], names: str, right: int, remedy: str) -> None:
    for name, value in hyperparameters.items():
        text = plain_text(name, value) if plain_name(name) in names.split() else None
        if text is not None:
            numbers = re.findall(r"\d+", text.removesuffix(".0"))
            # In a shape such as 3,224,224 the 3 counts colour channels.
            sizes = {number for number in numbers if len(numbers) < 3 or number != "3"}
            if sizes != {str(right)}:
                raise ConfigError(f"hyperparameter {name} is {short(text)!r}, but {remedy}, or leave {name} out")
