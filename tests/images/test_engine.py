"""docker/engine.sh: starts an engine if none runs, keeps a running one, and stops only its own."""

import os
import subprocess

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.docker

# A machine without a running engine, made of separate namespaces: it sees neither network, sockets nor images of the real engine.
BARE = "mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /var/lib/docker && ip link set lo up && "


def on_a_bare_machine(commands: str) -> list[str]:
    command = ["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "bash", "-euc", BARE + commands]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make such a machine")
def test_an_engine_is_started_once_and_stopped_by_who_started_it() -> None:
    said = on_a_bare_machine("docker/engine.sh; docker/engine.sh; docker/engine.sh stop; docker/engine.sh stop")
    assert [line.split(",")[0] for line in said] == [
        "engine: started",
        "engine: already running",
        "engine: stopped",
        "engine: nothing to stop",
    ]


def test_a_running_engine_is_left_alone() -> None:
    said = subprocess.run([ROOT / "docker/engine.sh"], capture_output=True, text=True, check=True).stdout
    assert said.startswith("engine: already running, version ") and said.count("\n") == 1
