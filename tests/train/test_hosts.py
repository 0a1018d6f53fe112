"""Waiting for host names, in a process with its own network namespace, so that no real name server is asked."""

import subprocess
import sys
from pathlib import Path

import pytest

ISOLATED = ("unshare", "--map-root-user", "--net", "--mount")
pytestmark = pytest.mark.skipif(
    subprocess.run([*ISOLATED, "true"], capture_output=True).returncode != 0, reason="unshare is not allowed here"
)

# A name server on the loopback device that receives questions and never answers.
SILENT = """
import fcntl, socket, struct
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
fcntl.ioctl(server, 0x8914, struct.pack("16sH14x", b"lo", 0x49))  # SIOCSIFFLAGS: up, loopback, running
server.bind(("127.0.0.1", 53))
"""
# Sends SIGTERM once the program has said that it waits.
TERMINATE = """
import builtins, os
say = builtins.print
def print_and_terminate(*words, **options):
    say(*words, **options)
    if words[0].startswith("waiting"):
        os.kill(os.getpid(), 15)
builtins.print = print_and_terminate
"""
WAIT = """
import sys, time
from train.processes.hosts import wait_for_hosts
from train import stop
started = time.monotonic()
stop.install()
try:
    wait_for_hosts(sys.argv[1].split(","), *map(float, sys.argv[2:]))
    print("resolved")
except Exception as error:
    print(f"{type(error).__name__}: {error}")
print(f"{time.monotonic() - started:.2f} s")
"""


def wait(
    folder: Path, hosts: str, *seconds: str, before: str = "", environment: tuple[str, ...] = ()
) -> tuple[list[str], float]:
    """Return the lines that waiting printed, and the seconds it took."""
    (folder / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:30 attempts:5\n")
    script = before + WAIT
    command = f'mount --bind {folder}/resolv.conf /etc/resolv.conf && exec env {" ".join(environment)} "$@"'
    done = subprocess.run(
        [*ISOLATED, "sh", "-c", command, "sh", sys.executable, "-c", script, hosts, *seconds],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *lines, took = done.stdout.splitlines()
    return lines, float(took.split()[0])


def test_a_name_that_resolves_is_not_waited_for(tmp_path: Path) -> None:
    lines, _ = wait(tmp_path, "localhost,localhost,127.0.0.1", "30")
    assert lines[-1] == "resolved"  # on a busy machine, a line about the wait may come before


def test_names_that_never_resolve_are_named_at_the_deadline(tmp_path: Path) -> None:
    lines, took = wait(tmp_path, "localhost,algo-2.invalid,algo-3.invalid", "4")
    assert took >= 4
    assert lines[-1].startswith(
        "ConfigError: no address was found within 4 s for algo-2.invalid, algo-3.invalid; check"
    )


def test_a_resolver_that_blocks_does_not_outlast_the_deadline(tmp_path: Path) -> None:
    lines, took = wait(tmp_path, "algo-2.invalid", "2", before=SILENT)
    assert "no address was found within 2 s for algo-2.invalid" in lines[-1]
    assert 2 <= took < 120  # one question takes the resolver 150 s


def test_the_environment_sets_the_deadline(tmp_path: Path) -> None:
    lines, _ = wait(tmp_path, "algo-2.invalid", environment=("BYOC_HOSTS_DEADLINE=1",))
    assert "no address was found within 1 s for algo-2.invalid" in lines[-1] and "BYOC_HOSTS_DEADLINE" in lines[-1]


@pytest.mark.parametrize("text", ["soon", "0", "-1", "nan", "inf"])
def test_a_deadline_that_is_not_a_number_above_0_is_refused(tmp_path: Path, text: str) -> None:
    lines, _ = wait(tmp_path, "localhost", environment=(f"BYOC_HOSTS_DEADLINE={text}",))
    assert lines == [
        f"ConfigError: the environment variable BYOC_HOSTS_DEADLINE is '{text}'; it must be a number of seconds above 0"
    ]


def test_an_odd_name_is_waited_for_like_any_other(tmp_path: Path) -> None:
    lines, _ = wait(tmp_path, "a..b,.,x" + 70 * "y", "1")
    assert "no address was found within 1 s for a..b, ., xy" in lines[-1]


def test_the_wait_is_announced_once_and_sigterm_ends_it(tmp_path: Path) -> None:
    lines, _ = wait(tmp_path, "algo-2.invalid,algo-3.invalid", "3000", before=TERMINATE)
    assert lines == [
        "waiting up to 3000 s for the addresses of algo-2.invalid, algo-3.invalid",
        "Stopped: stopped by SIGTERM while waiting for the addresses of algo-2.invalid, algo-3.invalid",
    ]
