"""Names of files that an operating system made: every search for files skips them. Also names printed on one line."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from classifier.errors import WeightsError
from classifier.names import is_system, look_alikes, one_line
from train.pretrained import load_pretrained

SYSTEM = (
    "._model.safetensors",
    ".model.pth",
    "__MACOSX",
    "Icon\r",
    "~$a.bin",
    "Thumbs.db",
    "desktop.ini",
    "@eaDir",
    "ZbThumbnail.info",
    "ehthumbs_vista.db",
    "cat.jpg:Zone.Identifier",
    "Thumbs.db:encryptable",
)
STORAGE = ("#recycle", "#snapshot", "@Recycle", "@Recently-Snapshot", "@tmp")  # folders of storage servers


@pytest.mark.parametrize("name", (*SYSTEM, *STORAGE))
def test_what_a_system_leaves_behind_is_known_in_any_case(name: str) -> None:
    assert is_system(name) and is_system(name.upper()) and is_system(name.lower())


@pytest.mark.parametrize(
    "name", ["model.pth", "a.DS_Store", "Icon", "thumbs.db.jpg", "_a.jpg", "~a.jpg", "$a.jpg", "@a"]
)
def test_other_names_are_the_users(name: str) -> None:
    assert not is_system(name)


def test_system_files_beside_the_weights_are_not_counted(tmp_path: Path) -> None:
    layer = torch.nn.Linear(2, 2)
    save_file({"weight": torch.ones(2, 2), "bias": torch.zeros(2)}, tmp_path / "weights.safetensors")
    for name in ("._weights.safetensors", ".weights.pth", "~$weights.bin"):
        (tmp_path / name).write_bytes(b"not weights")
    assert load_pretrained(layer, "any", tmp_path) == str(tmp_path / "weights.safetensors")
    assert torch.equal(layer.weight, torch.ones(2, 2))
    (tmp_path / "more.pth").touch()
    with pytest.raises(WeightsError, match=r"it holds more\.pth, weights\.safetensors"):
        load_pretrained(layer, "any", tmp_path)


def test_names_that_look_alike_are_grouped() -> None:
    assert look_alikes(["cat", "Cat", "dog", " do g", "emu", "emu2", "c-at"]) == [["cat", "Cat"], ["dog", " do g"]]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("Zoë/犬 1.jpg", "Zoë/犬 1.jpg"),
        ("a\nb", "a\\nb"),
        ("caf\udce9", "caf\\udce9"),
        ("\x1b[2J\u2028", "\\x1b[2J\\u2028"),
        ("cat\u202egpj.exe\u2066\u200f", "cat\\u202egpj.exe\\u2066\\u200f"),
        ("family \U0001f468\u200d\U0001f467", "family \U0001f468\u200d\U0001f467"),
        ("a\\b", "a\\b"),
    ],
)
def test_a_name_prints_on_one_line(name: str, line: str) -> None:
    assert one_line(Path(name)) == line and line.encode() and len(line.splitlines()) == 1
