"""`python -m serve.prepare`: prove an artifact once and write what every worker opens: the fastest backend that is true to it.

The folder that it writes holds prepared.json, the self-test, and for OpenVINO the model as IR. The process is short-lived
because torch, which it may import, would cost each worker 200 MB and seconds.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from classifier import artifact, device
from classifier.artifact import Contents, Difference
from classifier.errors import ArtifactError, UserError
from serve import backends
from serve.backends import AUTO, BACKENDS, Backend, Forward, Unavailable, no_room, told
from serve.channel import NO_ROOM
from serve.predictor import GUARD, PREPARED, softmax

if TYPE_CHECKING:
    from classifier.models import Classifier


def main(argv: Sequence[str] | None = None) -> int:
    """Prepare a model and return the exit status; a model that cannot be served ends it with one sentence."""
    parser = argparse.ArgumentParser(prog="python -m serve.prepare", description="Prepare an artifact for the workers.")
    parser.add_argument("--model-dir", type=Path, required=True, metavar="DIR", help="the artifact")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the prepared model goes")
    parser.add_argument("--backend", default=AUTO, choices=(AUTO, *BACKENDS), help="default: %(default)s")
    options = parser.parse_args(argv)
    try:
        prepare(options.model_dir, options.out, options.backend)
        # Without torch, which only OpenVINO on the processor does without, nothing here could use a GPU.
        cpu = device.line(cuda=None, gpus=(), driver=device.driver_version())
        print(device.found() if "torch" in sys.modules else cpu, flush=True)
    except UserError as error:
        print(error, file=sys.stderr, flush=True)
        return 1
    except Exception as error:  # of the libraries, which raise many types
        print(told(error), file=sys.stderr, flush=True)
        return NO_ROOM if no_room(error) else 1
    return 0


def prepare(model_dir: Path, out: Path, backend: str) -> None:
    """Write the fastest backend that passes the guard, or the one named, into `out`; prepared.json comes last.

    Raises ArtifactError when the artifact is damaged or fails its self-test, or when no backend passes.
    """
    if backend != AUTO and backend not in BACKENDS:
        raise ArtifactError(f"backend {backend!r} is none of {', '.join((AUTO, *BACKENDS))}")
    contents = artifact.check(model_dir)
    out.mkdir(parents=True, exist_ok=True)
    source = _Source(model_dir, out, contents)
    refused: dict[str, str] = {}
    for candidate in backends.candidates() if backend == AUTO else [BACKENDS[backend]]:
        try:
            backends.check(candidate)
            difference = _guarded(source.open(candidate), source.selftest)
        except UserError:
            raise
        except (Unavailable, _Unlike) as error:
            refused[candidate.name] = str(error)
        except Exception as error:  # the libraries raise many types
            if no_room(error):  # there would be none for another either
                raise
            refused[candidate.name] = told(error)
        else:
            _write(out, candidate, source, difference, refused)
            return
        if backend == AUTO:
            print(f"{candidate.name} is not used: {refused[candidate.name]}", flush=True)
    name, reason = refused.popitem()
    raise ArtifactError(
        f"backend {name!r} cannot serve the model in {model_dir}: {reason}"
        + ("; all others failed before" if backend == AUTO else f"; leave the choice to {AUTO!r}")
    )


class _Unlike(Exception):
    """How a backend's answers differ from the trained model's."""


class _Source:
    """The proved model, in the form that a backend takes; made when one asks for it."""

    def __init__(self, model_dir: Path, out: Path, contents: Contents) -> None:
        self.model_dir, self.out, self.contents = model_dir, out, contents
        self.selftest = artifact.read_selftest(model_dir)
        self._torch: Classifier | None = None
        self._has_ir = False

    def open(self, backend: Backend) -> Forward:
        if backend.library == "torch":
            return backends.open_torch(self._model(), backend)
        if not self._has_ir:
            self._write_ir()
            self._has_ir = True
        return backends.open_ir(self.out / backends.IR, backend.precision, threads=1)

    def _model(self) -> "Classifier":
        if self._torch is None:
            model, _ = artifact.load(self.model_dir)
            artifact.run_selftest(self.model_dir, model)
            self._torch = model
        return self._torch

    def _write_ir(self) -> None:
        if artifact.ONNX in self.contents.files:
            # Read as it is: importing torch and building the model takes four seconds more.
            import openvino

            try:
                backends.write_ir(openvino.Core().read_model(self.model_dir / artifact.ONNX), self.out)
                forward = backends.open_ir(self.out / backends.IR, "fp32", threads=1)
                artifact.check_selftest(self.model_dir, softmax(forward(self.selftest.pixels)), self.selftest)
                return
            except Exception as error:
                if no_room(error):
                    raise
                print(f"{artifact.ONNX} is not used: {told(error)}", flush=True)
        crop = self.contents.spec.preprocessing.crop
        backends.write_ir(backends.from_torch(self._model(), crop), self.out)


def _guarded(forward: Forward, selftest: artifact.Selftest) -> Difference:
    difference = artifact.compare(softmax(forward(selftest.pixels)), selftest.probabilities)
    if difference.top1_changes or not difference.largest <= GUARD:
        raise _Unlike(
            f"on {len(selftest.pixels)} photos of the self-test it changes {difference.top1_changes} best classes and moves a "
            f"probability by {difference.largest:.4f} (at most {GUARD} is allowed)"
        )
    return difference


def _write(out: Path, backend: Backend, source: _Source, difference: Difference, refused: dict[str, str]) -> None:
    shutil.copyfile(source.model_dir / artifact.SELFTEST, out / artifact.SELFTEST)
    document: dict[str, Any] = {
        "backend": backend.name,
        "precision": backend.precision,
        "model": source.contents.spec.to_json(),
        "artifact": str(source.model_dir.resolve()),
        "difference": {"largest": difference.largest, "mean": difference.mean},
        "refused": refused,
    }
    temporary = out / f".{PREPARED}"
    temporary.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n")
    temporary.replace(out / PREPARED)
    print(
        f"{backend.name} is used: it moves no probability of the self-test by more than {difference.largest:.1g}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
