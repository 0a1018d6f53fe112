"""The number of workers on a host with GPUs, and the GPU of each; here a folder replaces /dev."""

import asyncio
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from serve.model_server import ModelServer
from serve.model_workers import ModelWorkers
from serve.settings import Settings, read_settings, visible_gpus

CORES = len(os.sched_getaffinity(0))


@pytest.fixture
def four_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    devices = tmp_path / "dev"
    devices.mkdir()
    for name in ("nvidia0", "nvidia1", "nvidia2", "nvidia3", "nvidiactl", "nvidia-uvm"):
        (devices / name).touch()
    monkeypatch.setattr("serve.settings.DEVICES", devices)


def settings(**variables: str) -> Settings:
    return read_settings([], variables)


@pytest.mark.usefixtures("four_gpus")
def test_on_gpus_there_is_a_worker_for_each_whose_threads_decode() -> None:
    ours = settings(BYOC_MEMORY_MB="64000")
    assert (ours.gpus, ours.workers, ours.batch_size) == (4, 4, 16)
    assert ours.threads == ours.decoders == max(1, CORES // 4)


@pytest.mark.usefixtures("four_gpus")
def test_where_the_processor_serves_on_a_host_with_gpus_it_does_so_as_on_any_other() -> None:
    ours = replace(settings(BYOC_MEMORY_MB="64000"), gpus=0)
    assert (ours.workers, ours.threads, ours.decoders, ours.batch_size) == (CORES, 1, 1, 1)
    given_numbers = replace(settings(SAGEMAKER_MODEL_SERVER_WORKERS="3", BYOC_BATCH_SIZE="5"), gpus=0)
    assert (given_numbers.workers, given_numbers.batch_size) == (3, 5)


def test_photos_that_are_decoded_at_a_time_share_the_memory() -> None:
    ours = settings(BYOC_MEMORY_MB="320", SAGEMAKER_MODEL_SERVER_WORKERS="1")
    beside = replace(ours, gpus=1, cores=4)
    assert beside.decoders == 4
    assert beside.max_pixels == replace(ours, gpus=0, cores=4).max_pixels // 4


@pytest.mark.usefixtures("four_gpus")
@pytest.mark.parametrize(
    ("visible", "gpus"),
    [("2,3", 2), ("GPU-8932f937", 1), ("", 0), ("-1", 0), ("1,-1,2", 1), ("NoDevFiles", 0), ("0,1,2,3,4,5", 4)],
)
def test_gpus_that_a_user_keeps_from_us_are_not_counted(visible: str, gpus: int) -> None:
    assert settings(CUDA_VISIBLE_DEVICES=visible).gpus == gpus


def test_the_second_worker_gets_the_second_of_the_gpus_that_a_user_names() -> None:
    assert visible_gpus("2, GPU-8932f937 ,0")[1] == "GPU-8932f937"


@pytest.mark.slow
def test_a_gpu_that_cannot_be_used_leaves_a_worker_a_core_with_a_photo_a_pass(
    plain_model: Path, tmp_path: Path
) -> None:
    given = replace(settings(BYOC_MEMORY_MB="64000", BYOC_BACKEND="torch"), gpus=1)

    async def started(server: ModelServer) -> ModelWorkers:
        async with server.connected():
            served = ModelWorkers("m", plain_model, server, given)
            await served.start()
            return served

    server = ModelServer(tmp_path, given)
    server.start()
    try:
        served = asyncio.run(started(server))
    finally:
        server.stop()
    # Without number_of_gpu, the model server would also count GPUs that CUDA_VISIBLE_DEVICES hides from us.
    assert "number_of_gpu=1\n" in (tmp_path / "config.properties").read_text()
    assert (given.workers, given.batch_size) == (1, 16)
    assert (served.settings.workers, served.settings.batch_size) == (CORES, 1)
    written = json.loads((tmp_path / "store" / "m" / "settings.json").read_text())
    assert (written["threads"], written["decoders"]) == (1, 1)
