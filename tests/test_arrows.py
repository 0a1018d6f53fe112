"""The allowed imports: train -> classifier <- serve; launch imports only train.config and reports; launch never imports torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

ALLOWED = {
    "classifier": {"classifier"},
    "train": {"train", "classifier"},
    "serve": {"serve", "classifier"},
    "launch": {"launch", "classifier", "train.config", "reports"},
    # Reports are made from files, on machines that hold neither torch nor our programs.
    "reports": {"reports", "classifier"},
    # The local SageMaker knows our programs only as images and commands, so that it cannot repeat their errors.
    "local_test/sagemaker": {"local_test.sagemaker"},
    # The contract suite tests any image, also images of others.
    "local_test/contract": {"local_test.contract"},
}
OURS = {"classifier", "train", "serve", "launch", "reports", "local_test"}
FOREIGN_NAMES = {f"train.foreign_names{module}" for module in ("", ".rule", ".rules", ".translate")}
CONFIGURATION = {"train.config", "train.values", *FOREIGN_NAMES}


def imported_modules(package: str) -> set[str]:
    return set().union(*(modules_of(path.read_text()) for path in (ROOT / package).glob("**/*.py")))


def modules_of(text: str) -> set[str]:
    """Return the modules that a module imports anywhere in its code."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import"
            found.add(node.module or "")
    return found


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_a_package_imports_only_what_the_arrows_allow(package: str) -> None:
    ours = {module for module in imported_modules(package) if module.split(".")[0] in OURS}
    assert not {module for module in ours if not any(_within(module, allowed) for allowed in ALLOWED[package])}


def _within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def test_tests_use_the_benchmarks_and_not_the_other_way_round() -> None:
    assert not {module for module in imported_modules("benchmarks") if _within(module, "tests")}


def modules_after(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def driver() -> list[str]:
    """Return the driver's modules, except those that run in the SDK's environment."""
    paths = [path.relative_to(ROOT).with_suffix("") for path in (ROOT / "launch").glob("**/*.py")]
    return [".".join(path.parts) for path in sorted(paths) if path.stem not in ("__init__", "sdk_objects")]


def test_the_driver_loads_neither_torch_nor_serve_and_of_train_only_its_configuration() -> None:
    loaded = modules_after(f"import {', '.join(driver())}")
    assert not loaded & {"torch", "torchvision", "timm", "serve"}
    assert {module for module in loaded if module.startswith("train.")} == CONFIGURATION


def test_a_report_is_made_without_torch() -> None:
    paths = [path.relative_to(ROOT).with_suffix("") for path in (ROOT / "reports").glob("**/*.py")]
    modules = [".".join(path.parts) for path in sorted(paths) if path.stem not in ("__init__", "__main__")]
    assert not modules_after(f"import {', '.join(modules)}") & {
        "torch",
        "torchvision",
        "timm",
        "train",
        "serve",
        "launch",
    }


def test_of_reports_only_the_program_that_computes_where_a_model_looked_imports_torch() -> None:
    paths = (ROOT / "reports").glob("**/*.py")
    assert {path.name for path in paths if "torch" in imported_by(path.read_text())} == {"activation.py"}


HEAVY = {"boto3", "botocore", "sagemaker", "torch", "numpy", "PIL", "jinja2"}


@pytest.mark.parametrize(
    "statement",
    ["import launch", "from launch import cli; cli._parser()", "import launch.aws.specification, launch.aws.names"],
)
def test_what_every_verb_loads_at_first_is_light(statement: str) -> None:
    assert not modules_after(statement) & HEAVY


def test_no_module_of_the_driver_loads_the_sdk_but_the_one_that_makes_its_objects() -> None:
    assert "sagemaker" not in modules_after(f"import {', '.join(driver())}")
    paths = [path for package in OURS - {"local_test"} for path in (ROOT / package).glob("**/*.py")]
    importing = {path.name for path in paths if "sagemaker" in imported_by(path.read_text())}
    assert importing == {"sdk_objects.py", "sdk_program.py"}


def test_verbs_that_do_not_need_the_sdk_do_not_name_its_senders() -> None:
    for verb in ("predict", "logs", "stop", "delete", "listing"):
        (path,) = (path for path in (ROOT / "launch" / "aws").glob(f"*/{verb}.py"))
        assert not any(module.startswith("launch.aws.senders") for module in imports_of(path)), path


def imports_of(path: Path) -> set[str]:
    """Return the modules that one of our modules loads, directly or through others, anywhere in their code."""
    found: set[str] = set()
    todo = {path}
    while todo:
        for node in ast.walk(ast.parse(todo.pop().read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("launch."):
                names = {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
                new = {name for name in names - found if (ROOT / name.replace(".", "/")).with_suffix(".py").exists()}
                todo |= {(ROOT / name.replace(".", "/")).with_suffix(".py") for name in new}
                found |= names
    return found


@pytest.mark.parametrize(
    "module",
    [
        "classifier.spec",
        "classifier.photos",
        "classifier.manifest",
        "classifier.images",
        "classifier.artifact",
        "classifier.selftest",
        "train.config",
    ],
)
def test_what_the_driver_needs_of_the_core_imports_no_torch(module: str) -> None:
    assert "torch" not in modules_after(f"import {module}")


def test_training_finds_what_is_wrong_with_a_job_before_it_loads_torch() -> None:
    assert "torch" not in modules_after("import train.train")


def test_train_shows_at_most_30_doors() -> None:
    doors = [path for path in (ROOT / "train").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()]
    assert len(doors) <= 30, sorted(path.name for path in doors)


@pytest.mark.parametrize("wing", ["features", "finetune", "script"])
def test_other_modules_of_training_use_a_wing_through_its_one_door(wing: str) -> None:
    outside = [path for path in (ROOT / "train").glob("**/*.py") if path.parent.name != wing]
    imported = {name for path in outside for name in modules_of(path.read_text())}
    assert imported and not {name for name in imported if name.startswith(f"train.{wing}.")}


def test_the_front_process_imports_no_torch() -> None:
    assert "torch" not in modules_after("import serve.serve")


def imported_by(text: str) -> set[str]:
    """Return the packages that a module imports anywhere in its code, in every spelling."""
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
    # Standard error is flushed by itself; other output would be lost if the job is killed.
    calls = [
        (path.name, call)
        for path in sorted((ROOT / "train").glob("**/*.py"))
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "print"
    ]
    kept = [(name, ast.unparse(call)) for name, call in calls if not {"flush=True", "file=sys.stderr"} & _given(call)]
    assert len(calls) > 30 and kept == []


def _given(call: ast.Call) -> set[str]:
    return {f"{keyword.arg}={ast.unparse(keyword.value)}" for keyword in call.keywords}
