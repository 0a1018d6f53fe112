"""Containers in a real Docker as SageMaker runs them, with programs of our image that print their inputs."""

import http.client
import ipaddress
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from local_test.sagemaker.errors import ApiError
from local_test.sagemaker.machine import Container, Mount
from local_test.sagemaker.machine.docker import DATA, DockerMachine
from local_test.sagemaker.machine.engine import docker

pytestmark = pytest.mark.docker

NOBODY = 65534
IMAGE = "byoc-classifier-train:cpu"
CONNECT = """
import socket, sys, time
until = time.monotonic() + float(sys.argv[3])
while True:
    try:
        socket.create_connection((sys.argv[1], int(sys.argv[2])), 3)
        print("connected")
        break
    except OSError as error:
        if time.monotonic() > until:
            print("refused", error)
            break
        time.sleep(0.1)
"""
LISTEN = "import socket; socket.create_server(('', 7000)).accept(); print('heard')"


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerMachine]:
    data = tmp_path_factory.mktemp("data")
    yield DockerMachine(data)
    assert left(data) == [], "the machine has left containers or networks"


def left(data: Path) -> list[str]:
    """Return the containers and networks of a data folder."""
    wanted = ("--quiet", "--filter", f"label={DATA}={data}")
    return [*docker("ps", "--all", *wanted).split(), *docker("network", "ls", *wanted).split()]


def shell(script: str, name: str = "shell") -> Container:
    return Container(name=name, image=IMAGE, command=(), entrypoint=("/bin/sh", "-c", script))


def python(script: str, *arguments: object, name: str = "python") -> Container:
    return Container(name=name, image=IMAGE, command=tuple(map(str, arguments)), entrypoint=("python3", "-c", script))


def ran(machine: DockerMachine, container: Container) -> tuple[int | None, list[str]]:
    """Run a container to its end; return its exit status and its lines."""
    running = machine.start(container)
    lines = list(running.lines())
    return running.wait(), lines


def test_all_lines_come_in_order_and_the_exit_status_is_the_programs(machine: DockerMachine) -> None:
    status, lines = ran(machine, shell("for n in $(seq 5000); do echo $n; done; exit 3"))
    assert (status, lines) == (3, [str(number) for number in range(1, 5001)])


def test_a_container_has_its_host_name_its_variables_little_shared_memory_and_its_images_user(
    machine: DockerMachine,
) -> None:
    show = "hostname; getent hosts algo-7 | cut -d' ' -f 3-; df --output=size -B 1M /dev/shm | tail -n 1; id -u; echo $A_NAME"
    status, lines = ran(
        machine, replace(shell(show), host="algo-7", environment={"A_NAME": "of mine, with = and\ttab"})
    )
    assert status == 0
    assert [line.strip() for line in lines] == ["algo-7", "algo-7", "64", "0", "of mine, with = and tab"]


def test_mounts_are_seen_and_only_read_where_they_are_read_only(machine: DockerMachine, tmp_path: Path) -> None:
    given, written = tmp_path / "given, by name", tmp_path / "written"
    for folder in (given, written):
        folder.mkdir()
    (given / "file").write_text("content")
    mounts = (
        Mount(given, PurePosixPath("/opt/ml/input/data/train"), read_only=True),
        Mount(written, PurePosixPath("/opt/ml/model")),
    )
    script = "cat /opt/ml/input/data/train/file > /opt/ml/model/copy; touch /opt/ml/input/data/train/new"
    status, lines = ran(machine, replace(shell(script), mounts=mounts))
    assert status == 1 and "Read-only file system" in lines[-1]
    assert (written / "copy").read_text() == "content"
    assert [path.name for path in given.iterdir()] == ["file"]


def test_a_container_that_ends_after_sigterm_has_its_own_status(machine: DockerMachine) -> None:
    running = machine.start(shell("trap 'echo told; exit 7' TERM; echo ready; while :; do sleep 0.1; done"))
    lines = running.lines()
    assert next(lines) == "ready"
    assert running.wait(0) is None
    running.stop(60)
    assert list(lines) == ["told"]
    assert running.wait() == 7


def test_a_container_that_ignores_sigterm_is_killed(machine: DockerMachine) -> None:
    running = machine.start(shell("trap '' TERM; echo ready; while :; do sleep 0.1; done"))
    lines = running.lines()
    next(lines)
    running.stop(1)
    assert list(lines) == [] and running.wait() == 137


def test_a_container_that_needs_more_memory_than_it_has_is_ended_and_its_log_says_so(machine: DockerMachine) -> None:
    status, lines = ran(machine, replace(python("print('starts', flush=True); bytearray(500 << 20)"), memory=64))
    assert status == 137
    assert lines[0] == "starts" and "more than 64 MB" in lines[-1]


def test_an_entry_point_that_is_not_in_the_image_ends_with_127_and_is_named(machine: DockerMachine) -> None:
    status, lines = ran(machine, replace(shell(""), entrypoint=("no-such-program",)))
    assert status == 127 and "no-such-program" in " ".join(lines)


@pytest.mark.parametrize("image", ["somebody/no-such-image:1", "--privileged", "not an image"])
def test_an_image_that_is_not_there_is_named_with_the_remedy(machine: DockerMachine, image: str) -> None:
    with pytest.raises(ApiError) as caught:
        machine.start(replace(shell("true"), image=image))
    assert f"the image {image} is not on this machine" in caught.value.message and "docker pull" in caught.value.message


@contextmanager
def listening() -> Iterator[tuple[str, int]]:
    """Listen on this machine's address on Docker's own network, where a container that is not isolated finds it."""
    # If Docker itself made this network, it may report only the subnet. The machine has the subnet's first address.
    subnet = docker("network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Subnet}}")
    with socket.create_server((str(ipaddress.ip_network(subnet)[1]), 0)) as server:
        yield server.getsockname()


def test_an_isolated_container_reaches_nothing_that_another_one_reaches(machine: DockerMachine) -> None:
    with listening() as place:
        container = python(CONNECT, *place, 0)
        assert ran(machine, container) == (0, ["connected"])
        status, lines = ran(machine, replace(container, isolated=True))
        assert status == 0 and lines[0].startswith("refused")


@pytest.mark.parametrize("isolated", [False, True])
def test_hosts_of_a_job_find_each_other_by_name(machine: DockerMachine, isolated: bool) -> None:
    # The name of the second host resolves late, as on the platform, because it starts last.
    first = replace(
        python(CONNECT, "algo-2", 7000, 60, name="job-algo-1"), host="algo-1", network="arn:job", isolated=isolated
    )
    second = replace(python(LISTEN, name="job-algo-2"), host="algo-2", network="arn:job", isolated=isolated)
    running = [machine.start(first), machine.start(second)]
    assert [list(one.lines()) for one in running] == [["connected"], ["heard"]]
    assert [one.wait() for one in running] == [0, 0]


@pytest.mark.parametrize("isolated", [False, True])
def test_a_port_is_reached_of_an_isolated_container_too(machine: DockerMachine, isolated: bool) -> None:
    container = Container(
        name="serves",
        image=IMAGE,
        command=("-m", "http.server", "8080", "--directory", "/opt"),
        entrypoint=("python3", "-u"),
        port=8080,
        isolated=isolated,
    )
    running = machine.start(container)
    lines = running.lines()
    assert "Serving HTTP" in next(lines)
    connection = http.client.HTTPConnection(*running.address(), timeout=60)
    connection.request("GET", "/")
    answer = connection.getresponse()
    assert answer.status == 200 and b"venv" in answer.read()
    connection.close()
    running.kill()
    assert running.wait() == 137
    list(lines)


def test_what_a_killed_emulator_left_is_ended_and_named_and_nothing_of_another_folder(tmp_path: Path) -> None:
    mine, other = tmp_path / "mine", tmp_path / "other"
    written = tmp_path / "written"
    written.mkdir()
    waits = replace(
        shell("touch /opt/ml/model/seen; sleep 300"), mounts=(Mount(written, PurePosixPath("/opt/ml/model")),)
    )
    killed = DockerMachine(mine).start(replace(waits, name="left-algo-1", network="arn:left"))
    stays = DockerMachine(other).start(replace(waits, name="stays"))
    try:
        named = DockerMachine(mine).end_leftovers()
        assert named[0] == "left-algo-1" and named[1].startswith("the network byoc-")
        assert left(mine) == []
        assert (list(killed.lines()), killed.wait()) == ([], 137)
        assert stays.wait(0) is None
    finally:
        assert DockerMachine(other).end_leftovers() == ["stays"]
        assert (list(stays.lines()), stays.wait()) == ([], 137)
    assert DockerMachine(other).end_leftovers() == left(other) == []


@contextmanager
def ordinary_user(folder: Path) -> Iterator[None]:
    """Become an ordinary user who may use Docker and who owns a folder, unless the tests already run as one."""
    if os.geteuid():
        yield
        return
    os.chown(folder, NOBODY, NOBODY)
    os.setegid(Path("/var/run/docker.sock").stat().st_gid)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home below a folder that every user may open. The folders of pytest are closed to other users."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="byoc-") as name:
        monkeypatch.setenv("HOME", name)
        yield Path(name)


def test_what_a_containers_root_wrote_can_be_read_and_removed_by_an_ordinary_user(folder: Path) -> None:
    with ordinary_user(folder):
        model = folder / "model, of mine"
        model.mkdir()
        model.chmod(0o777)
        mounts = (Mount(model, PurePosixPath("/opt/ml/model")),)
        script = (
            "cd /opt/ml/model; umask 077; mkdir a; echo secret > a/file; chmod 400 a/file; ln -s /etc/passwd link; "
            "chown 0:0 .; chmod 700 ."
        )
        machine = DockerMachine(folder)
        assert ran(machine, replace(shell(script), mounts=mounts)) == (0, [])
        assert (model / "a" / "file").read_text() == "secret\n"
        assert (model / "link").is_symlink() and Path("/etc/passwd").stat().st_uid == 0
        shutil.rmtree(model / "a")

        waits = "mkdir -m 700 /opt/ml/model/b; touch /opt/ml/model/b/file; echo made; sleep 300"
        running = machine.start(replace(shell(waits, "left"), mounts=mounts))
        lines = running.lines()
        assert next(lines) == "made"
        assert DockerMachine(folder).end_leftovers() == ["left"]
        assert (list(lines), running.wait()) == ([], 137)
        shutil.rmtree(model)
        assert left(folder) == []
