"""The serving program's environment variables: one module declares them all, and the documentation equals the declarations."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from classifier import images
from serve.environment import VARIABLES, environment_table
from tests.conftest import ROOT
from tests.standin import worker_settings

SOURCES = sorted((ROOT / "serve").glob("*.py"))
DOCS = (ROOT / "docs" / "serving-environment.md").read_text()


def test_the_documented_variables_are_the_programs() -> None:
    assert environment_table() in DOCS
    done = subprocess.run([sys.executable, "-P", "-m", "serve", "--help"], capture_output=True, text=True, check=True)
    assert environment_table() in done.stdout


def test_the_documented_lines_load_a_model_from_the_files_that_were_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("MAX_PIXELS", "path"):
        owner = images if name == "MAX_PIXELS" else sys
        monkeypatch.setattr(owner, name, getattr(owner, name))
    folder, photo = tmp_path / "model", tmp_path / "photo.jpg"
    (folder / "code").mkdir(parents=True)
    (folder / "code" / "kept_code.py").write_text(
        "def model_fn(d): return 0\ndef transform_fn(m, b, t, a): return b, a"
    )
    worker_settings(folder, "kept_code.py").write(folder)
    photo.write_bytes(b"the photo's bytes")
    [lines] = re.findall(r"```python\n(.*?)```", DOCS, re.DOTALL)
    exec(lines.replace("FOLDER/store/m", str(folder)).replace("photo.jpg", str(photo)), {})
    assert 'status=200, text=b"the photo\'s bytes"' in capsys.readouterr().out


def test_each_variable_is_declared_once_with_a_default_and_a_sentence() -> None:
    names = [variable.name for variable in VARIABLES]
    assert len(names) == len(set(names)) > 20
    for variable in VARIABLES:
        assert variable.shown and variable.values and variable.meaning.endswith("."), variable.name
        assert not {"|", "\n"} & set(variable.shown + variable.values + variable.meaning), variable.name


def named(path: Path) -> set[str]:
    """Return the names of environment variables (ours and the platform's) among a module's string constants."""
    texts = [node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)]
    return {text for text in texts if isinstance(text, str) and re.fullmatch(r"(BYOC|SAGEMAKER|MMS)_[A-Z_]+", text)}


def reads(path: Path) -> Iterator[str]:
    """Yield each place where a module reads a single environment variable; passing os.environ on is not reading."""
    for node in ast.walk(ast.parse(path.read_text())):
        owner: ast.expr | None = None
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            owner = node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value if node.func.attr in ("get", "pop", "setdefault") else None
            if node.func.attr == "getenv":
                yield f"{path.name}:{node.lineno}"
        if owner is not None and ast.unparse(owner) in ("os.environ", "environ", "environment"):
            yield f"{path.name}:{owner.lineno}"


def test_no_other_module_reads_the_environment() -> None:
    found = {path.name: [*reads(path), *sorted(named(path))] for path in SOURCES}
    assert len(found.pop("environment.py")) > 15
    assert {name: places for name, places in found.items() if places} == {}


def test_a_read_of_the_environment_is_found_in_every_spelling(tmp_path: Path) -> None:
    lines = ["os.environ['A']", "os.environ.get('A')", "os.getenv('A')", "environment.get('A')", "'BYOC_A'"]
    for line in lines:
        (tmp_path / "module.py").write_text(line)
        assert [*reads(tmp_path / "module.py"), *named(tmp_path / "module.py")], line
    for line in ("os.environ | {}", "os.environ['A'] = 'b'", "def f(environment=os.environ): pass"):
        (tmp_path / "module.py").write_text(line)
        assert not [*reads(tmp_path / "module.py"), *named(tmp_path / "module.py")], line


def test_a_misspelt_variable_is_named_at_the_start() -> None:
    variables = {**os.environ, "BYOC_BACKND": "torch", "BYOC_BATCH_SIZE": "many"}
    done = subprocess.run([sys.executable, "-P", "-m", "serve"], env=variables, capture_output=True, text=True)
    first, second = done.stderr.splitlines()
    assert first == "the environment variable BYOC_BACKND has no effect; did you mean BYOC_BACKEND?"
    assert "BYOC_BATCH_SIZE is 'many'" in second and done.returncode == 1
