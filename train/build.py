"""The model that training starts from: pretrained weights, random ones, or an earlier job's artifact."""

import dataclasses
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from classifier import artifact
from classifier.archives import is_archive, unpack
from classifier.backbones import build_auxiliary, build_backbone
from classifier.errors import ArtifactError, ConfigError
from classifier.models import Classifier, build_head
from classifier.names import is_system, one_line
from classifier.spec import ModelSpec
from train.config import Config, translated
from train.contract import Job
from train.pretrained import load_pretrained

MODEL = "model.tar.gz"  # SageMaker's name for a job's artifact
# Ends of archives' names; unpack() refuses some of these archives with a reason.
ARCHIVES = (".tar.gz", ".tgz", ".tar", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".zip", ".7z", ".rar")


@dataclass(frozen=True, kw_only=True)
class Start:
    """The start of a job's training: a model in eval mode, its spec, and the configuration.

    An earlier artifact decides some hyperparameters of `config`. `source` says where the weights come from. `auxiliary` holds the second
    classifier for fine-tuning and the name of its layer; None if the backbone has none.
    """

    model: Classifier
    spec: ModelSpec
    config: Config
    source: str
    auxiliary: tuple[str, nn.Module] | None


def build_start(job: Job, config: Config, classes: Sequence[str]) -> Start:
    """Return the model to train; raises a UserError if its weights or artifact cannot be read or do not fit."""
    if "model" in job.channels:
        return _from_artifact(job, config, tuple(classes))
    backbone, features, preprocessing = build_backbone(config.backbone)
    auxiliary = _auxiliary(config, len(classes))
    source = "random numbers (weights=random)"
    if config.weights == "pretrained":
        channel = job.channels.get("pretrained")
        source = load_pretrained(backbone, config.backbone, channel, auxiliary and auxiliary[1])
    spec = ModelSpec(
        backbone=config.backbone,
        features=features,
        head_hidden=config.hidden,
        head_dropout=config.dropout,
        classes=tuple(classes),
        preprocessing=preprocessing,
    )
    return _start(backbone, _new_head(spec), spec, config, source, auxiliary)


def _from_artifact(job: Job, config: Config, classes: tuple[str, ...]) -> Start:
    """Start from the artifact in the channel `model`: from all of it for the same classes, else from its backbone."""
    with tempfile.TemporaryDirectory() as scratch:
        earlier, old = _load(job.channels["model"], Path(scratch))
    given = translated(job.hyperparameters).values
    if "backbone" in given and config.backbone != old.backbone:
        raise ConfigError(
            f"hyperparameter backbone is {config.backbone}, but the channel 'model' holds a {old.backbone}; leave it out"
        )
    config = dataclasses.replace(config, backbone=old.backbone)
    source = "the channel 'model', backbone and head"
    if classes == old.classes:
        if "hidden" in given and config.hidden != old.head_hidden:
            raise ConfigError(
                f"hyperparameter hidden is {config.hidden}, but the head in the channel 'model' has {old.head_hidden}; "
                "leave it out"
            )
        config = dataclasses.replace(config, hidden=old.head_hidden)
    else:
        source = (
            f"the channel 'model', its backbone only: it knows {len(old.classes)} classes, the photos have {len(classes)}"
            + (" with other names" if len(old.classes) == len(classes) else "")
        )
    spec = dataclasses.replace(
        old, head_hidden=config.hidden, head_dropout=config.dropout, classes=classes, temperature=1.0
    )
    head = _new_head(spec)
    if classes == old.classes:
        # Tensors are matched by their order: dropout counts as a layer, so their names may differ.
        head.load_state_dict(dict(zip(head.state_dict(), earlier.head.state_dict().values(), strict=True)))
    return _start(earlier.backbone, head, spec, config, source, _auxiliary(config, len(classes)))


def _start(
    backbone: nn.Module,
    head: nn.Module,
    spec: ModelSpec,
    config: Config,
    source: str,
    auxiliary: tuple[str, nn.Module] | None,
) -> Start:
    model = Classifier(backbone, head, spec.preprocessing, spec.temperature).eval().channels_last()
    return Start(model=model, spec=spec, config=config, source=source, auxiliary=auxiliary)


def _new_head(spec: ModelSpec) -> nn.Sequential:
    return build_head(spec.features, spec.head_hidden, spec.head_dropout, len(spec.classes))


def _auxiliary(config: Config, classes: int) -> tuple[str, nn.Module] | None:
    return build_auxiliary(config.backbone, classes) if config.finetune_epochs and config.auxiliary else None


def _load(channel: Path, scratch: Path) -> tuple[Classifier, ModelSpec]:
    """Return the model in a channel, which holds an artifact as files or, on SageMaker, as model.tar.gz."""
    if artifact.SPEC in [path.name for path in _visible(channel)]:
        return artifact.load(channel)
    archive = _archive(channel)
    unpack(archive, scratch)
    if not (scratch / artifact.SPEC).exists():
        if deeper := sorted(scratch.glob(f"*/{artifact.SPEC}")):
            name = one_line(deeper[0].parent.name)
            raise ArtifactError(
                f"{archive} holds the artifact one folder too deep, in {name}/; pack what is in that folder, as "
                f"`tar -czf model.tar.gz -C {name} .` does"
            )
        raise ArtifactError(
            f"{archive} holds {_names(_visible(scratch))}, but not {artifact.SPEC}; give the model.tar.gz of a job of this program"
        )
    try:
        return artifact.load(scratch)
    except ArtifactError as error:  # names the archive, because the folder is temporary
        raise ArtifactError(str(error).replace(str(scratch), str(archive))) from error


def _archive(channel: Path) -> Path:
    """Return the archive in a channel, recognised by its bytes or name; if there are several, the one called model.tar.gz."""
    archives = [
        path
        for path in _visible(channel)
        if path.is_file() and (path.name.casefold().endswith(ARCHIVES) or is_archive(path))
    ]
    models = [path for path in archives if path.name.casefold() == MODEL]
    if len(models) == 1 or len(archives) == 1:  # output.tar.gz may be beside model.tar.gz
        return (models or archives)[0]
    if archives:
        raise ArtifactError(
            f"the channel 'model' ({channel}) holds {len(archives)} archives ({_names(archives)}); leave one of them"
        )
    below = sorted(path for path in channel.rglob("*") if path.name.casefold() in (MODEL, artifact.SPEC))
    raise ArtifactError(
        f"the channel 'model' ({channel}) holds {_names(_visible(channel))}, but neither {artifact.SPEC} nor {MODEL}; "
        + (
            f"{below[0].relative_to(channel)} is further down: name its folder, {below[0].parent.relative_to(channel)}, as the "
            "channel"
            if below
            else "give the artifact of a job of this program"
        )
    )


def _names(paths: Sequence[Path]) -> str:
    return ", ".join(path.name for path in paths[:8]) + (", ..." if len(paths) > 8 else "") if paths else "nothing"


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not is_system(path.name)) if folder.is_dir() else []
