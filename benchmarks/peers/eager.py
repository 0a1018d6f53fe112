"""The model as notebooks serve it: an eager float32 network behind torchvision's transforms."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision import transforms as v1

from classifier import artifact


class Eager:
    """An artifact's network in torch's usual memory format, and what makes its input of a photo."""

    def __init__(self, folder: Path) -> None:
        model, spec = artifact.load(folder)
        network = nn.Sequential(model.backbone, model.head).eval()
        self.network: nn.Module = network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        self.classes = spec.classes
        size = spec.preprocessing
        self.transform: Any = v1.Compose(
            [
                v1.Resize(size.resize),
                v1.CenterCrop(size.crop),
                v1.ToTensor(),
                v1.Normalize(size.mean, size.std),
            ]
        )

    def predict(self, images: Tensor) -> Tensor:
        with torch.no_grad():
            return torch.softmax(self.network(images), dim=1)

    def answer(self, probabilities: Tensor) -> str:
        best = probabilities.topk(min(5, len(self.classes)))
        pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        return json.dumps({self.classes[index]: value for index, value in pairs})
