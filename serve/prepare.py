"""`python -m serve.prepare`: check an artifact once, choose the fastest backend within the guard, and write what every worker opens.

The folder that it writes holds prepared.json, the self-test, and for OpenVINO the model in its own format (IR). It runs in a
separate process because it may import torch, which would cost each worker 200 MB and seconds.
"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file

from classifier import artifact, backends, device
from classifier.artifact import Contents
from classifier.backends import AUTO, BACKENDS, Backend, Forward, Unavailable, ir
from classifier.errors import ArtifactError, UserError, short_reason
from classifier.selftest import SELFTEST, Difference, Selftest, check_selftest, compare, read_selftest, run_selftest
from serve.memory import NO_ROOM_STATUS, no_room
from serve.predictor import GUARD, Prepared, softmax

if TYPE_CHECKING:
    from classifier.models import Classifier


def main(argv: Sequence[str] | None = None) -> int:
    """Prepare a model and return the exit status; print one sentence when the model cannot be served."""
    parser = argparse.ArgumentParser(prog="python -m serve.prepare", description="Prepare an artifact for the workers.")
    parser.add_argument("--model-dir", type=Path, required=True, metavar="DIR", help="the artifact")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the prepared model goes")
    parser.add_argument("--backend", default=AUTO, choices=(AUTO, *BACKENDS), help="default: %(default)s")
    options = parser.parse_args(argv)
    try:
        print(_device(prepare(options.model_dir, options.out, options.backend)), flush=True)
    except UserError as error:
        print(error, file=sys.stderr, flush=True)
        return 1
    except Exception as error:  # the libraries raise many types
        print(short_reason(error), file=sys.stderr, flush=True)
        return NO_ROOM_STATUS if no_room(error) else 1
    return 0


def _device(backend: Backend) -> str:
    """Return a line for the log about the device that serves."""
    torch = sys.modules.get("torch")
    if torch and (backend.device == "cuda" or not torch.cuda.is_available()):
        return device.found()
    # If torch was not imported, OpenVINO serves on the processor.
    return device.line(cuda=None, gpus=(), driver=None if torch else device.driver_version())


def prepare(model_dir: Path, out: Path, backend: str) -> Backend:
    """Write the fastest backend within the guard, or the one that is named, into `out`, and return it; prepared.json is written last.

    A backend that is named may be outside the guard: then a warning says how far it is from the trained model.

    Raises ArtifactError when the artifact is damaged or fails its self-test, or when no backend can be used.
    """
    if backend != AUTO and backend not in BACKENDS:
        raise ArtifactError(f"backend {backend!r} must be one of {', '.join((AUTO, *BACKENDS))}")
    contents = artifact.check(model_dir)
    for name in contents.spec.classes:
        if not name.isascii() and name.encode(errors="replace").decode() != name:
            print(f"warning: the class {name!a} is not valid UTF-8; an answer that names it fails", flush=True)
    out.mkdir(parents=True, exist_ok=True)
    source = _Source(model_dir, out, contents)
    refused: dict[str, str] = {}
    for candidate in backends.candidates() if backend == AUTO else [BACKENDS[backend]]:
        try:
            backends.check(candidate)
            comparison = _compare(source.open(candidate), source.selftest, named=backend != AUTO)
        except UserError:
            raise
        except (Unavailable, _Unlike) as error:
            refused[candidate.name] = str(error)
        except Exception as error:  # the libraries raise many types
            if no_room(error):  # there would be no room for another backend either
                raise
            refused[candidate.name] = short_reason(error)
        else:
            _write(out, candidate, source, comparison, refused)
            return candidate
        if backend == AUTO:
            print(f"{candidate.name} is not used: {refused[candidate.name]}", flush=True)
    name, reason = refused.popitem()
    raise ArtifactError(
        f"backend {name!r} cannot serve the model in {model_dir}: {reason}"
        + ("; all others failed before" if backend == AUTO else f"; leave the choice to {AUTO!r}")
    )


class _Unlike(Exception):
    """The answers of a backend differ too much from the trained model's; the message is a clause that says how much."""


class _Source:
    """Opens the artifact's model on a backend. Parts that several backends need are loaded or converted only once."""

    def __init__(self, model_dir: Path, out: Path, contents: Contents) -> None:
        self.model_dir, self.out, self.contents = model_dir, out, contents
        self.selftest = read_selftest(model_dir)
        self._torch: Classifier | None = None
        self._has_ir = False

    def open(self, backend: Backend) -> Forward:
        if backend.library == "torch":
            from classifier.backends import eager

            return eager.open_torch(self._model(), backend, self.contents.spec.preprocessing.crop)
        if not self._has_ir:
            self._write_ir()
            self._has_ir = True
        return ir.open_ir(self.out / ir.IR, backend.precision, threads=1)

    def _model(self) -> "Classifier":
        if self._torch is None:
            model, _ = artifact.load(self.model_dir)
            run_selftest(self.model_dir, model)
            self._torch = model
        return self._torch

    def _write_ir(self) -> None:
        if artifact.ONNX in self.contents.files:
            # OpenVINO reads ONNX by itself; to import torch and build the model would take four seconds more.
            import openvino

            try:
                ir.write_ir(openvino.Core().read_model(self.model_dir / artifact.ONNX), self.out)
                forward = ir.open_ir(self.out / ir.IR, "fp32", threads=1)
                check_selftest(self.model_dir, softmax(forward(self.selftest.pixels)), self.selftest)
                return
            except Exception as error:
                if no_room(error):
                    raise
                print(f"{artifact.ONNX} is not used: {short_reason(error)}", flush=True)
        crop = self.contents.spec.preprocessing.crop
        ir.write_ir(ir.from_torch(self._model(), crop), self.out)


@dataclass(frozen=True)
class _Comparison:
    """A backend's results for the self-test, compared with the trained model."""

    selftest: Selftest  # the self-test's photos with the backend's probabilities
    difference: Difference
    photos: str  # the difference as a clause

    @property
    def within_guard(self) -> bool:
        return not self.difference.top1_changes and self.difference.largest <= GUARD


def _compare(forward: Forward, selftest: Selftest, *, named: bool) -> _Comparison:
    """Compare a backend with the trained model; raises _Unlike when the backend must not be used.

    A backend that a user named may be outside the guard, but it must not be wrong about most photos.
    """
    found = softmax(forward(selftest.pixels))
    difference = compare(found, selftest.probabilities)
    comparison = _Comparison(Selftest(selftest.pixels, found), difference, _described(difference, len(found)))
    if not np.isfinite(found).all():
        raise _Unlike(f"on {len(found)} photos of the self-test it gives numbers that are not finite")
    if named and 2 * difference.top1_changes > len(found):
        raise _Unlike(f"{comparison.photos}, so it is wrong about most of them")
    if not named and not comparison.within_guard:
        raise _Unlike(f"{comparison.photos} (at most {GUARD} is allowed)")
    return comparison


def _described(difference: Difference, photos: int) -> str:
    return (
        f"on {photos} photos of the self-test it changes {difference.top1_changes} best classes and moves a probability by "
        f"{difference.largest:.4f}"
    )


def _write(out: Path, backend: Backend, source: _Source, comparison: _Comparison, refused: dict[str, str]) -> None:
    if comparison.within_guard:
        shutil.copyfile(source.model_dir / SELFTEST, out / SELFTEST)
    else:  # the workers' self-test then compares with what was computed here, which is outside the guard of training's values
        stored: dict[str, npt.NDArray[Any]] = {
            "pixels": comparison.selftest.pixels,
            "probabilities": comparison.selftest.probabilities,
        }
        save_file(stored, out / SELFTEST)
    prepared = Prepared(
        backend=backend,
        spec=source.contents.spec,
        artifact=source.model_dir.resolve(),
        difference=comparison.difference,
        refused=refused,
    )
    prepared.write(out)
    if comparison.within_guard:
        how = f"it moves no probability of the self-test by more than {comparison.difference.largest:.1g}"
    else:
        how = f"warning, it is outside the guard, but it was named: {comparison.photos}; {AUTO!r} would not take it"
    print(f"{backend.name} is used: {how}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
