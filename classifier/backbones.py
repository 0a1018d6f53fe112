"""Build backbones by name. This is the only module that imports torchvision and timm."""

from difflib import get_close_matches
from typing import Any

from torch import Tensor, nn

from classifier.errors import ConfigError
from classifier.spec import Preprocessing

AUXILIARY = "AuxLogits."  # the beginning of the names of the auxiliary classifier's tensors in pretrained weights


def build_backbone(name: str) -> tuple[nn.Module, int, Preprocessing]:
    """Return a backbone without its classification layer, how many features it gives, and its preprocessing.

    `name` is a torchvision classification model or `timm/<model>`; its weights are random. Raises ConfigError for an
    unknown name.
    """
    if name.startswith("timm/"):
        return _timm_backbone(name.removeprefix("timm/"))
    return _torchvision_backbone(name)


def download(name: str) -> dict[str, Tensor]:
    """Return the pretrained state dict that torchvision or timm downloads for a backbone; raises the library's errors."""
    if name.startswith("timm/"):
        import timm

        model = timm.create_model(name.removeprefix("timm/"), pretrained=True, num_classes=0)
        state: dict[str, Tensor] = model.state_dict()
        return state
    from torchvision import models

    weights = models.get_model_weights(name).DEFAULT
    state = weights.get_state_dict(progress=False, check_hash=True)
    return state


def build_auxiliary(name: str, classes: int) -> tuple[str, nn.Module] | None:
    """Return the auxiliary classifier of inception_v3 and the name of the layer that feeds it; None for other backbones."""
    if name != "inception_v3":
        return None
    from torchvision.models.inception import InceptionAux

    return "Mixed_6e", InceptionAux(768, classes)


def convolutions() -> tuple[type[nn.Module], ...]:
    """Return the classes of plain convolutions: torch's, and timm's, whose padding is TensorFlow's."""
    from timm.layers import Conv2dSame

    return nn.Conv2d, Conv2dSame


def transforms() -> Any:
    """Return the module torchvision.transforms.v2."""
    import torchvision.transforms.v2 as v2

    return v2


def _torchvision_backbone(name: str) -> tuple[nn.Module, int, Preprocessing]:
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        raise ConfigError(_unknown_backbone("", name, known))
    # The pretrained weights of Inception and GoogLeNet expect that the model normalises its input once more.
    options: dict[str, Any] = (
        {"transform_input": True, "init_weights": False} if name in ("inception_v3", "googlenet") else {}
    )
    preset = models.get_model_weights(name).DEFAULT.transforms()
    if name.startswith("vit_"):
        options["image_size"] = preset.crop_size[0]  # some default weights were trained on larger images
    model: Any = models.get_model(name, weights=None, **options)
    for auxiliary in ("AuxLogits", "aux1", "aux2"):
        if hasattr(model, auxiliary):
            setattr(model, auxiliary, None)
            model.aux_logits = False
    if name.startswith("squeezenet"):
        # The only family whose last layer is a convolution: pool that layer's input instead.
        model.classifier, features = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), 512
    else:
        path, last = [(path, layer) for path, layer in model.named_modules() if isinstance(layer, nn.Linear)][-1]
        model.set_submodule(path, nn.Identity())
        features = last.in_features
    interpolation = "bicubic" if preset.interpolation.value == "bicubic" else "bilinear"
    preprocessing = Preprocessing(
        resize=preset.resize_size[0],
        crop=preset.crop_size[0],
        interpolation=interpolation,
        mean=tuple(preset.mean),
        std=tuple(preset.std),
    )
    return model, features, preprocessing


def _timm_backbone(name: str) -> tuple[nn.Module, int, Preprocessing]:
    import timm
    import timm.data

    if not timm.is_model(name):
        raise ConfigError(_unknown_backbone("timm/", name, timm.list_models()))
    model = timm.create_model(name, pretrained=False, num_classes=0)
    config = timm.data.resolve_model_data_config(model)
    crop = config["input_size"][-1]
    preprocessing = Preprocessing(
        resize=max(crop, int(crop / config["crop_pct"])),
        crop=crop,
        interpolation="bicubic" if config["interpolation"] == "bicubic" else "bilinear",
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
    )
    return model, model.head_hidden_size, preprocessing


def _unknown_backbone(library: str, name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, n=1)
    meant = f"; did you mean {library + near[0]!r}?" if near else ""
    return (
        f"backbone {library + name!r} is neither a torchvision classification model nor a timm model written "
        f"timm/<name>{meant}"
    )
