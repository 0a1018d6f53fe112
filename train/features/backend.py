"""Chooses the backend of a feature pass: OpenVINO if it computes the same features as torch and is faster, else torch.

"The same features" means: at float32 equal to torch's; at bfloat16 as near to torch's float32 features as torch's bfloat16 features are. A
probe on a few photos of the job decides.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from classifier import backends
from classifier.backends import Backend, Forward, Logits, Unavailable, ir
from classifier.errors import short_reason
from classifier.fold import folded
from classifier.images import Pixels
from classifier.models import Classifier
from train.features.lanes import forward
from train.processes.world import World, local_threads

# From this number of photos and views on, OpenVINO saves more time than opening it takes: 1.3 s of processor time for lite0 and 3.1 s for
# inception_v3, which saved 2 ms and 3 ms a photo on two lanes.
CONVERTED_FROM = 1000
# The largest distance of features from torch's float32 features: at float32 as a share of their length, at bfloat16 as a multiple of the
# distance of torch's bfloat16 features. For 18 networks with random weights it was 1e-6 at most, and 0.83 to 1.13 times.
EXACT, AS_TORCH = 1e-4, 1.25
TURNS = 2  # runs of each library in the probe; the faster run counts
GAIN = 1.1  # OpenVINO must be this many times as fast as torch; less may be noise


@dataclass(frozen=True, kw_only=True)
class Probe:
    """The probe's measurements. An error is the mean distance of features from torch's in float32, as a share of their length."""

    photos: int
    error: float
    torch_error: float  # the error of torch at the same precision
    speedup: float  # torch's time over OpenVINO's


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The backend of a feature pass, and the reason as a clause; `forward` is None if torch computes."""

    backend: Backend
    reason: str
    forward: Forward | None = None
    probe: Probe | None = None

    def __str__(self) -> str:
        return f"features by {self.backend.name}, as {self.reason}"


def choose(model: Classifier, precision: str, missing: int, pixels: list[Pixels], world: World) -> Choice:
    """Return the backend for a pass that has to compute about `missing` features; `pixels` are those of a few of its photos.

    All processes of `world` choose the same one: each of them opens OpenVINO and probes it, and if one fails, all use torch. The chief
    alone decides how many features are missing, and which library is faster.
    """
    device = next(model.parameters()).device.type
    here = (backends.named("torch", device, precision), missing) if world.chief else None
    as_it_is, missing = world.broadcast(here)
    if as_it_is.device != "cpu":
        return Choice(backend=as_it_is, reason="the model is on a GPU")
    if missing < CONVERTED_FROM:
        reason = (
            f"{missing} photos to compute are too few to convert the model for OpenVINO (at least {CONVERTED_FROM})"
        )
        return Choice(backend=as_it_is, reason=reason)
    opened, found = _open(model, precision, pixels)
    everyone = world.gather(found)
    for rank, one in enumerate(everyone):
        if isinstance(one, str):
            return Choice(backend=as_it_is, reason=one + f" (process {rank} of {world.size})" * (world.size > 1))
    probe: Probe = everyone[0]
    if probe.speedup < GAIN:
        reason = f"on {probe.photos} photos OpenVINO is only {probe.speedup:.2f} times as fast as torch"
        return Choice(backend=as_it_is, reason=reason, probe=probe)
    reason = (
        f"on {probe.photos} photos it is {probe.speedup:.1f} times as fast as torch, and {probe.error:.2g} off float32 "
        f"(torch {probe.torch_error:.2g})"
    )
    return Choice(backend=backends.named("openvino", "cpu", precision), reason=reason, forward=opened, probe=probe)


def _open(model: Classifier, precision: str, pixels: list[Pixels]) -> tuple[Forward | None, Probe | str]:
    """Open OpenVINO for this process's lanes and probe it. Return the measurements, or a clause with the reason why it cannot be used."""
    threads = torch.get_num_threads()
    # One thread, as in a lane. Trap: on a busy machine torch's threads wait for each other, and a trace took 3 s instead of 0.9.
    torch.set_num_threads(1)
    try:
        backends.check(backends.named("openvino", "cpu", precision))
        if not pixels:
            return None, "no photo could be read to compare OpenVINO with torch"
        plain = without_head(model)
        opened = ir.open_lanes(ir.from_torch(plain, model.preprocessing.crop), precision, local_threads())
        probe = _probe(plain, opened, precision, np.stack(pixels))
    except Unavailable as error:
        return None, str(error)
    except Exception as error:  # the libraries raise many types
        return None, f"OpenVINO cannot compute this model ({short_reason(error)})"
    finally:
        torch.set_num_threads(threads)
    allowed = EXACT if precision == "fp32" else AS_TORCH * probe.torch_error
    if not probe.error <= allowed:  # this also refuses nan
        return None, f"OpenVINO's features are {probe.error:.2g} off torch's in float32, and {allowed:.2g} is allowed"
    return opened, probe


def _probe(model: Classifier, opened: Forward, precision: str, pixels: Pixels) -> Probe:
    """Compare the features and the times of OpenVINO and torch on some photos [N, H, W, 3]."""
    images = torch.from_numpy(pixels)
    exact = forward(model, images, "fp32").numpy()
    ways: dict[str, Callable[[], Logits]] = {
        "torch": lambda: forward(model, images, precision).numpy(),
        "openvino": lambda: opened(pixels),
    }
    seconds, error = dict.fromkeys(ways, float("inf")), dict.fromkeys(ways, 0.0)
    for _ in range(TURNS):
        for name, way in ways.items():
            # Each library computes on one thread. So its processor time shows its speed even on a busy machine.
            start = time.process_time()
            features = way()
            seconds[name] = min(seconds[name], time.process_time() - start)
            error[name] = _distance(features, exact)
    return Probe(
        photos=len(pixels),
        error=error["openvino"],
        torch_error=error["torch"],
        speedup=seconds["torch"] / seconds["openvino"],
    )


def _distance(features: Logits, exact: Logits) -> float:
    """Return the mean over photos of the distance between features [N, D], as a share of the exact ones' length."""
    return float(np.mean(np.linalg.norm(features - exact, axis=1) / np.linalg.norm(exact, axis=1)))


def without_head(model: Classifier) -> Classifier:
    """Return the model with a folded backbone and no head, on the same device."""
    backbone = folded(model.backbone, model.preprocessing.crop)
    return Classifier(backbone, nn.Identity(), model.preprocessing, 1.0).eval().to(next(model.parameters()).device)
