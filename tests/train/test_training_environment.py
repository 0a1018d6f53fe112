"""The environment variables of training: one module reads them, and the documentation lists them."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from classifier.errors import ConfigError
from tests.conftest import ROOT
from train import environment
from train.environment import VARIABLES, table

MODULES = [path for path in sorted(Path(environment.__file__).parent.glob("**/*.py")) if path.name != "environment.py"]
DOCUMENT = ROOT / "docs" / "training-environment.md"


def test_the_documentation_holds_the_table_of_all_variables() -> None:
    assert table() in DOCUMENT.read_text(), "replace it with what `python -m train.environment` prints"
    assert len(table().splitlines()) == 2 + len(VARIABLES)


def test_no_other_module_of_training_looks_at_the_environment() -> None:
    found = [
        (path.name, node.lineno)
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Attribute) and node.attr in ("environ", "environb", "getenv", "putenv"))
        or (isinstance(node, ast.ImportFrom) and node.module == "os")
    ]
    assert len(MODULES) > 40 and found == []


def test_every_variable_is_used_and_has_a_name_of_its_own() -> None:
    text = "\n".join(path.read_text() for path in MODULES)
    ours = [name for name, value in vars(environment).items() if isinstance(value, environment.Variable)]
    assert [name for name in ours if name not in text] == []
    assert len({variable.name for variable in VARIABLES}) == len(VARIABLES) == len(ours)


@pytest.mark.parametrize(
    ("variable", "default", "text", "value"),
    [
        (environment.BASE, Path("/opt/ml"), "/elsewhere", Path("/elsewhere")),
        (environment.WARM_POOL, None, "", None),
        (environment.WARM_POOL, None, "/pool", Path("/pool")),
        (environment.CXX, "g++", "", "g++"),
        (environment.CXX, "g++", "clang", "clang"),
        (environment.HOSTS_DEADLINE, 60.0, "0.5", 0.5),
        (environment.PIPE_DEADLINE, 600.0, "7", 7.0),
        (environment.RANK, 0, "3", 3),
        (environment.MASTER_PORT, 29500, "1234", 1234),
        (environment.TORCHRUN_ID, False, "", True),
        (environment.PROGRAM, "", "x.py", "x.py"),
    ],
)
def test_a_variable_has_its_default_or_the_value_of_its_text(
    monkeypatch: pytest.MonkeyPatch, variable: environment.Variable[object], default: object, text: str, value: object
) -> None:
    monkeypatch.delenv(variable.name, raising=False)
    assert variable.read() == default
    monkeypatch.setenv(variable.name, text)
    assert variable.read() == value


def test_text_of_another_type_is_refused_with_the_name_and_what_it_must_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "first")
    with pytest.raises(ConfigError, match=r"^the environment variable RANK is 'first'; it must be a whole number$"):
        environment.RANK.read()


def test_a_child_gets_changes_always_and_defaults_where_nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BYOC_SCRIPT", "mine")
    monkeypatch.delenv("BYOC_PIPE_SPOOL", raising=False)
    both = {"BYOC_SCRIPT": "given", "BYOC_PIPE_SPOOL": "given"}
    child = environment.for_child({"BYOC_SCRIPT": "changed"}, defaults=both)
    assert (child["BYOC_SCRIPT"], child["BYOC_PIPE_SPOOL"]) == ("changed", "given")
    assert environment.for_child({}, defaults=both)["BYOC_SCRIPT"] == "mine"
    environment.SCRIPT.set_default("other")
    assert environment.SCRIPT.read() == "mine"


def test_a_misspelt_variable_is_named_at_the_start(tmp_path: Path) -> None:
    variables = {**os.environ, "SAGEMAKER_BASE_DIR": str(tmp_path), "BYOC_HOST_DEADLINE": "5"}
    done = subprocess.run([sys.executable, "-m", "train"], env=variables, capture_output=True, text=True)
    told = "the environment variable BYOC_HOST_DEADLINE has no effect; did you mean BYOC_HOSTS_DEADLINE?"
    assert done.stdout.splitlines()[0] == told and done.returncode == 1
