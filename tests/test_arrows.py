"""Who may import whom: train -> classifier <- serve; launch takes only train.config; torch stays out of launch."""

import ast
import subprocess
import sys

import pytest

from tests.conftest import ROOT

ALLOWED = {
    "classifier": {"classifier"},
    "train": {"train", "classifier"},
    "serve": {"serve", "classifier"},
    "launch": {"launch", "classifier", "train.config"},
    # The local SageMaker knows our programs as images and commands only, so that a mistake of theirs is not one of its own.
    "local_test/sagemaker": {"local_test.sagemaker"},
    # The contract suite tests any image, ours and those of others.
    "local_test/contract": {"local_test.contract"},
}
OURS = {"classifier", "train", "serve", "launch", "local_test"}
CONFIGURATION = {"train.config", "train.foreign_names", "train.values"}


def imported_modules(package: str) -> set[str]:
    found = set()
    for path in (ROOT / package).glob("**/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path} uses a relative import"
                found.add(node.module or "")
    return found


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_a_package_imports_only_what_the_arrows_allow(package: str) -> None:
    ours = {module for module in imported_modules(package) if module.split(".")[0] in OURS}
    assert not {module for module in ours if not any(_within(module, allowed) for allowed in ALLOWED[package])}


def _within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def modules_after(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_driver_loads_neither_torch_nor_serve_and_of_train_only_its_configuration() -> None:
    names = ", ".join(f"launch.{path.stem}" for path in (ROOT / "launch").glob("*.py") if path.stem != "__init__")
    loaded = modules_after(f"import {names}")
    assert not loaded & {"torch", "torchvision", "timm", "serve"}
    assert {module for module in loaded if module.startswith("train.")} == CONFIGURATION


@pytest.mark.parametrize(
    "module",
    [
        "classifier.spec",
        "classifier.photos",
        "classifier.manifest",
        "classifier.images",
        "classifier.artifact",
        "train.config",
    ],
)
def test_what_the_driver_needs_of_the_core_imports_no_torch(module: str) -> None:
    assert "torch" not in modules_after(f"import {module}")


def test_the_front_process_imports_no_torch() -> None:
    assert "torch" not in modules_after("import serve.serve")


def imported_by(text: str) -> set[str]:
    """Return the packages that a module imports, wherever it does and in every spelling."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__"):
            found |= {str(name.value) for name in node.args[:1] if isinstance(name, ast.Constant)}
    return {name.split(".")[0] for name in found}


@pytest.mark.parametrize(
    "text",
    [
        "import os, timm",
        "import timm.data as data",
        "from timm import create_model",
        "from timm.data import resolve_model_data_config",
        "def build():\n    if True:\n        from timm import create_model",
        "import importlib\nimportlib.import_module('timm.data')",
        "from importlib import import_module\nimport_module('timm')",
        "timm = __import__('timm')",
    ],
)
def test_an_import_is_found_in_every_spelling(text: str) -> None:
    assert "timm" in imported_by(text)


def test_only_backbones_imports_torchvision_and_timm() -> None:
    paths = [path for package in OURS for path in (ROOT / package).glob("**/*.py")]
    importing = {path for path in paths if imported_by(path.read_text()) & {"torchvision", "timm"}}
    assert importing == {ROOT / "classifier" / "backbones.py"}


def test_what_training_prints_reaches_the_log_at_once() -> None:
    # What goes to standard error does so by itself; a killed job would lose the rest.
    calls = [
        (path.name, call)
        for path in sorted((ROOT / "train").glob("*.py"))
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "print"
    ]
    kept = [(name, ast.unparse(call)) for name, call in calls if not {"flush=True", "file=sys.stderr"} & _given(call)]
    assert len(calls) > 30 and kept == []


def _given(call: ast.Call) -> set[str]:
    return {f"{keyword.arg}={ast.unparse(keyword.value)}" for keyword in call.keywords}
