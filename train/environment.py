"""Every environment variable of training in one place: its type, default and meaning. Only this module reads the environment.

docs/training-environment.md holds the output of table(). Imports no torch.
"""

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from classifier.errors import ConfigError
from classifier.near_names import near_names

T = TypeVar("T")
TEXT, PATH, NUMBER, SECONDS, PRESENCE = "text", "a path", "a whole number", "a number of seconds above 0", "set or not"


@dataclass(frozen=True, kw_only=True)
class Variable(Generic[T]):
    """One environment variable; `cast` makes its value from its text and raises ValueError for text of another type."""

    name: str
    type: str
    cast: Callable[[str], T]
    default: T
    set_by: str
    sentence: str

    def read(self) -> T:
        """Return its present value, or the default if it is not set; raises ConfigError for text of another type."""
        text = os.environ.get(self.name)
        if text is None:
            return self.default
        try:
            return self.cast(text)
        except ValueError:
            raise ConfigError(f"the environment variable {self.name} is {text!r}; it must be {self.type}") from None

    def set(self, text: str) -> None:
        """Set it for this process and those that it starts."""
        os.environ[self.name] = text

    def set_default(self, text: str) -> None:
        """Set it unless it is set already."""
        os.environ.setdefault(self.name, text)


YOU, IMAGE, PLATFORM, TORCHRUN, TRAINING = "you", "an image on top", "the platform", "torchrun", "training"


def _text(name: str, set_by: str, sentence: str) -> Variable[str]:
    return Variable(name=name, type=TEXT, cast=str, default="", set_by=set_by, sentence=sentence)


def _number(name: str, default: int, set_by: str, sentence: str) -> Variable[int]:
    return Variable(name=name, type=NUMBER, cast=int, default=default, set_by=set_by, sentence=sentence)


def _seconds(name: str, default: float, sentence: str) -> Variable[float]:
    return Variable(name=name, type=SECONDS, cast=_above_0, default=default, set_by=YOU, sentence=sentence)


def _presence(name: str, set_by: str, sentence: str) -> Variable[bool]:
    return Variable(name=name, type=PRESENCE, cast=lambda text: True, default=False, set_by=set_by, sentence=sentence)


def _above_0(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < threading.TIMEOUT_MAX:  # also refuses nan
        raise ValueError(text)
    return seconds


BASE = Variable(
    name="SAGEMAKER_BASE_DIR",
    type=PATH,
    cast=Path,
    default=Path("/opt/ml"),
    set_by=YOU,
    sentence="The folder that replaces `/opt/ml`.",
)
HOSTS_DEADLINE = _seconds("BYOC_HOSTS_DEADLINE", 60.0, "How long a job waits for the addresses of all its hosts.")
PIPE_DEADLINE = _seconds(
    "BYOC_PIPE_DEADLINE", 600.0, "How long a channel in Pipe mode may send no byte before the job fails."
)
CXX = Variable(
    name="CXX",
    type=TEXT,
    cast=lambda text: text or "g++",
    default="g++",
    set_by=YOU,
    sentence="The C++ compiler for the hyperparameter `compile`; `clang++` is used if this one is not installed.",
)
MASTER_PORT = _number("MASTER_PORT", 29500, YOU, "The port of the first host at which the processes of all hosts meet.")
CODE_ARTIFACT = _text(
    "CA_REPOSITORY_ARN", YOU, "The CodeArtifact repository from which pip installs what a script needs."
)
PROGRAM = _text("SAGEMAKER_PROGRAM", IMAGE, "Your script, which runs instead of the image's own program.")
SUBMIT_DIRECTORY = _text("SAGEMAKER_SUBMIT_DIRECTORY", IMAGE, "Your code: a folder, a `.tar.gz` or an S3 address.")
TRAINING_MODULE = _text(
    "SAGEMAKER_TRAINING_MODULE", IMAGE, "Your function that runs, written as `package.module:function`."
)
WARM_POOL = Variable(
    name="SAGEMAKER_MANAGED_WARMPOOL_CACHE_DIRECTORY",  # AWS's guide, train-warm-pools
    type=PATH,
    cast=lambda text: Path(text) if text else None,
    default=None,
    set_by=PLATFORM,
    sentence="The folder that a warm pool keeps for its next job; the photos' features are kept there.",
)
SMDEBUG_CONFIG = _presence(
    "SMDEBUG_CONFIG_FILE_PATH",
    PLATFORM,
    "The file that configures smdebug in a script; without it, training sets the job's configuration, or makes one.",
)
TORCHRUN_ID = _presence("TORCHELASTIC_RUN_ID", TORCHRUN, "Whether this process is one of several of the job.")
RANK = _number("RANK", 0, TORCHRUN, "This process's number in the job.")
WORLD_SIZE = _number("WORLD_SIZE", 1, TORCHRUN, "How many processes the job has.")
LOCAL_RANK = _number("LOCAL_RANK", 0, TORCHRUN, "This process's number on its host; it uses the GPU with this number.")
LOCAL_WORLD_SIZE = _number("LOCAL_WORLD_SIZE", 1, TORCHRUN, "How many processes share the cores of this host.")
OMP_NUM_THREADS = Variable(
    name="OMP_NUM_THREADS",
    type=NUMBER,
    cast=lambda text: int(text.split(",")[0]),  # OpenMP takes a list too, a number for each level of nesting
    default=0,
    set_by=YOU,
    sentence="The most threads that the only process of a host uses, 0 for one for each core. `byoc tune` sets it for trials "
    "that run side by side. The value that torchrun sets for several processes is ignored.",
)
DISCARD_MODEL = _presence(
    "BYOC_DISCARD_MODEL",
    YOU,
    "Nobody will serve the model: the artifact lacks `guard.safetensors` and the model for OpenVINO, which take seconds to make. "
    "`byoc tune` sets it for its trials, whose models it removes.",
)
MASTER_ADDR = _text("MASTER_ADDR", TORCHRUN, "The address of the first host, where the processes meet.")
SCRIPT = _text(
    "BYOC_SCRIPT", TRAINING, "The script below which this process runs; such a process may not call `train`."
)
PIPE_SPOOL = Variable(
    name="BYOC_PIPE_SPOOL",
    type=PATH,
    cast=Path,
    default=Path(),
    set_by=TRAINING,
    sentence="The folder in which the first process of a host has put the photos that came through pipes.",
)
GLOO_INTERFACE = _text("GLOO_SOCKET_IFNAME", TRAINING, "gloo's network interface, which resourceconfig.json names.")
NCCL_INTERFACE = _text("NCCL_SOCKET_IFNAME", TRAINING, "NCCL's network interface, which resourceconfig.json names.")
PYTHONPATH = _text(
    "PYTHONPATH", TRAINING, "The folders in which a script finds its own modules and the packages of the image."
)
SMDEBUG_LOG = _text("SMDEBUG_LOG_LEVEL", TRAINING, "Unless it is set: keeps smdebug's own lines out of the log.")
SMDEBUG_PROFILER = _text("SMPROFILER_CONFIG_PATH", TRAINING, "Unless it is set: keeps smdebug's profiler off.")
SMDEBUG_CHECKPOINTS = _text(
    "CHECKPOINT_CONFIG_FILE_PATH",
    TRAINING,
    "Unless it is set: keeps smdebug from listing all checkpoints in each step.",
)
VARIABLES: "list[Variable[Any]]" = [value for value in list(globals().values()) if isinstance(value, Variable)]


def misspelt() -> list[str]:
    """Return a sentence for each variable of the environment whose name is probably one of these, misspelt."""
    return near_names(os.environ, [variable.name for variable in VARIABLES])


def for_child(changes: Mapping[str, str], *, defaults: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment for a child: with `changes`, and with `defaults` for variables that are not set."""
    return {**defaults, **os.environ, **changes}


def table() -> str:
    """Return all variables as a Markdown table."""
    rows = ["| variable | type | default | set by | meaning |", "| --- | --- | --- | --- | --- |"]
    for variable in VARIABLES:
        default = variable.default
        shown = f"{default:g}" if isinstance(default, float) else str(default)
        shown = "" if default is False or default in (None, "", Path()) else f"`{shown}`"
        rows.append(f"| `{variable.name}` | {variable.type} | {shown} | {variable.set_by} | {variable.sentence} |")
    return "\n".join(rows)


if __name__ == "__main__":
    print(table(), flush=True)
