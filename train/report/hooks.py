"""The Debugger's hook: saves losses, and reductions of gradients when the job wants them, in smdebug's own format.

The model is not registered with smdebug. Its hooks on every layer would cost time in each step, save outputs (771 MB in 7 steps
of a resnet18) and raise errors into training. Losses and gradients are available after each step without hooks.
"""

import atexit
import contextlib
import json
import os
import sys
import tempfile
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from train import environment

# The reductions that SageMaker's rules on gradients read. They are saved if the configuration names none.
REDUCTIONS = "min,max,mean,std,abs_mean,l2_norm"
KEPT = frozenset({"losses", "gradients"})
_MODES = {"train": "TRAIN", "validation": "EVAL"}


class Hook:
    """Saves the tensors that its configuration names. After its first error it prints one line and saves nothing more."""

    def __init__(self, hook: Any, modes: Mapping[str, Any]) -> None:
        self._hook, self._modes = hook, modes
        self._model: nn.Module | None = None

    def attach(self, model: nn.Module) -> None:
        """Save the gradients of this model from now on, if the configuration names the collection `gradients`."""
        self._model = model

    def step(self, mode: str, losses: Mapping[str, Tensor | float]) -> None:
        """Count one step of the mode `train` or `validation`, and save the tensors that are due. `loss` is saved as `loss_output_0`.

        In training it must be called after the backward pass, while the parameters have their gradients.
        """
        if self._hook is not None:
            try:
                self._step(mode, losses)
            except Exception as error:
                self._off(error)

    def close(self) -> None:
        """Finish the files."""
        if self._hook is not None:
            try:
                self._hook.close()
            except Exception as error:
                self._off(error)
            self._drop()

    def _step(self, mode: str, losses: Mapping[str, Tensor | float]) -> None:
        hook = self._hook
        hook.set_mode(self._modes[mode])
        hook._increment_step()
        if not hook.prepared_collections:
            hook._prepare_collections()
        if not hook._get_collections_to_save_for_step():
            return
        hook._initialize_writers()
        if hook.first_process is False:
            raise FileExistsError(f"{hook.out_dir} belongs to another run; name another LocalPath, or empty the folder")
        for name, value in losses.items():
            # smdebug's collection of losses takes only names of this form.
            name = name if name.lower().endswith("loss") else f"{name}_loss"
            hook._save_for_tensor(f"{name}_output_0", torch.as_tensor(value).detach().float())
        if mode == "train" and self._model is not None and hook._is_collection_being_saved_for_step("gradients"):
            for name, parameter in self._model.named_parameters():
                if parameter.grad is not None:
                    tensor_name = f"{hook.GRADIENT_PREFIX}{type(self._model).__name__}_{name}"
                    hook._save_for_tensor(tensor_name, parameter.grad.detach().float())
        hook.last_saved_step = hook.step
        # Programs that read during training need complete files, and the list of collections once.
        hook._close_writers()
        if not hook.exported_collections:
            hook.export_collections()
            hook.exported_collections = True

    def _off(self, error: Exception) -> None:
        _say(error)
        # Python closes the file objects again when it deletes them, and would print a traceback if that failed.
        printer, sys.unraisablehook = sys.unraisablehook, lambda _: None
        try:
            self._hook.writer, self._hook.tb_writers = None, {}
            link: BaseException | None = error
            while link is not None:
                traceback.clear_frames(link.__traceback__)
                link = link.__context__
        finally:
            sys.unraisablehook = printer
        self._drop()

    def _drop(self) -> None:
        if self._hook is not None:
            # smdebug would write again when the program ends, and might raise then.
            atexit.unregister(self._hook._cleanup)
        self._hook = self._model = None


def open_hook(base: Path) -> Hook | None:
    """Return the hook that input/config/debughookconfig.json describes; None without that file, or without smdebug.

    It never raises an error, but prints it in one line.
    """
    path = base / "input" / "config" / "debughookconfig.json"
    if not path.exists():
        return None
    try:
        return _open(json.loads(path.read_text()), base / "output" / "tensors")
    except Exception as error:
        _say(error)
        return None


def _open(config: dict[str, Any], folder: Path) -> Hook:
    environment.SMDEBUG_LOG.set_default("critical")
    # smdebug's profiler is not used, and it evaluates text of its configuration as Python.
    environment.SMDEBUG_PROFILER.set_default(os.devnull)
    # If there are checkpoints, smdebug would list all of their files in every step.
    environment.SMDEBUG_CHECKPOINTS.set_default(f"{os.devnull}/none")
    import smdebug.pytorch as smd

    config = _narrowed(config, folder)
    # Otherwise smdebug would detect only in a later step that this folder is not writable.
    Path(config["LocalPath"]).expanduser().mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(config, file)
        file.flush()
        hook = smd.Hook.create_from_json_file(file.name)
    return Hook(hook, {name: getattr(smd.modes, mode) for name, mode in _MODES.items()})


def _narrowed(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the configuration with a folder to save to; it keeps only losses and reductions of gradients."""
    parameters = dict(config.get("HookParameters") or {})
    collections = {
        item["CollectionName"]: dict(item.get("CollectionParameters") or {})
        for item in config.get("CollectionConfigurations") or []
    }
    left_out = sorted(collections.keys() - KEPT) + [key for key in ("save_all", "include_regex") if key in parameters]
    if left_out:
        print(
            f"debugger hook: only losses and reductions of gradients are saved, not {', '.join(left_out)}", flush=True
        )
    for values in (parameters, *collections.values()):
        for key in ("save_all", "include_regex", "save_raw_tensor", "include_workers"):  # the chief alone saves
            values.pop(key, None)
    if "gradients" in collections and "reductions" not in parameters:
        collections["gradients"].setdefault("reductions", REDUCTIONS)
    return {
        "LocalPath": config.get("LocalPath") or str(folder),
        "HookParameters": parameters,
        "CollectionConfigurations": [
            {"CollectionName": name, "CollectionParameters": values}
            for name, values in ({"losses": {}} | collections).items()
            if name in KEPT
        ],
    }


def _say(error: BaseException) -> None:
    while isinstance(error, AttributeError) and error.__context__:  # smdebug's own handling of an error failed too
        error = error.__context__
    with contextlib.suppress(OSError):
        print(f"debugger hook off: {type(error).__name__}: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
