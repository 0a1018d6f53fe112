"""Build the model, a backbone and a head, from its spec."""

import torch
from torch import Tensor, nn

from classifier.backbones import build_backbone
from classifier.spec import ModelSpec, Preprocessing


class Classifier(nn.Module):
    """Backbone and head; takes uint8 pixels [N, H, W, 3] and returns logits [N, classes], already divided by the temperature.

    `preprocessing` defines the conversion of a photo to such pixels.
    """

    def __init__(self, backbone: nn.Module, head: nn.Module, preprocessing: Preprocessing, temperature: float) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.preprocessing = preprocessing
        self.temperature = temperature
        self.mean: Tensor
        self.scale: Tensor
        for name, values in (("mean", preprocessing.mean), ("scale", preprocessing.std)):
            self.register_buffer(name, 255 * torch.tensor(values).view(3, 1, 1), persistent=False)

    def channels_last(self) -> "Classifier":
        """Put the weights into the layout channels_last, if torch can, and return the model; its answers stay the same."""
        # torch refuses a module that holds tensors of five dimensions, as timm's lambda networks do.
        if all(weights.dim() < 5 for weights in self.state_dict().values()):
            self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return self

    def features(self, pixels: Tensor) -> Tensor:
        """Return the backbone's float32 features [N, D] for uint8 pixels [N, H, W, 3]."""
        width = pixels.shape[2]
        mean, scale = self.mean.flatten().repeat(width), self.scale.flatten().repeat(width)
        # Computed by whole rows, [N, H, W * 3]: OpenVINO uses full vectors for these, and then copies no pixels.
        rows = (pixels.flatten(2).float() - mean) / scale
        # A permuted NHWC tensor already has the memory layout channels_last, so nothing is copied.
        images = rows.unflatten(2, (width, 3)).permute(0, 3, 1, 2)  # type: ignore[no-untyped-call]
        features: Tensor = self.backbone(images)
        return features.float()

    def forward(self, pixels: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(pixels))
        return logits / self.temperature


def build(spec: ModelSpec) -> Classifier:
    """Return the model of a spec in eval mode and, if torch can, in channels_last layout; its weights are still random."""
    backbone, _, _ = build_backbone(spec.backbone)
    head = build_head(spec.features, spec.head_hidden, spec.head_dropout, len(spec.classes))
    return Classifier(backbone, head, spec.preprocessing, spec.temperature).eval().channels_last()


def build_head(features: int, hidden: tuple[int, ...], dropout: float, classes: int) -> nn.Sequential:
    """Return a head of fully connected layers, `hidden` wide, with ReLU and dropout after each hidden layer."""
    layers: list[nn.Module] = []
    for width in hidden:
        layers += [nn.Linear(features, width), nn.ReLU(), nn.Dropout(dropout)]
        features = width
    if dropout and not hidden:
        layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers, nn.Linear(features, classes))
