"""Makes `import torchvision` work beside a torch that its compiled operators were not built for.

PyPI's only torchvision is linked against torch's CUDA build. Beside the CPU build its operators cannot be loaded, and its
import ends with "operator torchvision::nms does not exist". Every Python of the environment reads `byoc_torchvision.pth`
when it starts, and so imports this module, which adds one finder. That acts when torchvision is imported and its operators
are missing: it declares the two operators that the import asks for, and makes each call of a missing operator say so.
"""

import sys

TYPE_CHECKING = False  # typing itself takes milliseconds of each start of Python
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any, NoReturn


class Finder:
    """Finds the two modules of torchvision that load compiled operators, and adds a step after each has run."""

    @staticmethod
    def find_spec(
        name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        if name not in STEPS:
            return None
        finders = [finder for finder in sys.meta_path if finder is not Finder]
        spec = next((spec for finder in finders if (spec := finder.find_spec(name, path, target))), None)
        if spec and spec.loader:
            run = spec.loader.exec_module

            def exec_module(module: "ModuleType") -> None:
                run(module)
                STEPS[name](module)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def declare_operators(extension: "Any") -> None:
    if extension._has_ops():
        return
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for name in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, name):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")  # type: ignore[no-untyped-call]
    extension.byoc_library = library  # the declarations vanish with the object

    @torch.jit.unused
    def refuse() -> None:
        caller = sys._getframe(1).f_code.co_name
        raise RuntimeError(sentence(f"ops.{caller}", "models, transforms and datasets work without it"))

    extension._assert_has_ops = refuse


def refuse_images(image: "Any") -> None:
    if image._has_image_ops():
        return
    for name, value in list(vars(image).items()):
        if name.startswith(("read_", "write_", "decode_", "encode_")):
            setattr(image, name, refusal(value))


def refusal(function: "Callable[..., Any]") -> "Callable[..., NoReturn]":
    from functools import wraps

    @wraps(function)
    def refuse(*arguments: "Any", **options: "Any") -> "NoReturn":
        raise RuntimeError(sentence(f"io.{function.__name__}", "read and write images with Pillow"))

    return refuse


def sentence(operator: str, instead: str) -> str:
    from importlib.metadata import version

    return (
        f"torchvision.{operator} cannot run here, because torchvision {version('torchvision')} was built for another torch "
        f"than the {version('torch')} beside it; {instead}, or install the torchvision that was built for this torch"
    )


STEPS = {"torchvision.extension": declare_operators, "torchvision.io.image": refuse_images}
sys.meta_path.insert(0, Finder)
