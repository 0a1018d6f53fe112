"""The settings that the serving program makes from its arguments and from the platform's environment variables."""

import os
from pathlib import Path
from typing import Any

import pytest

from classifier.errors import ConfigError
from serve.settings import MB, Settings, read_settings

WORKERS, BATCH, PAYLOAD = "SAGEMAKER_MODEL_SERVER_WORKERS", "SAGEMAKER_BATCH", "SAGEMAKER_MAX_PAYLOAD_IN_MB"
TIMEOUT, TIMEOUT_SECONDS = "SAGEMAKER_MODEL_SERVER_TIMEOUT", "SAGEMAKER_MODEL_SERVER_TIMEOUT_SECONDS"
on_cpu = pytest.mark.skipif(bool(list(Path("/dev").glob("nvidia[0-9]*"))), reason="a GPU changes the defaults")


def settings(*arguments: str, **variables: str) -> Settings:
    return read_settings(arguments, variables)


@pytest.mark.parametrize(
    ("variables", "seconds"),
    [
        ({}, 60),
        ({BATCH: "false"}, 60),
        ({BATCH: "true"}, 3600),
        ({BATCH: "True"}, 3600),  # as the SDK's local mode writes it
        ({BATCH: "true", TIMEOUT: "90"}, 90),
        ({TIMEOUT: "90"}, 90),
        ({TIMEOUT: "90", TIMEOUT_SECONDS: "30"}, 30),
        ({BATCH: "true", TIMEOUT_SECONDS: "30"}, 30),
        ({TIMEOUT_SECONDS: "0"}, 1),
    ],
)
def test_an_endpoint_waits_a_minute_for_an_answer_and_batch_transform_an_hour(
    variables: dict[str, str], seconds: int
) -> None:
    assert settings(**variables).timeout == seconds


@on_cpu
def test_without_a_word_an_endpoint_of_one_model_is_served() -> None:
    ours = settings()
    assert (ours.host, ours.port, ours.model_dir) == ("0.0.0.0", 8080, Path("/opt/ml/model"))
    assert (ours.models_dir, ours.multi_model, ours.model_code) == (Path("/opt/ml/models"), False, False)
    assert (ours.backend, ours.top_k, ours.batch_size, ours.accept) == ("auto", 5, 1, "application/json")
    assert (ours.max_body, ours.max_body_given, ours.queue, ours.log_requests) == (25 * MB, False, 100, "auto")
    assert (ours.program, ours.submit_directory, ours.sdk_transform) == ("", "", False)
    assert ours.batch_strategy == "SINGLE_RECORD"


@pytest.mark.parametrize(
    ("variables", "field", "value"),
    [
        ({"SAGEMAKER_BIND_TO_PORT": "8081"}, "port", 8081),
        ({"SAGEMAKER_BIND_TO_PORT": "65535"}, "port", 65535),
        ({"SAGEMAKER_BIND_TO_PORT": " "}, "port", 8080),
        ({"SAGEMAKER_BASE_DIR": "/base"}, "model_dir", Path("/base/model")),
        ({"SAGEMAKER_BASE_DIR": "/base"}, "models_dir", Path("/base/models")),
        ({"SAGEMAKER_MULTI_MODEL": "true"}, "multi_model", True),
        ({"SAGEMAKER_MULTI_MODEL": "true"}, "workers", 1),
        ({"SAGEMAKER_MULTI_MODEL": "true", WORKERS: "2"}, "workers", 2),
        ({"SAGEMAKER_MULTI_MODEL": "true", WORKERS: "2"}, "threads", 1),
        ({"ALLOW_MODEL_CODE": "TRUE"}, "model_code", True),
        ({"ALLOW_MODEL_CODE": "true", "SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT": "a/b"}, "accept", "a/b"),
        ({"SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT": "text/csv"}, "accept", "text/csv"),
        ({"SAGEMAKER_PROGRAM": " a.py "}, "program", "a.py"),
        ({"SAGEMAKER_SUBMIT_DIRECTORY": " s3://a "}, "submit_directory", "s3://a"),
        ({"BYOC_BACKEND": "torch"}, "backend", "torch"),
        ({"BYOC_BATCH_SIZE": "3"}, "batch_size", 3),
        ({"BYOC_REQUEST_LOG": "off"}, "log_requests", "off"),
        ({"BYOC_MEMORY_MB": "700"}, "memory", 700 * MB),
        ({"BYOC_KEEP_WORKER_FILES": "1"}, "keep_worker_files", True),
        ({}, "keep_worker_files", False),
        ({"MMS_JOB_QUEUE_SIZE": "7"}, "queue", 7),
        ({"MMS_JOB_QUEUE_SIZE": "0"}, "queue", 1),
        ({PAYLOAD: "7"}, "max_body", 7 * MB),
        ({PAYLOAD: "7"}, "max_body_given", True),
        ({PAYLOAD: " "}, "max_body_given", False),
        ({PAYLOAD: "0"}, "max_body", 2000 * MB),
        ({PAYLOAD: "2000"}, "max_body", 2000 * MB),
        ({BATCH: "true"}, "batch_strategy", "SINGLE_RECORD"),
        ({BATCH: "True"}, "batch_strategy", "SingleRecord"),
    ],
)
def test_each_environment_variable_sets_its_setting(variables: dict[str, str], field: str, value: Any) -> None:
    assert getattr(settings(**variables), field) == value


@pytest.mark.parametrize(
    ("name", "field"),
    [("ALLOW_MODEL_CODE", "model_code"), ("SAGEMAKER_MULTI_MODEL", "multi_model")],
)
def test_the_usual_spellings_of_yes_and_no_are_understood(name: str, field: str) -> None:
    for value in ("true", "True", "yes", "on", "1", " 1 ", "Y", "t"):
        assert getattr(settings(**{name: value}), field) is True, value
    for value in ("false", "False", "no", "off", "0", "", " ", "N", "f"):
        assert getattr(settings(**{name: value}), field) is False, value
    assert settings(**{BATCH: "1"}).timeout == 3600
    assert settings(**{BATCH: "0"}).timeout == 60
    assert settings(BYOC_REQUEST_LOG="true").log_requests == "on"
    assert settings(BYOC_REQUEST_LOG="0").log_requests == "off"


def test_arguments_come_before_environment_variables() -> None:
    variables = {"SAGEMAKER_BIND_TO_PORT": "1", WORKERS: "1", "BYOC_BATCH_SIZE": "1", "BYOC_BACKEND": "torch"}
    given = [
        "--port",
        "2",
        "--workers",
        "3",
        "--batch-size",
        "4",
        "--backend",
        "openvino",
        "--top-k",
        "6",
        "--host",
        "::1",
        "--model-dir",
        "m",
    ]
    ours = settings(*given, **variables)
    assert (ours.port, ours.workers, ours.batch_size, ours.backend) == (2, 3, 4, "openvino")
    assert (ours.top_k, ours.host, ours.model_dir) == (6, "::1", Path("m"))


@on_cpu
@pytest.mark.parametrize(("memory", "most"), [(1, 1), (1399, 1), (1400, 2), (2099, 2), (2100, 3), (1_000_000, 1024)])
def test_a_worker_a_core_is_started_where_each_has_700_mb(memory: int, most: int) -> None:
    cores = len(os.sched_getaffinity(0))
    ours = settings(BYOC_MEMORY_MB=str(memory))
    assert ours.workers == min(cores, most)
    assert ours.threads == max(1, cores // ours.workers)


def test_workers_share_the_cores() -> None:
    cores = len(os.sched_getaffinity(0))
    assert [settings(**{WORKERS: str(count)}).threads for count in (1, cores, cores + 1)] == [cores, 1, 1]


@pytest.mark.parametrize(
    ("memory", "workers", "pixels"),
    [(320, 1, 10 * MB), (320, 2, 5 * MB), (64, 1, 2 * MB), (1_000_000, 1, 120_000_000)],
)
def test_memory_and_workers_limit_the_pixels_of_a_photo(memory: int, workers: int, pixels: int) -> None:
    # A photo may take half of a worker's memory, at 16 bytes per pixel.
    assert settings(BYOC_MEMORY_MB=str(memory), **{WORKERS: str(workers)}).max_pixels == pixels


@pytest.mark.parametrize(
    ("memory", "payload", "held"), [(1000, 25, 250), (100, 25, 50), (10_000, 25, 512), (10_000, 300, 600)]
)
def test_a_quarter_of_the_memory_holds_requests_but_at_least_two_and_at_most_512_mb(
    memory: int, payload: int, held: int
) -> None:
    assert settings(BYOC_MEMORY_MB=str(memory), **{PAYLOAD: str(payload)}).held == held * MB


@pytest.mark.parametrize(
    ("variables", "payload", "transforms"),
    [
        ({WORKERS: "1"}, 25, 1),  # hosting's limit of a body
        ({WORKERS: "4"}, 25, 4),
        ({WORKERS: "5"}, 20, 5),
        ({WORKERS: "16"}, 6, 16),
        ({WORKERS: "17"}, 6, 16),
        ({WORKERS: "4", PAYLOAD: "50"}, 50, 2),
        ({WORKERS: "4", PAYLOAD: "0"}, 100, 1),
    ],
)
def test_batch_transform_gets_the_size_that_every_worker_can_have(
    variables: dict[str, str], payload: int, transforms: int
) -> None:
    assert (settings(**variables).payload_mb, settings(**variables).transforms) == (payload, transforms)


@pytest.mark.parametrize(
    ("name", "value", "range_"),
    [
        ("SAGEMAKER_BIND_TO_PORT", "65536", "a whole number from 0 to 65,535"),
        (WORKERS, "1025", "a whole number from 0 to 1,024"),
        (WORKERS, "-1", "a whole number from 0 to 1,024"),
        (WORKERS, "\u0661", "a whole number from 0 to 1,024"),
        ("BYOC_BATCH_SIZE", "1025", "a whole number from 0 to 1,024"),
        (PAYLOAD, "2001", "a whole number from 0 to 2,000"),
        (TIMEOUT, "1000001", "a whole number from 0 to 1,000,000"),
        (TIMEOUT_SECONDS, "1.5", "a whole number from 0 to 1,000,000"),
        ("MMS_JOB_QUEUE_SIZE", "1000001", "a whole number from 0 to 1,000,000"),
        (BATCH, "2", "true or false, yes or no, on or off, 1 or 0"),
        ("ALLOW_MODEL_CODE", "maybe", "true or false, yes or no, on or off, 1 or 0"),
        ("BYOC_REQUEST_LOG", "all", "one of auto, on, off"),
    ],
)
def test_a_value_out_of_its_range_is_refused_with_the_variables_name(name: str, value: str, range_: str) -> None:
    with pytest.raises(ConfigError) as refused:
        settings(**{name: value})
    assert str(refused.value) == f"the environment variable {name} is {value!r}; it must be {range_}"


@pytest.mark.parametrize("name", ["workers", "top-k"])
def test_no_worker_and_no_label_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"^{name} 0 must be at least 1$"):
        settings(f"--{name}", "0")
    settings(f"--{name}", "1")
