"""The training loop of many tutorials, for comparison: the whole frozen model runs on every photo in every epoch.

    python -m benchmarks.baseline FOLDER [--out FILE] [--backbone NAME] [--epochs N] [--lr X] [--batch-size N]

FOLDER holds train/ and validation/ with a folder per class. The loop uses torchvision's ImageFolder and transforms, a
DataLoader with its defaults, and Adam on only the last layer, in fp32. Weights are random except those of
timm/tf_efficientnet_lite0. The loop writes the loss and the accuracy of each phase of each epoch to FILE.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torchvision import datasets, models, transforms

from benchmarks.machine import LITE
from benchmarks.parts import parse
from classifier.backbones import build_backbone
from train.pretrained import load_pretrained

OPTIONS = {
    "out": (Path("baseline.json"), "file for loss and accuracy of each phase of each epoch"),
    "backbone": ("inception_v3", "name of the network"),
    "epochs": (5, "number of epochs"),
    "lr": (0.003, "learning rate of the last layer"),
    "batch-size": (64, "photos in a step"),
}


def main() -> int:
    """Train, and write the loss and the accuracy of each phase of each epoch."""
    options = parse("baseline", (), OPTIONS, folder="../shared/data/dogs")
    torch.manual_seed(0)
    loaders = _loaders(options.folder, options.backbone, options.batch_size)
    model = _model(options.backbone, len(loaders["train"].dataset.classes))
    last_layer = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(last_layer, lr=options.lr)
    phases = []
    for _ in range(options.epochs):
        for phase, loader in loaders.items():
            model.train(phase == "train")
            phases.append({"phase": phase} | _run_phase(model, loader, optimizer))
            print(f"baseline: {phase} accuracy {phases[-1]['accuracy']:.4f}", flush=True)
    options.out.write_text(json.dumps(phases))
    return 0


def _loaders(folder: Path, name: str, batch_size: int) -> dict[str, Any]:
    size = build_backbone(name)[2]
    # The original notebook resizes to 299. The recipe of the weights, 342, would make the loop a little slower.
    side = size.crop if name == "inception_v3" else size.resize
    resize = transforms.Resize(side, interpolation=transforms.InterpolationMode(size.interpolation))
    sized = [resize, transforms.CenterCrop(size.crop)]
    last = [transforms.ToTensor(), transforms.Normalize(size.mean, size.std)]
    found = {}
    for phase, flip in (("train", [transforms.RandomHorizontalFlip()]), ("validation", [])):
        photos = datasets.ImageFolder(str(folder / phase), transforms.Compose([*sized, *flip, *last]))
        found[phase] = torch.utils.data.DataLoader(photos, batch_size=batch_size, shuffle=phase == "train")
    return found


def _model(name: str, classes: int) -> nn.Module:
    """Return the whole model with a new last layer. All other layers are frozen."""
    if name.startswith("timm/"):
        import timm

        model: nn.Module = timm.create_model(name.removeprefix("timm/"))
    else:
        model = models.get_model(name, weights=None, **({"init_weights": False} if name == "inception_v3" else {}))
    if name == LITE:
        load_pretrained(model, name, None)
    model.requires_grad_(False)
    path, last = [(path, layer) for path, layer in model.named_modules() if isinstance(layer, nn.Linear)][-1]
    model.set_submodule(path, nn.Linear(last.in_features, classes))
    return model


def _run_phase(model: nn.Module, loader: Any, optimizer: torch.optim.Optimizer) -> dict[str, float]:
    """Run one phase of an epoch; return its loss and accuracy."""
    criterion = nn.CrossEntropyLoss()
    running_loss, running_corrects = 0.0, 0
    for inputs, labels in loader:
        optimizer.zero_grad()
        with torch.set_grad_enabled(model.training):
            outputs = model(inputs)
            if isinstance(outputs, tuple):  # in train mode, inception_v3 also returns auxiliary logits
                outputs = outputs[0]
            loss = criterion(outputs, labels)
            if model.training:
                loss.backward()
                optimizer.step()
        running_loss += loss.item() * inputs.size(0)
        running_corrects += int((outputs.argmax(1) == labels).sum())
    photos = len(loader.dataset)
    return {"loss": running_loss / photos, "accuracy": running_corrects / photos}


if __name__ == "__main__":
    sys.exit(main())
