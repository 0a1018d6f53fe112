"""A training script of the notebook's kind: torchvision's folders and transforms, a pretrained architecture, smdebug's hook."""

import argparse
import os
from pathlib import Path

import smdebug.pytorch as smd
import torch
from neighbour import CLASSES
from smdebug import modes
from smdebug.profiler.utils import str2bool
from smdebug.pytorch import get_hook
from torch import nn, optim
from torchvision import datasets, models, transforms


def net():
    model = models.resnet18(weights=None)
    for parameter in model.parameters():
        parameter.requires_grad = False
    model.fc = nn.Sequential(nn.Linear(model.fc.in_features, 16), nn.ReLU(inplace=True), nn.Linear(16, CLASSES))
    return model


def loaders(folder, batch_size):
    transform = transforms.Compose(
        [
            transforms.Resize(40),
            transforms.RandomResizedCrop(32),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    for split in ("train", "valid"):
        data = datasets.ImageFolder(Path(folder) / split, transform=transform)
        yield torch.utils.data.DataLoader(data, batch_size=batch_size, shuffle=True, num_workers=1)


def main(args):
    model, criterion = net(), nn.CrossEntropyLoss()
    optimizer = optim.Adam(model.fc.parameters(), lr=args.lr)
    hook = get_hook(create_if_not_exists=True) if args.get_hook else smd.Hook.create_from_json_file()
    hook.register_hook(model)
    if args.register_loss:
        hook.register_loss(criterion)
    train, valid = loaders(args.data_dir, args.batch_size)
    for epoch in range(1, args.epochs + 1):
        model.train()
        hook.set_mode(modes.TRAIN)
        for inputs, labels in train:
            optimizer.zero_grad()
            loss = criterion(model(inputs), labels)
            loss.backward()
            optimizer.step()
        model.eval()
        hook.set_mode(smd.modes.EVAL)
        with torch.no_grad():
            right = sum((model(inputs).argmax(1) == labels).sum().item() for inputs, labels in valid)
        print(f"epoch={epoch} validation:accuracy={right / len(valid.dataset):.4f}")
    torch.save(model.cpu().state_dict(), Path(args.model_dir) / "model.pth")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--register-loss", type=str2bool, default=True)
    parser.add_argument("--get-hook", type=str2bool, default=False)
    parser.add_argument("--data-dir", default=os.environ["SM_CHANNEL_TRAINING"])
    parser.add_argument("--model-dir", default=os.environ["SM_MODEL_DIR"])
    main(parser.parse_args())
