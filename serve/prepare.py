"""`python -m serve.prepare`: check an artifact once, choose the fastest backend within the guard, and write the workers' files.

The folder that it writes holds prepared.json, the self-test, and the model as OpenVINO IR if OpenVINO serves and the artifact does not hold
the IR. It runs in a separate process because it may import torch, which would cost each worker 200 MB and seconds.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file

from classifier import artifact, backends, device
from classifier.backends import AUTO, BACKENDS, CHOICES, Backend, Forward, Unavailable
from classifier.errors import ArtifactError, UserError, short_reason
from classifier.guard import NEAR, Verdict, examine, near, softmax
from classifier.guard_photos import GUARD, GuardPhotos, read_guard
from classifier.names import printable
from classifier.selftest import SELFTEST, Difference, Selftest, compare
from serve.memory import NO_ROOM_STATUS, no_room
from serve.model_source import ModelSource
from serve.predictor import Prepared


def main(argv: Sequence[str] | None = None) -> int:
    """Prepare a model and return the exit status; print one sentence when the model cannot be served."""
    parser = argparse.ArgumentParser(prog="python -m serve.prepare", description="Prepare an artifact for the workers.")
    parser.add_argument("--model-dir", type=Path, required=True, metavar="DIR", help="the artifact")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder for the prepared model")
    parser.add_argument("--backend", default=AUTO, choices=CHOICES, help="default: %(default)s")
    options = parser.parse_args(argv)
    try:
        print(_device(prepare(options.model_dir, options.out, options.backend)), flush=True)
    except UserError as error:
        print(printable(str(error)), file=sys.stderr, flush=True)
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

    A backend that is named may be outside the guard: then a warning describes the difference of its answers from the trained model's.

    Raises ArtifactError when the artifact is damaged or fails its self-test, or when no backend can be used.
    """
    if backend not in CHOICES:
        raise ArtifactError(f"backend {backend!r} must be one of {', '.join(CHOICES)}")
    contents = artifact.check(model_dir)
    for name in contents.spec.classes:
        if not name.isascii() and name.encode(errors="replace").decode() != name:
            print(f"warning: the class {name!a} is not valid UTF-8; an answer that names it fails", flush=True)
    out.mkdir(parents=True, exist_ok=True)
    source = ModelSource(model_dir, out, contents)
    guard = read_guard(model_dir, len(contents.spec.classes)) if GUARD in contents.files else None
    named = backend in BACKENDS
    refused: dict[str, str] = {}
    for candidate in backends.candidates(backend):
        try:
            backends.check(candidate)
            comparison = _compare(
                source.open(candidate), source.selftest, guard, contents.spec.preprocessing.crop, named=named
            )
        except UserError:
            raise
        except (Unavailable, _Unlike) as error:
            refused[candidate.name] = str(error)
        except Exception as error:  # the libraries raise many types
            if no_room(error):  # memory or disk would not suffice for another backend either
                raise
            refused[candidate.name] = short_reason(error)
        else:
            _write(out, candidate, source, comparison, refused)
            return candidate
        if not named:
            print(f"{candidate.name} is not used: {refused[candidate.name]}", flush=True)
    name, reason = refused.popitem()
    raise ArtifactError(
        f"backend {name!r} cannot serve the model in {model_dir}: {reason}"
        + (f"; leave the choice to {AUTO!r}" if named else "; all others failed before")
    )


class _Unlike(Exception):
    """A backend's answers are worse than the trained model's; the message is a clause with the difference."""


@dataclass(frozen=True, kw_only=True)
class _Comparison:
    """A backend's answers beside the trained model's. `refusal` says why the guard refuses the backend; empty if it does not."""

    selftest: Selftest  # the self-test's photos with the backend's probabilities
    difference: Difference  # difference from the trained model's probabilities for these photos
    verdict: Verdict | None  # the verdict on the guard's photos; None if the artifact has no such photos
    shown: str  # the comparison as a clause
    refusal: str


def _compare(forward: Forward, selftest: Selftest, guard: GuardPhotos | None, crop: int, *, named: bool) -> _Comparison:
    """Compare a backend with the trained model; raises _Unlike when the backend must not be used.

    A backend that a user named may be outside the guard, but it must not be wrong about most photos.
    """
    found = softmax(forward(selftest.pixels))
    if not np.isfinite(found).all():
        raise _Unlike(f"on {len(found)} photos of the self-test it gives numbers that are not finite")
    difference = compare(found, selftest.probabilities)
    verdict = examine(forward, guard, crop) if guard else None
    if verdict:
        shown, refusal, changes, photos = str(verdict), verdict.refusal(), verdict.changes, verdict.photos
    else:
        changes, photos = difference.top1_changes, len(found)
        shown = (
            f"on {photos} photos of the self-test it changes {changes} best classes and moves a probability by "
            f"{difference.largest:.4f}"
        )
        refusal = "" if near(difference) else f"at most {NEAR} and no other best class are allowed"
    if named and 2 * changes > photos:
        raise _Unlike(f"{shown}; it changes {changes} of {photos} best classes, so it is wrong about most of them")
    if not named and refusal:
        raise _Unlike(f"{shown}; {refusal}")
    own = Selftest(selftest.pixels, found)
    return _Comparison(selftest=own, difference=difference, verdict=verdict, shown=shown, refusal=refusal)


def _write(out: Path, backend: Backend, source: ModelSource, comparison: _Comparison, refused: dict[str, str]) -> None:
    # The workers repeat the self-test and compare with these probabilities, which the same backend computed.
    stored: dict[str, npt.NDArray[Any]] = vars(comparison.selftest)
    save_file(stored, out / SELFTEST)
    prepared = Prepared(
        backend=backend,
        spec=source.contents.spec,
        artifact=source.model_dir.resolve(),
        ir=source.ir.resolve() if source.ir and backend.library == "openvino" else None,
        difference=comparison.difference,
        verdict=comparison.verdict,
        refused=refused,
    )
    prepared.write(out)
    how = comparison.shown
    if comparison.refusal:
        how = f"warning, the guard refuses it, but it was named: {how}; {comparison.refusal}"
    measured = source.contents.measured
    if measured:
        how += (
            f"; training measured accuracy {measured.accuracy:.4f} on {measured.photos} photos, with {measured.library} on "
            f"{measured.device} at {measured.precision}"
        )
    print(f"{backend.name} is used: {how}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
