"""What follows training: the temperature, the judgement of every split, and the artifact."""

import dataclasses
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from torch import Tensor

from classifier import __version__, artifact
from classifier.models import Classifier
from classifier.spec import ModelSpec
from train.calibrate import fit_temperature
from train.config import Config
from train.contract import Job
from train.evaluation import calibration_error, judge
from train.report.records import Records

LIBRARIES = ("torch", "torchvision", "timm", "numpy", "Pillow", "safetensors")


def finish(
    job: Job,
    model: Classifier,
    spec: ModelSpec,
    config: Config,
    *,
    outputs: Mapping[str, tuple[Tensor, Tensor]],
    kept: Mapping[str, Any],
    source: str,
    selftest: Tensor,
    records: Records,
) -> None:
    """Judge the logits and labels in `outputs`, which hold validation, and write the artifact.

    `kept` says which stage and epoch the model comes from, `source` where its first weights do.
    """
    model.cpu().eval()
    model.temperature, sentence = fit_temperature(*outputs["validation"])
    spec = dataclasses.replace(spec, temperature=model.temperature)
    print(sentence, flush=True)
    results = {}
    for name, (logits, labels) in outputs.items():
        result = results[name] = judge(logits / model.temperature, labels)
        calibration = {"temperature": model.temperature, "ece_uncalibrated": calibration_error(logits, labels)}
        records.write("result", split=name, **kept, **result.metrics(), **calibration)
        records.write("confusion", split=name, matrix=result.confusion.tolist())
        records.write("classes", split=name, classes=result.per_class(spec.classes))
        low, high = result.metrics()["accuracy_interval"]
        print(f"{name}: accuracy {result.accuracy:.4f} ({low:.4f} to {high:.4f}) on {result.count} photos", flush=True)
    training = {
        "program": __version__,
        "libraries": versions(),
        "hyperparameters": config.to_json(),
        "weights": source,
        **kept,
        "metrics": {name: result.metrics() for name, result in results.items()},
    }
    artifact.save(job.model_dir, model, spec, selftest, training, onnx=config.export_onnx)


def versions() -> dict[str, str]:
    """Return the versions of the libraries that decide what a model computes."""
    return {name: version(name) for name in LIBRARIES}
