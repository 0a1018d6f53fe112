"""The end of a job: fits the temperature, judges the model on each split, and writes the artifact."""

import dataclasses
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from classifier import __version__, artifact
from classifier.backends import Backend
from classifier.images import read_photo
from classifier.spec import Measured
from train import stop
from train.calibrate import fit_temperature
from train.config import Config
from train.environment import DISCARD_MODEL
from train.evaluation import Evaluation, calibration_bins, calibration_error, judge
from train.extras import keep_guard, write_ir
from train.features import Features
from train.setup import Setup, versions


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The model that a job ends with: the stage and epoch of its weights, and its outputs.

    `outputs` holds logits [N, classes] and labels [N] of the split validation, and of test if there is one; `backend` computed
    them, or the features that they come from.
    """

    stage: str
    epoch: int  # 0 if no epoch of the stage was finished
    outputs: Mapping[str, tuple[Tensor, Tensor]]
    backend: Backend


def finish(setup: Setup, config: Config, outcome: Outcome, validation: Features) -> None:
    """Judge a trained model and write its artifact; only the chief does this.

    `config` holds the hyperparameters with those that a search has chosen.
    """
    model = setup.start.model.cpu().eval()
    model.temperature, sentence = fit_temperature(*outcome.outputs["validation"])
    print(sentence, flush=True)
    results = {name: _judge(setup, outcome, name, model.temperature) for name in outcome.outputs}
    training = {
        "program": __version__,
        "libraries": versions(),
        "hyperparameters": config.to_json(),
        "weights": setup.start.source,
        "stage": outcome.stage,
        "best_epoch": outcome.epoch,
        "metrics": {name: result.metrics() for name, result in results.items()},
    }
    spec = dataclasses.replace(setup.start.spec, temperature=model.temperature)
    with tempfile.TemporaryDirectory() as scratch:
        extras = artifact.Extras(measured=_measured(outcome.backend, results["validation"]), onnx=config.export_onnx)
        # A job that is stopped has two minutes to write its model.
        if not stop.requested.is_set() and not DISCARD_MODEL.read():
            pack, folder = setup.feature_pass.pack, Path(scratch)
            guard = keep_guard(model, validation.photos, config.seed, pack.read if pack else read_photo)
            written = guard and write_ir(model, guard, folder, config.export_openvino)
            extras = dataclasses.replace(extras, guard=guard, ir=folder if written else None)
        artifact.save(setup.job.model_dir, model, spec, validation.sample, training, extras)


def _measured(backend: Backend, validation: Evaluation) -> Measured:
    return Measured(
        library=backend.library,
        device=backend.device,
        precision=backend.precision,
        photos=validation.count,
        accuracy=validation.accuracy,
        log_likelihood=-validation.loss,
    )


def _judge(setup: Setup, outcome: Outcome, split: str, temperature: float) -> Evaluation:
    """Judge a model on a split, record the result and print its accuracy."""
    logits, labels = outcome.outputs[split]
    result = judge(logits / temperature, labels)
    metrics, write = result.metrics(), setup.report.records.write
    calibration = {
        "temperature": temperature,
        "ece_uncalibrated": calibration_error(logits, labels),
        "calibration": calibration_bins(logits / temperature, labels),
    }
    write("result", split=split, stage=outcome.stage, best_epoch=outcome.epoch, **metrics, **calibration)
    write("confusion", split=split, matrix=result.confusion.tolist())
    write("classes", split=split, classes=result.per_class(setup.start.spec.classes))
    low, high = metrics["accuracy_interval"]
    print(f"{split}: accuracy {result.accuracy:.4f} ({low:.4f} to {high:.4f}) on {result.count} photos", flush=True)
    return result
