"""Pretrained weights of Inception-v3's auxiliary classifier, and names with the prefix of DataParallel."""

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from classifier.backbones import build_backbone
from classifier.errors import WeightsError
from train.build import build_start
from train.config import Config
from train.contract import Job
from train.places import Places
from train.pretrained import load_pretrained


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
        # The folder in which torch looks for earlier downloads.
        monkeypatch.setenv("TORCH_HOME", str(tmp_path))
        (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
        torch.save(inception, tmp_path / "hub" / "checkpoints" / "inception_v3_google-0cc3c7bd.pth")
    else:
        prefix = "module." if source.endswith("DataParallel") else ""
        save_file({prefix + name: value for name, value in inception.items()}, tmp_path / "w.safetensors")
        channels = {"pretrained": tmp_path}
    job = Job(base=tmp_path, hyperparameters={}, channels=channels, places=Places(None, tmp_path))
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


def test_a_file_of_something_else_than_tensors_is_no_state_dict(tmp_path: Path) -> None:
    for content in ({"weight": 0.25}, [torch.zeros(3)], {"state_dict": {"weight": "0.25"}}):
        torch.save(content, tmp_path / "w.pth")
        with pytest.raises(WeightsError, match=r"w\.pth does not hold a state dict; save model\.state_dict\(\)"):
            load_pretrained(nn.Linear(2, 3), "any", tmp_path)


def test_a_tensor_of_another_shape_is_named_with_both(tmp_path: Path) -> None:
    layer = nn.Linear(2, 3)
    torch.save({"weight": torch.zeros(3, 4), "bias": torch.zeros(3)}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"holds 'weight' with shape \(3, 4\) where the backbone has \(3, 2\)"):
        load_pretrained(layer, "any", tmp_path)


def test_a_count_of_batches_may_be_missing_and_other_tensors_too_many(tmp_path: Path) -> None:
    layer = nn.BatchNorm2d(2)
    state = {"weight": [1.5, 2.5], "bias": [0.5, 1], "running_mean": [3, 4], "running_var": [5, 6], "head": [7, 8]}
    torch.save({name: torch.tensor(values, dtype=torch.float32) for name, values in state.items()}, tmp_path / "w.pt")
    load_pretrained(layer, "any", tmp_path)
    assert {name: value.tolist() for name, value in layer.state_dict().items()} == {
        **{name: values for name, values in state.items() if name != "head"},
        "num_batches_tracked": 0,
    }


def test_what_the_channel_holds_is_named_up_to_eight_files(tmp_path: Path) -> None:
    for count, names in ((8, "0, 1, 2, 3, 4, 5, 6, 7$"), (9, r"0, 1, 2, 3, 4, 5, 6, 7, \.\.\.$")):
        for number in range(count):
            (tmp_path / str(number)).touch()
        with pytest.raises(WeightsError, match=f"must hold one file that ends in .*; it holds {names}"):
            load_pretrained(nn.Linear(2, 3), "any", tmp_path)
    (tmp_path / "a.pt").touch()
    (tmp_path / "b.bin").touch()
    with pytest.raises(WeightsError, match="must hold one file that ends in"):
        load_pretrained(nn.Linear(2, 3), "any", tmp_path)


def test_a_timm_backbone_takes_what_its_hub_client_has_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = timm.create_model("test_resnet", pretrained=False)
    wanted = {name: torch.full_like(value, 2) for name, value in model.state_dict().items()}
    kept = tmp_path / "models--timm--test_resnet.r160_in1k"
    (kept / "snapshots" / "0123").mkdir(parents=True)
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text("0123")
    save_file(wanted, kept / "snapshots" / "0123" / "model.safetensors")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    backbone, _, _ = build_backbone("timm/test_resnet")
    assert load_pretrained(backbone, "timm/test_resnet", None) == "the library's download"
    loaded = backbone.state_dict()
    assert set(loaded) == {name for name in wanted if not name.startswith("fc.")}
    assert {float(value.float().mean()) for value in loaded.values()} == {2.0}
