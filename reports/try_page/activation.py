"""The program that computes class activation maps: where in a photo a model found a class.

Usage: `python -m reports.try_page.activation ARTIFACT`. The program reads a LookRequest from each line of standard input, and
answers with a Look on a line of standard output. Before that, it writes an empty Look as soon as the model is loaded. This is the
only module of `reports` that imports torch. Its functions import torch, so that the module can be imported without torch.

The method is the class activation map (Zhou et al. 2016, https://arxiv.org/abs/1512.04150) in the form of Grad-CAM (Selvaraju et
al. 2017, https://arxiv.org/abs/1610.02391): the sum over the channels of the feature map that the backbone pools at its
end, each channel weighted by the gradient of the class's logit. Values below zero are evidence against the class and become 0. If a
linear head directly follows the pooling, the two methods give the same map.
"""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from classifier.artifact import load
from classifier.errors import ArtifactError, PhotoError, UserError
from classifier.images import load_pixels, read_photo
from classifier.spec import ModelSpec
from reports.try_page.answer import Look, LookRequest, to_line

if TYPE_CHECKING:
    from torch import Tensor, nn

    from classifier.models import Classifier


class Activation:
    """Computes activation maps of a loaded model."""

    def __init__(self, model: "Classifier", spec: ModelSpec) -> None:
        """Raises ArtifactError for a backbone that pools no feature map, such as a vision transformer."""
        self._model, self._spec = model.requires_grad_(False), spec
        self._module = _pooled(model)

    def look(self, photo: Path, label: str) -> Look:
        """Return where in a photo the model finds evidence of a class. Raises PhotoError if the file is not a usable photo."""
        import torch

        if label not in self._spec.classes:
            raise ArtifactError(f"the artifact has no class {label!r}; name the artifact of the model that answers")
        preprocessing = self._spec.preprocessing
        pixels = torch.from_numpy(load_pixels(read_photo(photo), preprocessing))
        rows = self.map(pixels, self._spec.classes.index(label))
        return Look(rows=tuple(map(tuple, rows.tolist())), crop=preprocessing.crop / preprocessing.resize)

    def map(self, pixels: "Tensor", index: int) -> "Tensor":
        """Return the map [height, width] of one class for uint8 pixels [H, W, 3]. Its maximum is 1, or all values are 0."""
        import torch

        kept: list[torch.Tensor] = []

        def begin_here(module: "nn.Module", given: Any, output: "Tensor") -> "Tensor":
            # Gradients are needed only from this output on. Trap: the next module may change its input in place, as the ReLU
            # after DenseNet's last layer does. So it gets a copy; a changed copy holds the values that are pooled.
            kept[:] = [output.detach().requires_grad_().clone()]
            return kept[0]

        handle = self._module.register_forward_hook(begin_here)
        try:
            with torch.enable_grad():
                logit = self._model(pixels[None])[0, index]
                (gradient,) = torch.autograd.grad(logit, kept[0])
        finally:
            handle.remove()
        # Some transformers, such as timm's Swin, have the channels last.
        last = gradient.shape[3] == self._spec.features != gradient.shape[1]
        space, channels = ((1, 2), 3) if last else ((2, 3), 1)
        weights = gradient.sum(dim=space, keepdim=True)
        evidence = (weights * kept[0]).detach().sum(dim=channels)[0].clamp(min=0).float()
        most = float(evidence.max())
        return (evidence / most if most > 0 else evidence).round(decimals=3)


def _pooled(model: "Classifier") -> "nn.Module":
    """Return the last module of the backbone whose output has a height and a width; raises ArtifactError if there is none."""
    import torch

    last: list[tuple[nn.Module, bool]] = []

    def note(module: "nn.Module", given: Any, output: Any) -> None:
        if not isinstance(output, torch.Tensor) or output.ndim < 3:
            return
        if output.ndim > 3 and output.shape[1:].numel() == max(output.shape[1:]):
            return  # this output is pooled: only the channels are larger than 1
        last[:] = [(module, output.ndim == 4)]

    handles = [module.register_forward_hook(note) for module in model.backbone.modules()]
    crop = model.preprocessing.crop
    with torch.inference_mode():
        model(torch.zeros(1, crop, crop, 3, dtype=torch.uint8))
    for handle in handles:
        handle.remove()
    if not last or not last[0][1]:
        raise ArtifactError(
            "this backbone pools no feature map at its end, so where the model looked cannot be computed"
        )
    return last[0][0]


def main(artifact: Path) -> None:
    """Answer requests until standard input ends."""
    try:
        model, spec = load(artifact)
        activation = Activation(model, spec)
    except UserError as error:
        sys.stdout.write(to_line(Look(error=str(error))))
        return
    sys.stdout.write(to_line(Look()))
    sys.stdout.flush()
    for line in sys.stdin:
        sys.stdout.write(to_line(_answer(activation, LookRequest(**json.loads(line)))))
        sys.stdout.flush()


def _answer(activation: Activation, request: LookRequest) -> Look:
    try:
        return activation.look(Path(request.photo), request.label)
    except PhotoError as error:
        return Look(error=f"the photo cannot be used: {error}")
    except (UserError, RuntimeError, MemoryError) as error:  # torch raises RuntimeError if the memory is too small
        return Look(error=str(error).splitlines()[0] if str(error) else "there is too little memory")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
