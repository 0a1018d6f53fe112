"""Chooses the S3 address of a training job's checkpoints: below its own name, or that of an earlier job (`--resume`).

The training program refuses a checkpoint that was written with other hyperparameters. It would do so only after the instance has started to
cost money, so the two jobs are compared here, before anything is sent.
"""

from collections.abc import Mapping
from typing import Any

from classifier.errors import ConfigError
from launch.aws.errors import AwsError
from launch.aws.jobs import kinds
from launch.aws.session import Session
from train.config import FREE, parse

# If the job has a `model` channel, the training program takes these from that model and ignores the job's values.
OF_MODEL = ("backbone", "hidden")


def checkpoints(session: Session, resume: str, hyperparameters: Mapping[str, str]) -> str:
    """Return the S3 address of the checkpoints of the earlier job `resume`.

    Raises AwsError if there is no such job. Raises ConfigError if the earlier job still runs, has kept no checkpoints, or trained with
    other hyperparameters.
    """
    kind = kinds.KINDS["training"]
    try:
        answer = kinds.describe(session, "training", resume)
    except AwsError as error:
        if kinds.is_missing(error):
            text = f"--resume {resume}: there is no such training job; byoc jobs lists the jobs"
            raise AwsError(text, error.code) from None
        raise
    if kinds.state(kind, answer) not in kind.ends:
        raise ConfigError(
            f"--resume {resume}: the job still runs, and both jobs would write to the same place; stop it first"
        )
    uri = (answer.get("CheckpointConfig") or {}).get("S3Uri")
    if not uri:
        raise ConfigError(f"--resume {resume}: the job has kept no checkpoints")
    _check_same(resume, answer, hyperparameters)
    return str(uri)


def _check_same(resume: str, answer: Mapping[str, Any], hyperparameters: Mapping[str, str]) -> None:
    """Raise ConfigError if hyperparameters of the new job differ from those of a described earlier job. The error names all of them."""
    try:
        then = parse(answer.get("HyperParameters") or {}).to_json()
    except ConfigError as error:
        raise ConfigError(
            f"--resume {resume}: this version of byoc refuses the job's hyperparameters: {error}"
        ) from None
    now = parse(hyperparameters).to_json()
    channels = {channel["ChannelName"] for channel in answer.get("InputDataConfig") or []}
    ignored = (*FREE, *(OF_MODEL if "model" in channels else ()))
    differ = [name for name in then if name not in ignored and then[name] != now[name]]
    if differ:
        trained = ", ".join(f"{name} {_text(then[name])}" for name in differ)
        wanted = ", ".join(f"{name} {_text(now[name])}" for name in differ)
        remedy = " ".join(f"--set {name}={_text(then[name])}" for name in differ)
        raise ConfigError(
            f"--resume {resume}: the job trained with {trained}, and the new job would train with {wanted}; "
            f"training continues a checkpoint only with the same hyperparameters: pass {remedy}, or leave --resume out "
            "to train from the start"
        )


def _text(value: object) -> str:
    """Return a hyperparameter's value in the form that --set takes."""
    if isinstance(value, bool):
        return str(int(value))
    return (",".join(map(str, value)) or "none") if isinstance(value, tuple | list) else str(value)
