"""The functions by which a model's own code answers requests, found in its program."""

import logging
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from classifier.errors import ArtifactError
from serve import toolkit

# The functions that the code may define, each with the number of its arguments before the optional context.
ARGUMENTS = {
    "pre_model_fn": 1,
    "model_fn": 1,
    "model_warmup_fn": 2,
    "transform_fn": 4,
    "input_fn": 2,
    "predict_fn": 2,
    "output_fn": 2,
}
NEAR = 0.8  # how similar two names must be; predict and predict_fn are 0.82

log = logging.getLogger("serve")


def functions_of(module: ModuleType, program: Path) -> dict[str, Callable[..., Any]]:
    """Return the functions of ARGUMENTS that the program defines.

    A warning names functions that are not called and have a similar name. Raises ArtifactError for a program that defines none, for
    a function with another number of arguments, and for two functions of which one would replace the other.
    """
    own = {name: function for name in ARGUMENTS if (function := getattr(module, name, None))}
    others = [
        name
        for name, value in vars(module).items()
        if isinstance(value, FunctionType) and value.__module__ == module.__name__ and name not in own
    ]
    if not own:
        defined = f"defines {', '.join(others[:5])}, but " if others else "defines "
        raise ArtifactError(
            f"{program} {defined}none of {', '.join(ARGUMENTS)}, so it would answer no request; define some of these, or remove the code"
        )
    for name in others:
        if near := get_close_matches(name, ARGUMENTS.keys() - own.keys(), n=1, cutoff=NEAR):
            log.warning("%s in %s is never called; if it is meant to be, call it %s", name, program, near[0])
    if "transform_fn" in own and (replaced := own.keys() & {"input_fn", "predict_fn", "output_fn"}):
        raise ArtifactError(
            f"{program} defines transform_fn beside {', '.join(sorted(replaced))}, which it would replace; remove one or the other"
        )
    for name, function in own.items():
        try:
            toolkit.takes_context(function, ARGUMENTS[name])
        except (TypeError, ValueError) as error:
            raise ArtifactError(f"{name} in {program} cannot be called: {error}") from error
    return own
