"""The place of an artifact's program, and the messages about its requirements.txt; test_serve_code.py has more tests."""

from pathlib import Path

import pytest

from classifier.errors import ArtifactError
from serve.program import code_folder, find_program, ignored_requirements
from serve.settings import Settings, read_settings


def settings(**variables: str) -> Settings:
    return read_settings([], {"ALLOW_MODEL_CODE": "true"} | variables)


def test_a_link_that_leads_nowhere_is_code_too_so_it_is_not_left_out_unnoticed(tmp_path: Path) -> None:
    assert code_folder(tmp_path, settings()) is None
    (tmp_path / "code").symlink_to("absent")
    assert code_folder(tmp_path, settings()) == tmp_path / "code"
    with pytest.raises(ArtifactError, match="brings code, which is not run"):
        find_program(tmp_path, settings(ALLOW_MODEL_CODE="false"))


def test_a_folder_that_is_submitted_counts_only_where_it_is_a_whole_path_to_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("here").mkdir()
    Path("file").touch()
    for submitted in ("here", f"{tmp_path}/file", f"{tmp_path}/absent", f"s3://{tmp_path}/here"):
        assert code_folder(tmp_path, settings(SAGEMAKER_SUBMIT_DIRECTORY=submitted)) is None
    for submitted in (f"{tmp_path}/here", f"file://{tmp_path}/here"):
        assert code_folder(tmp_path, settings(SAGEMAKER_SUBMIT_DIRECTORY=submitted)) == tmp_path / "here"


def test_on_a_multi_model_endpoint_the_named_program_is_that_of_the_models_which_bring_one(tmp_path: Path) -> None:
    (tmp_path / "model.json").touch()
    variables = {"SAGEMAKER_PROGRAM": "mine.py"}
    assert find_program(tmp_path, settings(SAGEMAKER_MULTI_MODEL="true", **variables)) is None
    with pytest.raises(ArtifactError, match=r"SAGEMAKER_PROGRAM names 'mine\.py'"):
        find_program(tmp_path, settings(**variables))


@pytest.mark.parametrize("marker", ["model.json", "code", "inference.py"])
def test_an_artifact_that_is_too_deep_is_named_with_the_command_that_packs_it(tmp_path: Path, marker: str) -> None:
    for name in ("second", "first"):
        (tmp_path / name).mkdir()
        (tmp_path / name / marker).touch()
    with pytest.raises(ArtifactError) as refused:
        find_program(tmp_path, settings())
    assert str(refused.value).endswith(
        "holds the artifact one folder too deep, in first/; pack what is in that folder, as `tar -czf model.tar.gz -C first .` does"
    )
    (tmp_path / "model.json").touch()  # with a model.json here, the folders below may hold anything
    assert find_program(tmp_path, settings()) is None


def test_a_missing_program_names_what_is_beside_or_below_it(tmp_path: Path) -> None:
    code = tmp_path / "code"
    code.mkdir()

    def said() -> str:
        with pytest.raises(ArtifactError) as refused:
            find_program(tmp_path, settings())
        return str(refused.value).removeprefix(f"{code}/inference.py is missing; ")

    assert said() == "name the program in SAGEMAKER_PROGRAM or call it inference.py"
    for number in range(5):
        (code / f"m{number}.py").touch()
    assert (
        said()
        == "code holds m0.py, m1.py, m2.py, m3.py, m4.py; name the program in SAGEMAKER_PROGRAM or call it inference.py"
    )
    (code / "m5.py").touch()
    (code / "m6.py").touch()
    assert said().startswith("code holds m0.py, m1.py, m2.py, m3.py, m4.py and 2 more; name")
    for name in ("src", "old"):
        (code / name).mkdir()
        (code / name / "inference.py").touch()
    assert said() == "it is in old; move it up, or set SAGEMAKER_PROGRAM=old/inference.py"


def test_of_the_requirements_only_what_is_not_installed_is_named(tmp_path: Path) -> None:
    text = "# a comment\n\n-r more.txt\n--index-url a\nnumpy>=1 # installed\n  absent-one[extra]>=2  # why\n@ odd\n"
    (tmp_path / "requirements.txt").write_text(text)
    assert "missing here: absent-one[extra]>=2, @ odd; install them where the server runs" in str(
        ignored_requirements(tmp_path)
    )
    (tmp_path / "requirements.txt").write_bytes(b"numpy\n# caf\xe9\n")
    assert str(ignored_requirements(tmp_path)).startswith(f"{tmp_path}/requirements.txt is not read at the start; the")
