"""The settings of serving: from the command line and the environment, and values computed from them."""

import argparse
import itertools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from classifier.backends import CHOICES
from classifier.errors import ConfigError
from classifier.limits import MAX_PIXELS
from serve import environment as env
from serve.formats import ACCEPTS, accepted
from serve.memory import memory_limit

MB = 1024 * 1024
DEVICES = Path("/dev")  # the folder in which the container has a file for each of its GPUs
# The platform limits payload times concurrency of a batch transform job to 100 MB; by default its bodies have up to 6 MB.
BATCH_MB, DEFAULT_BATCH_MB = 100, 6
# Bytes of memory that one pixel can take while its photo is decoded: as RGBA, laid over white, and as RGB.
BYTES_A_PIXEL = 16
MEMORY_A_WORKER = 350 * MB  # memory planned for one process and its model; half of the memory is kept free


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of serving; sizes are in bytes, times in seconds."""

    host: str
    port: int
    model_dir: Path  # the artifact of an endpoint of one model
    models_dir: Path  # the folder of a multi-model endpoint, with a folder for each model
    multi_model: bool
    model_code: bool  # whether an artifact's own code may run
    program: str  # the file of an artifact's own code; empty means inference.py
    submit_directory: str  # the folder of an artifact's own code; empty means `code` in the artifact
    backend: str
    gpus: int  # how many GPUs may serve; with 0 the processor serves
    given_workers: int | None  # processes for each model; None lets `workers` choose
    given_batch_size: int  # photos in a pass; 0 lets `batch_size` choose
    cores: int
    top_k: int  # labels in an answer
    accept: str  # the form of an answer if the client names none
    timeout: int  # the longest time from a whole request to its answer
    max_body: int
    max_body_given: bool  # whether the platform or the user set max_body; otherwise it is hosting's limit
    sdk_transform: bool  # whether this is a batch transform job in the SDK's local mode
    queue: int  # requests that may wait for an answer
    memory: int  # the limit for all processes
    log_requests: str  # auto, on or off
    keep_worker_files: bool

    @property
    def workers(self) -> int:
        """The number of processes that answer for each model.

        By default one for each GPU, or without GPUs one for each core, but no more than the memory allows.
        """
        if self.given_workers is not None:
            return self.given_workers
        if self.multi_model:
            return 1
        return self.gpus or max(1, min(self.cores, self.memory // (2 * MEMORY_A_WORKER)))

    @property
    def threads(self) -> int:
        """The number of threads of each worker."""
        return 1 if self.multi_model else max(1, self.cores // self.workers)

    @property
    def decoders(self) -> int:
        """The number of photos that a worker decodes at a time. With a GPU all threads decode; otherwise the model needs them."""
        return self.threads if self.gpus else 1

    @property
    def batch_size(self) -> int:
        """The most requests that one pass of the model answers."""
        return self.given_batch_size or (16 if self.gpus else 1)

    @property
    def max_pixels(self) -> int:
        """The most pixels of a photo, so that half of the memory suffices for all photos that are decoded at a time."""
        return min(MAX_PIXELS, self.memory // (2 * self.workers * self.decoders * BYTES_A_PIXEL))

    @property
    def held(self) -> int:
        """The most bytes of requests' bodies that the front may hold at a time."""
        return max(2 * self.max_body, min(512 * MB, self.memory // 4))

    @property
    def payload_mb(self) -> int:
        """The largest body, in MB, that batch transform should send: the job's limit, else a size that lets every worker have a body."""
        most = max(1, min(self.max_body // MB, BATCH_MB))
        return most if self.max_body_given else min(most, max(DEFAULT_BATCH_MB, BATCH_MB // self.workers))

    @property
    def batch_strategy(self) -> str:
        """The way batch transform should split its input: one record at a time, in the spelling of the platform or of the SDK's local mode.

        Trap: local mode fails on the platform's spelling. It is recognized by SAGEMAKER_BATCH, since only local mode sets it to "True".
        """
        return "SingleRecord" if self.sdk_transform else "SINGLE_RECORD"

    @property
    def transforms(self) -> int:
        """The number of bodies that batch transform should send at a time."""
        return max(1, min(self.workers, BATCH_MB // self.payload_mb))


def read_settings(argv: Sequence[str] | None, environment: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings from the command line and the environment; raises ConfigError for a value that cannot be used."""
    base = Path(env.BASE_DIR.read(environment))
    options = _arguments(base, environment).parse_args(argv)
    for name, value in (("workers", options.workers), ("top-k", options.top_k)):
        if value is not None and value < 1:
            raise ConfigError(f"{name} {value} must be at least 1")
    if options.backend not in CHOICES:
        names = f"the environment variable {env.BACKEND.name}, or --backend,"
        raise ConfigError(f"{names} is {options.backend!r}; it must be one of {', '.join(CHOICES)}")
    accept, code = env.DEFAULT_ACCEPT.read(environment), env.ALLOW_MODEL_CODE.read(environment)
    if not code and accepted(accept) is None:
        raise ConfigError(
            f"{env.DEFAULT_ACCEPT.name} {accept!r} is not a form of an answer; use one of {', '.join(ACCEPTS)}"
        )
    max_body_mb = env.MAX_PAYLOAD_IN_MB.read(environment)
    return Settings(
        host=options.host,
        port=options.port,
        model_dir=options.model_dir,
        models_dir=base / "models",
        multi_model=env.MULTI_MODEL.read(environment),
        model_code=code,
        # The SDK's generic Model sets these two to a blank if it has no value for them.
        program=env.PROGRAM.read(environment).strip(),
        submit_directory=env.SUBMIT_DIRECTORY.read(environment).strip(),
        backend=options.backend,
        gpus=_gpus(environment),
        given_workers=options.workers,
        given_batch_size=options.batch_size,
        cores=len(os.sched_getaffinity(0)),
        top_k=options.top_k,
        accept=accept,
        timeout=_timeout(environment),
        # Hosting accepts 25 MB. Batch transform sets its own limit, where 0 means none.
        max_body=(25 if max_body_mb is None else max_body_mb or env.MAX_BODY_MB) * MB,
        max_body_given=max_body_mb is not None,
        sdk_transform=env.BATCH.text(environment) == "True",
        queue=max(1, env.JOB_QUEUE_SIZE.read(environment)),
        memory=env.MEMORY_MB.read(environment) * MB or memory_limit(),
        log_requests=env.REQUEST_LOG.read(environment),
        keep_worker_files=env.KEEP_WORKER_FILES.read(environment),
    )


def _arguments(base: Path, environment: Mapping[str, str]) -> argparse.ArgumentParser:
    """Return the parser of the command line; the environment gives the options' defaults."""
    parser = argparse.ArgumentParser(
        prog="serve",
        description="Serve a model artifact on /ping and /invocations.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"Environment variables; an option overrides its variable:\n\n{env.environment_table()}",
    )
    parser.add_argument("--model-dir", type=Path, default=base / "model", metavar="DIR", help="default: %(default)s")
    parser.add_argument("--host", default="0.0.0.0", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=env.BIND_TO_PORT.read(environment))
    parser.add_argument(
        "--workers",
        type=int,
        default=env.WORKERS.read(environment),
        help="processes that answer (default: one for each usable GPU, else one for each core if memory suffices)",
    )
    parser.add_argument(
        "--batch-size",
        type=int,
        default=env.BATCH_SIZE.read(environment),
        help="requests that one pass of the model answers (default: 1, on a GPU 16)",
    )
    parser.add_argument("--top-k", type=int, default=5, help="labels in an answer (default: %(default)s)")
    parser.add_argument("--backend", default=env.BACKEND.read(environment), help=", ".join(CHOICES))
    return parser


def _timeout(environment: Mapping[str, str]) -> int:
    """Return the seconds for an answer: a batch transform job waits up to an hour for one, an endpoint 60 s."""
    given = [env.TIMEOUT_SECONDS.read(environment), env.TIMEOUT.read(environment)]
    usual = 3600 if env.BATCH.read(environment) else 60
    return max(1, next((seconds for seconds in given if seconds is not None), usual))


def _gpus(environment: Mapping[str, str]) -> int:
    """Return how many of this container's NVIDIA GPUs may serve, without importing torch."""
    given = len(list(DEVICES.glob("nvidia[0-9]*")))
    visible = env.VISIBLE_GPUS.read(environment)
    return given if visible is None else min(given, len(visible_gpus(visible)))


def visible_gpus(visible: str) -> list[str]:
    """Return the GPUs, numbers or identifiers, that the variable CUDA_VISIBLE_DEVICES names.

    As in CUDA, everything after -1 or an empty name is ignored.
    """
    names = [name.strip() for name in visible.split(",")]
    return list(itertools.takewhile(lambda name: name not in ("", "-1", "NoDevFiles"), names))
