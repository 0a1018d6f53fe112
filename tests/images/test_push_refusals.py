"""Refusals of build_and_push.sh, each in one sentence with the remedy."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.ports import free_port
from tests.registry import TOKEN, TOOLS, Place, sentence, serve_registry, started

pytestmark = pytest.mark.docker


@pytest.mark.parametrize(
    ("arguments", "environment", "words"),
    [
        ((), {}, "no AWS region is set; pass one"),
        (("--region", "europe"), {}, "'europe' is not an AWS region"),
        (
            ("--region", "eu-west-9"),
            {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"},
            "does not answer in region 'eu-west-9'",
        ),
        (
            ("--region", "us-east-1"),
            {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
            "no AWS credentials are set",
        ),
        (("--region", "us-east-1"), {"AWS_PROFILE": "nobody"}, "set AWS_PROFILE to a profile that exists"),
        (("--region", "us-east-1"), {"DOCKER_HOST": "unix:///nowhere.sock"}, "Docker does not answer; start it"),
        (("--device", "tpu"), {}, "--device 'tpu' is unknown; write cuda or cpu"),
        (("both",), {}, "'both' is not an option"),
    ],
)
def test_what_is_missing_is_one_sentence_with_the_remedy(
    place: Place, arguments: tuple[str, ...], environment: dict[str, str], words: str
) -> None:
    device = () if "--device" in arguments else ("--device", "cpu")
    assert words in sentence(place.push(*arguments, *device, **environment))


def test_uncommitted_changes_are_refused_for_a_release_and_allowed_for_a_trial(place: Place) -> None:
    stray = place.checkout / "stray.txt"
    stray.write_text("not committed")
    try:
        for tag in ((), ("--tag", "1.2.3")):
            said = sentence(place.push("--device", "cpu", "--region", "us-east-1", *tag))
            assert "uncommitted changes" in said and "--tag try" in said
        trial = place.push("--device", "cpu", "--region", "us-east-1", "--tag", "try", "--dry-run")
        assert "with the tags try," in trial.stdout and "latest" not in trial.stdout
    finally:
        stray.unlink()


def test_a_wrong_password_and_no_login_fail_with_the_remedy(place: Place, tmp_path: Path) -> None:
    registry, host = serve_registry(tmp_path / "registry", "another password")
    try:
        said = sentence(place.push("serve", "--device", "cpu", "--region", "us-east-1", ECR_REGISTRY=host))
        assert f"{host} refused AWS's password" in said and TOKEN not in said
        said = sentence(place.push("serve", "--device", "cpu", REGISTRY=host, DOCKER_CONFIG=str(tmp_path / "docker")))
        assert f"run docker login {host}" in said
    finally:
        registry.kill()
        registry.wait()


def test_no_docker_and_no_aws_are_named(place: Place, tmp_path: Path) -> None:
    for folder in ("/usr/bin", "/bin"):
        for program in Path(folder).iterdir():
            if program.name not in ("docker", "aws") and not (tmp_path / program.name).exists():
                (tmp_path / program.name).symlink_to(program)
    assert "Docker is not installed" in sentence(place.push("--region", "us-east-1", PATH=str(tmp_path)))
    docker = subprocess.run([ROOT / "docker/cli.sh"], capture_output=True, text=True, check=True).stdout.strip()
    (tmp_path / "docker").symlink_to(docker)
    assert "the AWS command line is not installed" in sentence(place.push("--region", "us-east-1", PATH=str(tmp_path)))


def test_a_missing_permission_is_named(place: Place, tmp_path: Path) -> None:
    port = free_port()
    strict = started([TOOLS / "moto_server", "-p", str(port)], port, tmp_path, INITIAL_NO_AUTH_ACTION_COUNT="2")
    try:
        here = Place(
            place.checkout, place.registry, place.environment | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
        )
        here.aws("iam", "create-user", "--user-name", "nobody")
        key = here.aws("iam", "create-access-key", "--user-name", "nobody")["AccessKey"]
        assert isinstance(key, dict)
        said = sentence(
            here.push(
                "--device", "cpu", "--region", "us-east-1",
                AWS_ACCESS_KEY_ID=key["AccessKeyId"], AWS_SECRET_ACCESS_KEY=key["SecretAccessKey"],
            )
        )  # fmt: skip
        assert "ask for the permission ecr:DescribeRepositories" in said
    finally:
        strict.kill()
        strict.wait()


def test_a_user_who_may_not_use_docker_learns_the_remedy(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    done = subprocess.run(
        [ROOT / "docker/running.sh"], user=65534, group=65534, extra_groups=[], env={"PATH": os.environ["PATH"]},
        cwd="/", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1 and "add the user to the group docker" in done.stderr, (done, sys.platform)


@pytest.fixture
def full_engine(tmp_path: Path) -> Iterator[str]:
    """The address of a second engine whose disk has room for the base image and nothing more."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs", disk], check=True)
    address = f"unix://{tmp_path}/engine.sock"
    # The second engine has its own network: in the same network it would remove the bridge of the running engine.
    command = [
        "unshare",
        "--net",
        "dockerd",
        "--host",
        address,
        "--data-root",
        disk / "data",
        "--exec-root",
        tmp_path / "exec",
    ]
    command += ["--pidfile", tmp_path / "pid", "--bridge", "none", "--iptables=false"]
    with (tmp_path / "engine.log").open("wb") as log:
        engine = subprocess.Popen(list(map(str, command)), stdout=log, stderr=log)
    try:
        for _ in range(1200):
            if subprocess.run(["docker", "--host", address, "info"], capture_output=True, check=False).returncode == 0:
                break
            time.sleep(0.1)
        base = subprocess.run(
            ["docker", "inspect", "--format", "{{.RepoTags}}", "byoc-base:bookworm"], capture_output=True, check=False
        )
        assert base.returncode == 0, "this test needs the base image that docker/base.sh makes"
        with subprocess.Popen(["docker", "save", "byoc-base:bookworm"], stdout=subprocess.PIPE) as saved:
            subprocess.run(["docker", "--host", address, "load"], stdin=saved.stdout, check=True, capture_output=True)
        with contextlib.suppress(OSError), (disk / "filler").open("wb", buffering=0) as filler:
            while True:
                filler.write(bytes(1 << 16))
        yield address
    finally:
        engine.terminate()
        engine.wait()
        subprocess.run(["umount", "--lazy", disk], check=True)


def test_a_full_disk_is_named_with_what_an_image_takes(place: Place, full_engine: str) -> None:
    here = {"DOCKER_HOST": full_engine, "BASE_IMAGE": "byoc-base:bookworm", "REGISTRY": place.registry}
    done = place.push("serve", "--device", "cpu", **here)
    assert done.returncode == 1
    assert done.stderr.startswith("build: the disk is full where Docker keeps its images"), (done.stdout, done.stderr)
