"""What the serving program is told: by its arguments and by the platform's environment variables, read here and nowhere else."""

import argparse
import itertools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from classifier.errors import ConfigError
from classifier.limits import MAX_PIXELS
from serve.backends import AUTO, BACKENDS
from serve.formats import accepted
from serve.memory import memory_limit

MB = 1024 * 1024
WORKERS = "SAGEMAKER_MODEL_SERVER_WORKERS"
DEVICES = Path("/dev")
# Batch transform sends at most so many MB at a time, payload times concurrency, and by itself bodies of up to 6 MB.
BATCH_MB, DEFAULT_BATCH_MB = 100, 6
MAX_BODY_MB = 2000  # asynchronous inference takes up to 1 GB
# Bytes of memory that one decoded pixel can cost on its way to the model's input: RGBA laid over white, then RGB.
BYTES_A_PIXEL = 16
MEMORY_A_WORKER = 350 * MB
_YES, _NO = ("true", "yes", "on", "1", "y", "t"), ("", "false", "no", "off", "0", "n", "f")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to serve; sizes in bytes, times in seconds."""

    host: str
    port: int
    model_dir: Path  # of one model
    models_dir: Path  # of many, each below a folder of its own name
    multi_model: bool
    model_code: bool
    program: str  # of the artifact's code; empty: inference.py
    submit_directory: str
    backend: str
    gpus: int  # that may serve; 0 where the processor does
    workers_told: int | None  # for each model; None: chosen here
    batch_told: int  # 0: chosen here
    cores: int
    top_k: int
    accept: str
    timeout: int
    max_body: int
    max_body_told: bool  # else it is hosting's
    sdk_transform: bool  # batch transform in the SDK's local mode
    queue: int
    memory: int
    log_requests: str

    @property
    def workers(self) -> int:
        """Return how many processes answer for each model: one a GPU, since each holds the model; else one a core that has memory."""
        if self.workers_told is not None:
            return self.workers_told
        if self.multi_model:
            return 1
        return self.gpus or max(1, min(self.cores, self.memory // (2 * MEMORY_A_WORKER)))

    @property
    def threads(self) -> int:
        """Return how many threads each worker has."""
        return 1 if self.multi_model else max(1, self.cores // self.workers)

    @property
    def decoders(self) -> int:
        """Return how many photos a worker decodes at a time: beside a GPU it has all threads for that, else the model has them."""
        return self.threads if self.gpus else 1

    @property
    def batch_size(self) -> int:
        """Return how many requests one pass of the model answers."""
        return self.batch_told or (16 if self.gpus else 1)

    @property
    def max_pixels(self) -> int:
        """Return how many pixels a photo may have, so that every worker can decode as many at a time as it does."""
        return min(MAX_PIXELS, self.memory // (2 * self.workers * self.decoders * BYTES_A_PIXEL))

    @property
    def held(self) -> int:
        """Return how many bytes of requests may be held at a time."""
        return max(2 * self.max_body, min(512 * MB, self.memory // 4))

    @property
    def payload_mb(self) -> int:
        """Return the largest body in MB that batch transform should send: what it said itself, else as every worker can have one."""
        most = max(1, min(self.max_body // MB, BATCH_MB))
        return most if self.max_body_told else min(most, max(DEFAULT_BATCH_MB, BATCH_MB // self.workers))

    @property
    def batch_strategy(self) -> str:
        """Return how batch transform should cut its input: one record at a time, in the words of who asks.

        Trap: the SDK's local mode takes only its own word, and fails on the platform's; it alone writes "True".
        """
        return "SingleRecord" if self.sdk_transform else "SINGLE_RECORD"

    @property
    def transforms(self) -> int:
        """Return how many bodies batch transform should send at a time."""
        return max(1, min(self.workers, BATCH_MB // self.payload_mb))


def read_settings(argv: Sequence[str] | None, environment: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings; raises ConfigError for a value that cannot be used."""
    base = Path(environment.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
    batch = _flag(environment, "SAGEMAKER_BATCH")
    multi_model = _flag(environment, "SAGEMAKER_MULTI_MODEL")
    memory = _number(environment, "BYOC_MEMORY_MB", 0, most=1 << 30) * MB or memory_limit()
    parser = argparse.ArgumentParser(prog="serve", description="Serve a model artifact on /ping and /invocations.")
    parser.add_argument("--model-dir", type=Path, default=base / "model", metavar="DIR", help="default: %(default)s")
    parser.add_argument("--host", default="0.0.0.0", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=_number(environment, "SAGEMAKER_BIND_TO_PORT", 8080, most=65535))
    parser.add_argument(
        "--workers",
        type=int,
        default=_number(environment, WORKERS, 0, most=1024) if environment.get(WORKERS, "").strip() else None,
        help="processes that answer (default: one a GPU that can be used, else one a core where memory suffices)",
    )
    parser.add_argument(
        "--batch-size",
        type=int,
        default=_number(environment, "BYOC_BATCH_SIZE", 0, most=1024),
        help="requests that one pass of the model answers (default: 1, on a GPU 16)",
    )
    parser.add_argument("--top-k", type=int, default=5, help="labels in an answer (default: %(default)s)")
    parser.add_argument("--backend", default=environment.get("BYOC_BACKEND", AUTO), help=", ".join((AUTO, *BACKENDS)))
    options = parser.parse_args(argv)
    for name, value in (("workers", options.workers), ("top-k", options.top_k)):
        if value is not None and value < 1:
            raise ConfigError(f"{name} {value} must be at least 1")
    if options.backend not in (AUTO, *BACKENDS):
        raise ConfigError(f"backend {options.backend!r} is none of {', '.join((AUTO, *BACKENDS))}")
    accept = environment.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", "application/json")
    code = _flag(environment, "ALLOW_MODEL_CODE")
    if not code and accepted(accept) is None:
        raise ConfigError(f"SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT {accept!r} is no form of an answer")
    # A batch transform job may wait up to an hour for an answer; an endpoint for 60 s.
    timeout = _number(environment, "SAGEMAKER_MODEL_SERVER_TIMEOUT", 3600 if batch else 60)
    return Settings(
        host=options.host,
        port=options.port,
        model_dir=options.model_dir,
        models_dir=base / "models",
        multi_model=multi_model,
        model_code=code,
        # Empty where the SDK's generic Model has nothing to say.
        program=environment.get("SAGEMAKER_PROGRAM", "").strip(),
        submit_directory=environment.get("SAGEMAKER_SUBMIT_DIRECTORY", "").strip(),
        backend=options.backend,
        gpus=_gpus(environment),
        workers_told=options.workers,
        batch_told=options.batch_size,
        cores=len(os.sched_getaffinity(0)),
        top_k=options.top_k,
        accept=accept,
        timeout=max(1, _number(environment, "SAGEMAKER_MODEL_SERVER_TIMEOUT_SECONDS", timeout)),
        # 25 MB is what hosting accepts; batch transform says its own limit, where 0 means none.
        max_body=(_number(environment, "SAGEMAKER_MAX_PAYLOAD_IN_MB", 25, most=MAX_BODY_MB) or MAX_BODY_MB) * MB,
        max_body_told=bool(environment.get("SAGEMAKER_MAX_PAYLOAD_IN_MB", "").strip()),
        sdk_transform=environment.get("SAGEMAKER_BATCH") == "True",
        queue=max(1, _number(environment, "MMS_JOB_QUEUE_SIZE", 100)),
        memory=memory,
        log_requests=_switch(environment, "BYOC_REQUEST_LOG"),
    )


def _gpus(environment: Mapping[str, str]) -> int:
    """Return how many NVIDIA GPUs this container was given, without importing torch; of them those in CUDA_VISIBLE_DEVICES."""
    given = len(list(DEVICES.glob("nvidia[0-9]*")))
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    return given if visible is None else min(given, len(visible_gpus(visible)))


def visible_gpus(visible: str) -> list[str]:
    """Return the GPUs that CUDA_VISIBLE_DEVICES names, by number or identifier; CUDA ignores what follows -1 or an empty name."""
    names = [name.strip() for name in visible.split(",")]
    return list(itertools.takewhile(lambda name: name not in ("", "-1", "NoDevFiles"), names))


def _number(environment: Mapping[str, str], name: str, default: int, *, most: int = 1_000_000) -> int:
    text = environment.get(name, "").strip()
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or int(text) > most:
        raise ConfigError(f"the environment variable {name} is {text!r}; it must be a whole number from 0 to {most:,}")
    return int(text)


def _flag(environment: Mapping[str, str], name: str) -> bool:
    text = environment.get(name, "").strip().lower()
    if text not in (*_YES, *_NO):
        raise ConfigError(
            f"the environment variable {name} is {text!r}; it must be true or false, yes or no, on or off, 1 or 0"
        )
    return text in _YES


def _switch(environment: Mapping[str, str], name: str) -> str:
    text = environment.get(name, "").strip().lower() or "auto"
    text = "on" if text in _YES else "off" if text in _NO else text
    if text not in ("auto", "on", "off"):
        raise ConfigError(f"the environment variable {name} is {text!r}; it must be one of auto, on, off")
    return text
