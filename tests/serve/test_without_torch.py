"""An artifact that holds the model for OpenVINO is served where torch cannot be imported; a damaged one is not."""

import json
import shutil
from pathlib import Path

import pytest

from classifier import artifact
from classifier.backends import ir
from classifier.errors import ArtifactError
from launch.server import serving
from serve.predictor import Predictor
from serve.prepare import prepare
from tests.conftest import lacking, needs_openvino
from tests.wire import post

# Python imports a module of this name at its start. This one makes every import of torch fail, in each process of the server.
SITECUSTOMIZE = """
import sys

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "timm"):
            raise ImportError(f"{name} is not to be imported")

sys.meta_path.insert(0, NoTorch())
"""


@pytest.fixture
def no_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(SITECUSTOMIZE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))


@pytest.fixture
def ir_model(plain_model: Path) -> Path:
    if not (plain_model / ir.IR).exists():
        pytest.skip("the model holds no OpenVINO file, because the training image that made it has no openvino")
    return plain_model


@needs_openvino
def test_a_server_answers_where_no_process_can_import_torch(
    ir_model: Path, samples: Path, tmp_path: Path, no_torch: None
) -> None:
    with serving(ir_model, 0, tmp_path / "log.txt") as url:
        answer = post(url, (samples / "test" / "coffee" / "000.jpg").read_bytes())
    assert answer.status == 200 and answer.json["predictions"][0]["label"] == "coffee"
    assert "is not to be imported" not in (tmp_path / "log.txt").read_text()


@needs_openvino
def test_without_torch_and_without_the_model_for_openvino_the_server_says_what_to_do(
    ir_model: Path, tmp_path: Path, no_torch: None
) -> None:
    folder = lacking(ir_model, tmp_path / "model", *ir.IR_FILES)
    sentence = (
        f"holds no {ir.IR} that can be used, and torch, which would make one, cannot be imported \\(torch is not to be imported\\); "
        "serve it with an image that holds torch, or train it again with export-openvino=on"
    )
    with pytest.raises(Exception, match=sentence), serving(folder, 0, tmp_path / "log.txt"):
        pass
    assert "Traceback" not in (tmp_path / "log.txt").read_text()


@needs_openvino
def test_without_torch_a_backend_on_torch_that_a_user_names_is_refused(
    ir_model: Path, tmp_path: Path, no_torch: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BYOC_BACKEND", "torch")
    sentence = "backend 'torch' cannot serve .*: torch cannot be imported .*; leave the choice to 'auto'"
    with pytest.raises(Exception, match=sentence), serving(ir_model, 0, tmp_path / "log.txt"):
        pass


@needs_openvino
def test_workers_open_the_artifacts_own_file(ir_model: Path, tmp_path: Path) -> None:
    prepare(ir_model, tmp_path, "openvino")
    assert {path.name for path in tmp_path.iterdir()} == {"prepared.json", "selftest.safetensors"}
    assert json.loads((tmp_path / "prepared.json").read_text())["ir"] == str((ir_model / ir.IR).resolve())
    Predictor(tmp_path, threads=1)


@needs_openvino
@pytest.mark.parametrize("name", ir.IR_FILES)
def test_a_damaged_file_is_refused_by_its_checksum(ir_model: Path, tmp_path: Path, name: str) -> None:
    broken = Path(shutil.copytree(ir_model, tmp_path / "model"))
    data = bytearray((broken / name).read_bytes())
    data[len(data) // 2] ^= 1
    (broken / name).write_bytes(data)
    with pytest.raises(ArtifactError, match=f"{name} does not match its checksum"):
        prepare(broken, tmp_path / "out", "auto")


def signed(folder: Path, name: str, content: bytes) -> None:
    """Replace a file of an artifact and update its checksum."""
    (folder / name).write_bytes(content)
    document = json.loads((folder / artifact.SPEC).read_text())
    document["files"][name] = artifact._fingerprint(folder / name)
    (folder / artifact.SPEC).write_text(json.dumps(document))


@needs_openvino
@pytest.mark.slow
def test_a_file_that_openvino_cannot_read_is_made_again_from_the_weights(
    ir_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = Path(shutil.copytree(ir_model, tmp_path / "model"))
    signed(broken, ir.IR, b"<net>no model</net>")
    assert prepare(broken, tmp_path / "out", "openvino").name == "openvino"
    said = capsys.readouterr().out.splitlines()
    assert len([line for line in said if line.startswith(f"{ir.IR} is not used: ")]) == 1
    assert (tmp_path / "out" / ir.IR).exists()
    Predictor(tmp_path / "out", threads=1)


@needs_openvino
@pytest.mark.slow
def test_a_file_with_other_weights_is_not_served(
    ir_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = Path(shutil.copytree(ir_model, tmp_path / "model"))
    weights = bytearray((broken / ir.IR_FILES[1]).read_bytes())
    weights[len(weights) // 2 : len(weights) // 2 + 100_000] = bytes(100_000)
    signed(broken, ir.IR_FILES[1], bytes(weights))
    prepare(broken, tmp_path / "out", "openvino")
    assert f"{ir.IR} is not used: ArtifactError: the model in " in capsys.readouterr().out
    assert json.loads((tmp_path / "out" / "prepared.json").read_text())["ir"] == str(tmp_path / "out" / ir.IR)
