"""Which functions of a model's own code are called, and what is said about the others."""

import logging
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from classifier.errors import ArtifactError
from serve.functions import functions_of

PROGRAM = Path("code/inference.py")


@pytest.fixture
def module() -> Callable[[str], ModuleType]:
    """Return a function that makes a module of some text."""

    def made(text: str) -> ModuleType:
        program = ModuleType("own_program")
        exec(text, vars(program))
        return program

    return made


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def handler(data, context): pass", r"inference.py defines handler, but none of pre_model_fn, model_fn, "),
        ("class Model:\n    def predict_fn(self): pass", "inference.py defines none of pre_model_fn, "),
        (
            "from json import loads",
            "inference.py defines none of pre_model_fn, .*; define some of these, or remove the code",
        ),
    ],
)
def test_code_of_which_nothing_would_be_called_is_refused(
    module: Callable[[str], ModuleType], text: str, message: str
) -> None:
    with pytest.raises(ArtifactError, match=message):
        functions_of(module(text), PROGRAM)


def test_a_function_whose_name_is_nearly_right_gets_a_warning(
    module: Callable[[str], ModuleType], caplog: pytest.LogCaptureFixture
) -> None:
    text = "def model_fn(d): pass\ndef predict(d, m): pass\ndef model_fn_v1(d): pass\ndef net(): pass\n"
    with caplog.at_level(logging.WARNING, "serve"):
        assert list(functions_of(module(text), PROGRAM)) == ["model_fn"]
    assert caplog.messages == ["predict in code/inference.py is never called; if it is meant to be, call it predict_fn"]
