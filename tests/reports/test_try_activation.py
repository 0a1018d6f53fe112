"""The map of where the model looked equals independently computed class activation maps, and it shows the pixels that decide."""

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from classifier.artifact import load
from classifier.backbones import build_backbone
from classifier.errors import ArtifactError, UserError
from classifier.images import load_pixels
from classifier.models import build
from classifier.spec import ModelSpec
from reports.try_page.activation import Activation
from reports.try_page.answer import Look, LookRequest, to_line
from reports.try_page.looker import GONE, looking
from tests.conftest import needs_torch

if TYPE_CHECKING:
    from torch import Tensor

pytestmark = needs_torch
PROGRAM = [sys.executable, "-P", "-m", "reports.try_page.activation"]


def made(backbone: str) -> tuple[Any, ModelSpec]:
    """Return a network of random weights with a head of three classes."""
    import torch

    torch.manual_seed(3)
    _, features, preprocessing = build_backbone(backbone)
    spec = ModelSpec(
        backbone=backbone,
        features=features,
        head_hidden=(),
        head_dropout=0.0,
        classes=("a", "b", "c"),
        preprocessing=preprocessing,
    )
    return build(spec), spec


def noise(spec: ModelSpec) -> "Tensor":
    import torch

    crop = spec.preprocessing.crop
    return torch.randint(256, (crop, crop, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(5))


def scaled(evidence: "Tensor") -> "Tensor":
    positive = evidence.clamp(min=0)
    return positive / positive.max() if positive.max() > 0 else positive


def by_the_heads_weights(model: Any, module: str, pixels: "Tensor", index: int) -> "Tensor":
    """Return the map by its first definition (Zhou 2016): the sum of the pooled feature map's channels, each times the head's weight."""
    import torch

    kept: list[Any] = []
    with torch.no_grad():
        handle = model.backbone.get_submodule(module).register_forward_hook(
            lambda _, given, output: kept.append(output)
        )
        features = model.features(pixels[None])[0]
        handle.remove()
    feature_map = kept[0][0].relu() if module == "features.norm5" else kept[0][0]
    torch.testing.assert_close(feature_map.mean(dim=(1, 2)), features, rtol=1e-3, atol=1e-5)
    return scaled(torch.einsum("c,chw->hw", model.head[-1].weight[index].detach(), feature_map))


def by_all_gradients(model: Any, module: str, pixels: "Tensor", index: int) -> "Tensor":
    """Return Grad-CAM (Selvaraju 2017) by hooks of torch on the whole network."""
    import torch

    kept: list[Any] = []

    def keep(layer: Any, given: Any, output: "Tensor") -> None:
        output.retain_grad()
        kept.append(output)

    handle = model.backbone.get_submodule(module).register_forward_hook(keep)
    model.requires_grad_(True)
    model(pixels[None])[0, index].backward()
    handle.remove()
    weights = kept[0].grad[0].mean(dim=(1, 2))
    return scaled(torch.einsum("c,chw->hw", weights, kept[0][0].detach()))


@pytest.mark.parametrize(
    ("backbone", "module"),
    [
        pytest.param("resnet18", "layer4", marks=pytest.mark.slow),
        ("timm/tf_efficientnet_lite0", "bn2"),
        pytest.param("densenet121", "features.norm5", marks=pytest.mark.slow),
        pytest.param("inception_v3", "Mixed_7c", marks=pytest.mark.slow),
    ],
)
def test_the_map_is_the_pooled_feature_map_times_the_heads_weights(backbone: str, module: str) -> None:
    import torch

    model, spec = made(backbone)
    pixels = noise(spec)
    expected = [by_the_heads_weights(model, module, pixels, index) for index in range(3)]
    assert any(one.max() == 1 > one.min() for one in expected)
    for index, one in enumerate(expected):
        torch.testing.assert_close(Activation(model, spec).map(pixels, index), one, rtol=0, atol=2e-3)


@pytest.mark.parametrize(
    ("backbone", "module"),
    [
        ("mobilenet_v3_small", "features"),
        pytest.param("convnext_tiny", "features", marks=pytest.mark.slow),
        pytest.param("vgg11", "avgpool", marks=pytest.mark.slow),
        pytest.param("squeezenet1_1", "features", marks=pytest.mark.slow),
    ],
)
def test_where_layers_lie_between_pooling_and_head_the_map_is_grad_cam(backbone: str, module: str) -> None:
    import torch

    model, spec = made(backbone)
    pixels = noise(spec)
    expected = [by_all_gradients(model, module, pixels, index) for index in range(3)]
    assert any(one.max() == 1 > one.min() for one in expected)
    for index, one in enumerate(expected):
        torch.testing.assert_close(Activation(model, spec).map(pixels, index), one, rtol=0, atol=2e-3)


@pytest.mark.slow
def test_channels_may_come_last() -> None:
    model, spec = made("timm/swin_tiny_patch4_window7_224")
    assert Activation(model, spec).map(noise(spec), 0).shape == (7, 7)


@pytest.mark.parametrize("backbone", ["timm/vit_tiny_patch16_224", pytest.param("vit_b_16", marks=pytest.mark.slow)])
def test_a_transformer_that_pools_no_feature_map_is_refused(backbone: str) -> None:
    model, spec = made(backbone)
    with pytest.raises(ArtifactError, match="this backbone pools no feature map at its end"):
        Activation(model, spec)


def test_covering_where_the_model_looked_costs_more_than_covering_where_it_did_not(model: Path, samples: Path) -> None:
    import torch

    classifier, spec = load(model)
    lost = {"most": 0.0, "least": 0.0}
    for folder in sorted((samples / "test").iterdir()):
        pixels = torch.from_numpy(load_pixels((folder / "000.jpg").read_bytes(), spec.preprocessing))
        index = spec.classes.index(folder.name)
        found = Activation(classifier, spec).map(pixels, index)
        side = pixels.shape[0] // found.shape[0]
        with torch.no_grad():
            before = classifier(pixels[None])[0, index]
            for name, place in (("most", int(found.argmax())), ("least", int(found.argmin()))):
                top, left = (side * number for number in divmod(place, found.shape[1]))
                covered = pixels.clone()
                covered[top : top + 2 * side, left : left + 2 * side] = pixels.float().mean(dim=(0, 1)).byte()
                lost[name] += float(before - classifier(covered[None])[0, index])
    assert lost["most"] > lost["least"]


@pytest.fixture(scope="module")
def photo(samples: Path) -> Path:
    return samples / "test" / "coffee" / "000.jpg"


@pytest.mark.slow
def test_the_program_answers_for_each_photo_and_class_and_says_what_it_cannot_do(
    model: Path, photo: Path, tmp_path: Path
) -> None:
    (tmp_path / "text.jpg").write_text("a letter")
    with looking([*PROGRAM, str(model)]) as looker:
        found = looker(photo, "coffee")
        assert found.rows and max(map(max, found.rows)) == 1 and 0.5 < found.crop <= 1
        assert looker(photo, "brick").rows != found.rows
        with pytest.raises(
            UserError, match=r"^the artifact has no class 'tea'; name the artifact of the model that answers$"
        ):
            looker(photo, "tea")
        with pytest.raises(UserError, match=r"^the photo cannot be used: not an image$"):
            looker(tmp_path / "text.jpg", "coffee")
        assert looker(photo, "coffee") == found


def test_an_artifact_that_cannot_be_read_is_reported_with_each_photo(tmp_path: Path, photo: Path) -> None:
    with looking([*PROGRAM, str(tmp_path)]) as looker:
        for _ in range(2):
            with pytest.raises(UserError, match=r"model\.json is missing"):
                looker(photo, "coffee")


def test_a_program_that_has_ended_is_reported() -> None:
    with looking(["sh", "-c", f"echo '{to_line(Look()).strip()}'"]) as looker, pytest.raises(UserError, match=GONE):
        looker(Path("a.jpg"), "coffee")


def test_a_program_that_does_not_answer_is_ended_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reports.try_page.looker.SECONDS", 0.2)
    with looking(["sleep", "60"]) as looker:
        with pytest.raises(UserError, match="was not computed within"):
            looker(Path("a.jpg"), "coffee")
        with pytest.raises(UserError, match=GONE):
            looker(Path("a.jpg"), "coffee")


@pytest.mark.slow
def test_the_program_ends_with_its_input(model: Path, photo: Path) -> None:
    line = to_line(LookRequest(photo=str(photo), label="coffee"))
    done = subprocess.run([*PROGRAM, str(model)], input=line, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    ready, answer = done.stdout.splitlines()
    assert json.loads(ready)["error"] == json.loads(answer)["error"] == "" and json.loads(answer)["rows"]
