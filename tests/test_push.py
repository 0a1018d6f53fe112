"""build_and_push.sh for real: the AWS command line against a stand-in for AWS, Docker against a registry with a password."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.docker

TOOLS = ROOT / ".venv-images" / "bin"
TOKEN = "123456789012-auth-token"  # what the stand-in's ECR gives out as password
PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


def started(command: Sequence[str | Path], port: int, folder: Path, **environment: str) -> "subprocess.Popen[bytes]":
    """Start a server of .venv-images and wait until its port is open."""
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen([*map(str, command)], env=os.environ | environment, stdout=log, stderr=log)
    for _ in range(300):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return process
        time.sleep(0.1)
    process.kill()
    raise AssertionError((folder / "server.log").read_text())


def serve_registry(folder: Path, password: str) -> "tuple[subprocess.Popen[bytes], str]":
    """Start a registry on loopback that lets in the user AWS alone."""
    folder.mkdir(exist_ok=True)
    port = free_port()
    hashed = f"import bcrypt; print('AWS:' + bcrypt.hashpw(b'{password}', bcrypt.gensalt(5)).decode())"
    done = subprocess.run([TOOLS / "python", "-c", hashed], capture_output=True, text=True, check=True)
    (folder / "htpasswd").write_text(done.stdout)
    config = {
        "version": 0.1,
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": f"127.0.0.1:{port}"},
        "auth": {"htpasswd": {"realm": "registry", "path": str(folder / "htpasswd")}},
    }
    (folder / "config.yml").write_text(json.dumps(config))  # JSON is YAML
    process = started([TOOLS / "docker-registry", "serve", folder / "config.yml"], port, folder)
    return process, f"127.0.0.1:{port}"


@dataclass
class Place:
    """A clone of the project, and where it pushes to."""

    checkout: Path
    registry: str
    environment: dict[str, str]

    def push(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run build_and_push.sh as a user would; an empty value takes a variable away."""
        merged = {name: value for name, value in (self.environment | environment).items() if value}
        command = ["./build_and_push.sh", *arguments]
        return subprocess.run(
            command, cwd=self.checkout, env=merged, capture_output=True, text=True, timeout=550, check=False
        )

    def aws(self, *arguments: str) -> dict[str, object]:
        command = [str(TOOLS / "aws"), "--region", "us-east-1", "--output", "json", *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        answer: dict[str, object] = json.loads(done.stdout or "{}")
        return answer

    def images(self) -> dict[str, dict[str, object]]:
        written: dict[str, dict[str, object]] = json.loads((self.checkout / "images.json").read_text())
        return written


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("push")
    checkout = folder / "checkout"
    subprocess.run(["git", "clone", "--quiet", ROOT, checkout], check=True)
    for wheel in (ROOT / "wheels").glob("*.whl"):
        shutil.copy(wheel, checkout / "wheels")
    port = free_port()
    aws = started([TOOLS / "moto_server", "-H", "127.0.0.1", "-p", str(port)], port, folder)
    registry, host = serve_registry(folder / "registry", TOKEN)
    environment = {name: value for name, value in os.environ.items() if name not in PROXIES and "AWS" not in name}
    environment |= {
        "PATH": f"{TOOLS}:{os.environ['PATH']}",
        "HOME": str(folder),
        "DOCKER_CONFIG": str(folder / "docker"),
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "ECR_REGISTRY": host,
    }
    try:
        yield Place(checkout, host, environment)
    finally:
        for process in (aws, registry):
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def pushed(place: Place) -> "subprocess.CompletedProcess[str]":
    done = place.push("--device", "cpu", "--region", "us-east-1")
    assert done.returncode == 0, done.stderr + done.stdout[-2000:]
    return done


def sentence(done: "subprocess.CompletedProcess[str]") -> str:
    """Return the one line that a failed run wrote to stderr."""
    assert done.returncode == 1, done.stdout
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0]


def test_missing_repositories_are_made_with_fixed_tags_scan_and_lifecycle(
    place: Place, pushed: "subprocess.CompletedProcess[str]"
) -> None:
    found = place.aws("ecr", "describe-repositories")["repositories"]
    assert isinstance(found, list)
    assert {repository["repositoryName"] for repository in found} == {"byoc-classifier-train", "byoc-classifier-serve"}
    for repository in found:
        assert repository["imageTagMutability"] == "IMMUTABLE_WITH_EXCLUSION"
        assert repository["imageTagMutabilityExclusionFilters"] == [{"filterType": "WILDCARD", "filter": "latest*"}]
        assert repository["imageScanningConfiguration"] == {"scanOnPush": True}
        rules = place.aws("ecr", "get-lifecycle-policy", "--repository-name", repository["repositoryName"])
        assert "untagged" in str(rules["lifecyclePolicyText"])


def test_both_images_get_version_revision_and_latest_and_no_password_is_printed(
    place: Place, pushed: "subprocess.CompletedProcess[str]"
) -> None:
    revision = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"], cwd=place.checkout, capture_output=True, text=True, check=True
    ).stdout.strip()
    for program in ("train", "serve"):
        image = place.images()[program]
        assert image["tags"] == [f"{image['version']}-cpu", f"{revision}-cpu", "latest-cpu"]
        assert image["uri"] == f"{place.registry}/byoc-classifier-{program}@{image['digest']}"
        for tag in ("latest-cpu", f"{revision}-cpu"):
            assert f"byoc-classifier-{program}:{tag} {image['digest']}" in pushed.stdout
    assert TOKEN not in pushed.stdout + pushed.stderr


def test_a_second_push_gives_the_same_digests_and_what_is_pulled_back_is_the_image(
    place: Place, pushed: "subprocess.CompletedProcess[str]"
) -> None:
    first = place.images()
    again = place.push("--device", "cpu", "--region", "us-east-1")
    assert again.returncode == 0, again.stderr
    assert place.images() == first
    docker = lambda *words: subprocess.run(  # noqa: E731
        ["docker", *words], env=place.environment, capture_output=True, text=True, check=True
    ).stdout.strip()
    for program in ("train", "serve"):
        uri, local = str(first[program]["uri"]), f"byoc-classifier-{program}:cpu"
        docker("pull", "--quiet", uri)
        assert docker("image", "inspect", "--format", "{{.Id}}", uri) == docker(
            "image", "inspect", "--format", "{{.Id}}", local
        )


def test_a_version_that_ecr_holds_with_another_image_is_refused(
    place: Place, pushed: "subprocess.CompletedProcess[str]"
) -> None:
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    manifest = json.dumps(
        {"schemaVersion": 2, "mediaType": kind, "config": {"digest": "sha256:" + "0" * 64}, "layers": []}
    )
    put = ("ecr", "put-image", "--repository-name", "byoc-classifier-serve", "--image-tag", "taken")
    place.aws(*put, "--image-manifest", manifest)
    said = sentence(place.push("serve", "--device", "cpu", "--region", "us-east-1", "--tag", "taken"))
    assert "byoc-classifier-serve:taken is taken by another image" in said and "pass another --tag" in said


def test_a_dry_run_changes_nothing(place: Place) -> None:
    done = place.push("--device", "cpu", "--region", "eu-west-1", "--dry-run", ECR_REGISTRY="")
    assert done.returncode == 0, done.stderr
    assert "would create the repository byoc-classifier-train in eu-west-1" in done.stdout
    assert "would push 123456789012.dkr.ecr.eu-west-1.amazonaws.com/byoc-classifier-serve" in done.stdout
    assert all(line.startswith("push: would ") for line in done.stdout.splitlines())


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


def test_another_registry_needs_no_aws(place: Place, pushed: "subprocess.CompletedProcess[str]") -> None:
    other = {"REGISTRY": f"{place.registry}/team", "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    done = place.push("serve", "--device", "cpu", **other)
    assert done.returncode == 0, done.stderr
    assert str(place.images()["serve"]["uri"]).startswith(f"{place.registry}/team/byoc-classifier-serve@sha256:")
    assert "cannot be reached" in sentence(place.push("serve", "--device", "cpu", REGISTRY="127.0.0.1:9"))


@pytest.mark.parametrize(
    ("arguments", "environment", "words"),
    [
        ((), {}, "no AWS region is set; pass one"),
        (("--region", "europe"), {}, "'europe' is no AWS region"),
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
        (("both",), {}, "'both' is no option"),
    ],
)
def test_what_is_missing_is_one_sentence_with_the_remedy(
    place: Place, arguments: tuple[str, ...], environment: dict[str, str], words: str
) -> None:
    device = () if "--device" in arguments else ("--device", "cpu")
    assert words in sentence(place.push(*arguments, *device, **environment))


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
        assert "have the permission ecr:DescribeRepositories added" in said
    finally:
        strict.kill()
        strict.wait()


def test_a_user_who_may_not_talk_to_docker_is_told_how(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    done = subprocess.run(
        [ROOT / "docker/running.sh"], user=65534, group=65534, extra_groups=[], env={"PATH": os.environ["PATH"]},
        cwd="/", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1 and "add it to the group docker" in done.stderr, (done, sys.platform)


@pytest.fixture
def full_engine(tmp_path: Path) -> Iterator[str]:
    """A second engine whose disk holds the base image and not one byte more; its address."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs", disk], check=True)
    address = f"unix://{tmp_path}/engine.sock"
    # In a network of its own: without a bridge it would take the running engine's bridge away.
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
        for _ in range(300):
            if subprocess.run(["docker", "--host", address, "info"], capture_output=True, check=False).returncode == 0:
                break
            time.sleep(0.1)
        base = subprocess.run(
            ["docker", "inspect", "--format", "{{.RepoTags}}", "byoc-base:bookworm"], capture_output=True, check=False
        )
        assert base.returncode == 0, "this test takes the base image that docker/base.sh makes"
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
