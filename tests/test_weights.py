"""Pretrained weights of Inception-v3's auxiliary classifier, and names with the prefix of DataParallel."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from classifier.weights import load_pretrained
from train.build import build_start
from train.config import Config
from train.contract import Job
from train.places import Places


@pytest.fixture(scope="module")
def inception() -> dict[str, Tensor]:
    """The tensors of torchvision's own Inception-v3 for 1000 classes, each with its own number in it."""
    from torchvision.models import inception_v3

    with torch.device("meta"):
        names = inception_v3(weights=None, init_weights=False, aux_logits=True).state_dict()
    return {
        name: torch.full(value.shape, number, dtype=value.dtype) for number, (name, value) in enumerate(names.items())
    }


@pytest.mark.parametrize("source", ["the channel", "the download", "the channel, after DataParallel"])
def test_the_auxiliary_classifier_gets_its_pretrained_weights_but_for_its_last_layer(
    inception: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    channels = {}
    if source == "the download":
        # Where torch keeps what it has downloaded before.
        monkeypatch.setenv("TORCH_HOME", str(tmp_path))
        (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
        torch.save(inception, tmp_path / "hub" / "checkpoints" / "inception_v3_google-0cc3c7bd.pth")
    else:
        prefix = "module." if source.endswith("DataParallel") else ""
        save_file({prefix + name: value for name, value in inception.items()}, tmp_path / "w.safetensors")
        channels = {"pretrained": tmp_path}
    job = Job(tmp_path, {}, channels, Places(None, tmp_path))
    start = build_start(job, Config(finetune_epochs=1), ("cat", "dog", "owl"))
    assert start.auxiliary is not None
    layer, auxiliary = start.auxiliary
    own = auxiliary.state_dict()
    wanted = {name: value for name, value in own.items() if not name.startswith("fc.")}
    assert layer == "Mixed_6e" and len(wanted) == 12
    for name, value in wanted.items():
        assert torch.equal(value, inception[f"AuxLogits.{name}"]), name
    assert own["fc.weight"].shape == (3, 768) and own["fc.weight"].abs().max() < 1
    loaded = start.model.backbone.state_dict()
    assert len(loaded) > 500
    for name, value in loaded.items():
        assert torch.equal(value, inception[name]), name


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".pt", ".bin"])
@pytest.mark.parametrize("prefix", ["", "module.", "backbone.", "module.backbone."])
def test_a_prefix_of_the_names_does_not_matter(tmp_path: Path, prefix: str, suffix: str) -> None:
    state = {f"{prefix}weight": torch.full((3, 2), 0.25), f"{prefix}bias": torch.full((3,), 0.5)}
    if suffix == ".safetensors":
        save_file(state, tmp_path / "w.safetensors")
    else:
        torch.save({"model": state}, tmp_path / f"w{suffix}")
    layer = nn.Linear(2, 3)
    assert load_pretrained(layer, "any", tmp_path) == str(tmp_path / f"w{suffix}")
    assert bool((layer.weight == 0.25).all()) and bool((layer.bias == 0.5).all())
