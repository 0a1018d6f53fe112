"""A signal ends byoc even in places where Python would lose its exception."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import signal, sys, time
from launch import interrupts

class Destroyed:
    def __del__(self):
        signal.raise_signal(int(sys.argv[1]))

interrupts.catch()
try:
    Destroyed()
    time.sleep(600)
except KeyboardInterrupt as stop:
    print("interrupted", *stop.args)
"""


@pytest.mark.parametrize(("number", "said"), [(2, "interrupted\n"), (15, "interrupted 15\n"), (1, "interrupted 1\n")])
def test_a_signal_that_comes_while_a_destructor_runs_is_not_lost(number: int, said: str) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(number)], capture_output=True, text=True, timeout=300)
    assert (done.stdout, done.stderr) == (said, "")


WAITS = """
import signal, subprocess, sys, threading, time
from launch import interrupts

def signalled():
    time.sleep(1)  # by then the main thread waits; if it does not, the signal ends it too
    signal.pthread_kill(threading.get_ident(), int(sys.argv[1]))
    time.sleep(600)

interrupts.catch()
threading.Thread(target=signalled, daemon=True).start()
try:
    {wait}
except KeyboardInterrupt as stop:
    print("interrupted", *stop.args)
"""


@pytest.mark.parametrize(("number", "said"), [(2, "interrupted\n"), (15, "interrupted 15\n")])
@pytest.mark.parametrize("wait", ["time.sleep(600)", "threading.Event().wait()", "subprocess.run(['sleep', '600'])"])
def test_a_signal_that_came_to_another_thread_ends_the_main_threads_wait(number: int, said: str, wait: str) -> None:
    command = [sys.executable, "-c", WAITS.format(wait=wait), str(number)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert (done.stdout, done.stderr) == (said, "")


def test_other_exceptions_of_a_destructor_are_shown_as_ever() -> None:
    program = "from launch import interrupts\ninterrupts.catch()\nclass A:\n  def __del__(self): 1 / 0\nA()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0 and "Exception ignored in" in done.stderr and "ZeroDivisionError" in done.stderr


def test_an_interrupt_that_leaves_a_lock_of_pythons_released_ends_byoc_without_a_traceback(tmp_path: Path) -> None:
    program = """
import sys, threading
from launch import check, cli

def survey(folder, config):
    condition = threading.Condition()
    with condition:
        condition.release()
        raise KeyboardInterrupt

check.survey = survey
cli.main(["data", "check", sys.argv[1]])
"""
    done = subprocess.run([sys.executable, "-c", program, tmp_path], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "byoc: stopped\n")
