"""Serving while something is missing: write permission, the root user, memory, network, the model itself."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from local_test.contract import images
from local_test.contract.clause import HOSTING, OWN, SERVERLESS, clause
from local_test.contract.conditions import ISOLATED, Conditions
from local_test.contract.job import model_files
from local_test.contract.platforms import Endpoint, Platform

Seen = Callable[[str], None]
GIVE_UP = 30  # seconds until a server must have ended if its model cannot be served


def answers(endpoint: Endpoint, photo: bytes, seen: Seen) -> None:
    """Check that the endpoint becomes ready and answers a photo."""
    ready = endpoint.wait_ready()
    answer = endpoint.invoke(photo, "image/jpeg")
    seen(f"ready after {ready:.1f} s, a photo {answer.brief()}")
    assert answer.status == 200


@clause("serves as an ordinary user who may write only below /tmp, as on a serverless endpoint", SERVERLESS)
def test_serves_without_write_permission(platform: Platform, model: Path, photo: bytes, seen: Seen) -> None:
    options = ("--read-only", "--tmpfs", "/tmp", "--user", "12345:12345")
    with platform.endpoint(model, Conditions(options=options)) as endpoint:
        answers(endpoint, photo, seen)


@clause("serves with 1 GB of memory, as on the smallest serverless endpoint", SERVERLESS)
def test_serves_with_1_gb_of_memory(platform: Platform, model: Path, photo: bytes, seen: Seen) -> None:
    with platform.endpoint(model, Conditions(memory=1024)) as endpoint:
        answers(endpoint, photo, seen)


@clause("serves without access to any network, as with network isolation", HOSTING)
def test_serves_without_a_network(platform: Platform, model: Path, photo: bytes, seen: Seen) -> None:
    with platform.endpoint(model, ISOLATED) as endpoint:
        answers(endpoint, photo, seen)


@clause("the server listens on SAGEMAKER_BIND_TO_PORT; any further port is in SAGEMAKER_SAFE_PORT_RANGE", HOSTING)
def test_the_port_can_be_moved(platform: Platform, model: Path, photo: bytes, seen: Seen) -> None:
    if not images.label(platform.image, "accept-bind-to-port"):
        pytest.skip("no label com.amazonaws.sagemaker.capabilities.accept-bind-to-port=true")
    environment = {"SAGEMAKER_BIND_TO_PORT": "9191", "SAGEMAKER_SAFE_PORT_RANGE": "20000-20100"}
    with platform.endpoint(model, Conditions(environment=environment, port=9191)) as endpoint:
        answers(endpoint, photo, seen)
        ports = endpoint.listening()
        seen(f"listening: {', '.join(map(str, sorted(ports)))}")
        assert 9191 in ports, "the port is not among the open ports"
        assert all(port == 9191 or 20000 <= port <= 20100 for port in ports), "another port is open"


def refuses_to_serve(endpoint: Endpoint, seen: Seen) -> None:
    """Check that /ping never gives 200, and that the container ends with a status other than 0."""
    end = endpoint.gives_up(GIVE_UP)
    seen(end.how)
    assert not end.said_ready, "/ping says 200"
    assert end.ended, f"the container still runs after {GIVE_UP} s"
    assert not end.well, "exit status 0"


@clause(
    "without a model /ping never answers 200, and the container ends within 30 s with a status other than 0", HOSTING
)
def test_an_empty_model_folder_ends_the_container(platform: Platform, tmp_path: Path, seen: Seen) -> None:
    empty = tmp_path / "model"
    empty.mkdir(mode=0o755)
    with platform.endpoint(empty) as endpoint:
        refuses_to_serve(endpoint, seen)


@clause(
    "with a damaged model /ping never answers 200, and the container ends within 30 s with a status other than 0",
    HOSTING,
)
def test_a_damaged_model_ends_the_container(platform: Platform, model: Path, tmp_path: Path, seen: Seen) -> None:
    damaged = tmp_path / "model"
    shutil.copytree(model, damaged)
    largest = max(model_files(damaged), key=lambda path: path.stat().st_size)
    content = largest.read_bytes()
    largest.write_bytes(content[: len(content) // 2])
    seen(f"{largest.name} cut in half")
    with platform.endpoint(damaged) as endpoint:
        refuses_to_serve(endpoint, seen)


@clause("a port that cannot be opened ends the container with a status other than 0", OWN)
def test_an_impossible_port_ends_the_container(platform: Platform, model: Path, seen: Seen) -> None:
    with platform.endpoint(model, Conditions(environment={"SAGEMAKER_BIND_TO_PORT": "99999"})) as endpoint:
        end = endpoint.gives_up(GIVE_UP)
        seen(f"port 99999: {end.how}")
    assert end.ended and not end.well, "the container does not end, or ends with status 0"
