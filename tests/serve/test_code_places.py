"""The places in an archive where code is searched, and the messages about code in other places."""

from pathlib import Path
from typing import Any

import pytest
import torch

from classifier.errors import ArtifactError
from serve.model_code import ModelCode
from serve.program import find_program
from serve.settings import read_settings
from tests.server import artifact_with
from tests.standin import worker_settings

CODE = "def model_fn(model_dir): return 0"


@pytest.mark.parametrize(
    ("files", "told", "message"),
    [
        ({"inference": CODE}, {}, "inference.py is not run, since code belongs into the folder code of the archive; move it to code/inf"),
        ({"mine": CODE}, {"SAGEMAKER_PROGRAM": "mine.py"}, "mine.py is not run, since code belongs into the folder code"),
        (
            {"code_code/inference": CODE},
            {},
            "code/inference.py is missing; it is in code; move it up, or set SAGEMAKER_PROGRAM=code/inference.py",
        ),
        ({"code_mine": CODE}, {}, "inference.py is missing; code holds mine.py; name the program in SAGEMAKER_PROGRAM"),
        ({"code_inference": CODE}, {"SAGEMAKER_PROGRAM": "serve.py"}, "serve.py is missing; code holds inference.py"),
        ({"model_code/inference": CODE}, {}, "holds the artifact one folder too deep, in model/; pack what is in that folder"),
        ({"artifact_inference": CODE}, {}, "one folder too deep, in artifact/"),
        ({}, {"SAGEMAKER_PROGRAM": "x.py"}, "SAGEMAKER_PROGRAM names 'x.py', but"),
        (
            {},
            {"SAGEMAKER_PROGRAM": "x.py", "SAGEMAKER_SUBMIT_DIRECTORY": "s3://b/sourcedir.tar.gz"},
            "(SAGEMAKER_SUBMIT_DIRECTORY s3://b/sourcedir.tar.gz is not fetched)",
        ),
        ({"code_inference": CODE}, {"ALLOW_MODEL_CODE": "false"}, "set the model's environment variable ALLOW_MODEL_CODE=true"),
    ],
)  # fmt: skip
def test_code_in_another_place_is_named_with_where_it_belongs(
    tmp_path: Path, files: dict[str, str], told: dict[str, str], message: str
) -> None:
    (tmp_path / "model").mkdir()
    artifact_with(tmp_path / "model", **files)
    with pytest.raises(ArtifactError) as caught:
        find_program(tmp_path / "model", read_settings([], {"ALLOW_MODEL_CODE": "true"} | told))
    assert message in str(caught.value) and len(str(caught.value).splitlines()) == 1


def torchscript(path: Path) -> None:
    class Half(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x / 2

    torch.jit.save(torch.jit.script(Half()), str(path))


@pytest.mark.filterwarnings("ignore:.*torch.jit")
@pytest.mark.parametrize("code", [True, False], ids=["code without model_fn", "no code"])
def test_torchscript_without_a_model_fn_is_reported_with_the_line_that_loads_it(tmp_path: Path, code: bool) -> None:
    model = tmp_path / "model"
    model.mkdir()
    torchscript(model / "model.pth")
    torch.save({"weight": torch.ones(2)}, model / "another.pt")

    def refusal() -> str:
        with pytest.raises(ArtifactError) as caught:
            if code:
                artifact_with(model, code_inference="def predict_fn(x, m): return m(x)")
                ModelCode(model / "code" / "inference.py", worker_settings(model))
            else:
                find_program(model, read_settings([], {}))
        return str(caught.value)

    told = refusal()
    assert "model.pth is TorchScript, which a model_fn loads: def model_fn(model_dir): return torch.jit.load(" in told
    assert code or told.endswith("write it into code/inference.py of the archive and set ALLOW_MODEL_CODE=true")
    # The Python code in the message can be executed.
    line = told.partition("loads: ")[2].partition(";")[0]
    names: dict[str, Any] = {"torch": torch}
    exec(line, names)
    assert names["model_fn"](str(model))(torch.ones(1)) == 0.5
    (model / "model.pth").unlink()
    assert "another.pt is another program's model, which only your own model_fn can load" in refusal()


@pytest.mark.parametrize(
    "name", ["xgboost-model", "model.safetensors", "last.ckpt", "classifier.mar", "model.cbm", "saved_model.pb"]
)
def test_the_models_of_other_programs_are_known_by_their_files_names(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ArtifactError, match=f"{name} is another program's model, which only your own model_fn can"):
        find_program(tmp_path, read_settings([], {}))


def test_an_artifact_that_lost_its_specification_is_not_taken_for_another_programs_model(tmp_path: Path) -> None:
    for name in ("model.safetensors", "selftest.safetensors"):
        (tmp_path / name).touch()
    assert find_program(tmp_path, read_settings([], {})) is None


def test_code_is_found_where_the_platform_says_that_it_is(tmp_path: Path) -> None:
    model = artifact_with(tmp_path / "model", code_inference=CODE, code_src="", other=CODE)
    artifact_with(tmp_path / "code", inference=CODE, **{"src/deep": CODE})
    told = {"ALLOW_MODEL_CODE": "true"}
    for more, found in (
        ({}, model / "code" / "inference.py"),
        ({"SAGEMAKER_PROGRAM": "inference"}, model / "code" / "inference.py"),
        ({"SAGEMAKER_SUBMIT_DIRECTORY": "s3://bucket/sourcedir.tar.gz"}, model / "code" / "inference.py"),
        ({"SAGEMAKER_SUBMIT_DIRECTORY": str(tmp_path / "code")}, tmp_path / "code" / "inference.py"),
        ({"SAGEMAKER_SUBMIT_DIRECTORY": f"file://{tmp_path}/code", "SAGEMAKER_PROGRAM": "src/deep.py"}, tmp_path / "code/src/deep.py"),
    ):  # fmt: skip
        assert find_program(model, read_settings([], told | more)) == found


def test_an_artifact_without_code_has_no_program(tmp_path: Path) -> None:
    (tmp_path / "model.json").touch()
    assert find_program(tmp_path, read_settings([], {"ALLOW_MODEL_CODE": "true", "SAGEMAKER_PROGRAM": ""})) is None
