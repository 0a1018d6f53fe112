"""Signals that end the emulator: whenever one comes, no wait hangs, and the command gets the signal."""

import subprocess
import sys

import pytest

from tests.conftest import ROOT

WAIT = "lambda signals: signals.wait"
COMMAND = "lambda signals: functools.partial(signals.wait_for, subprocess.Popen(['sleep', '60']))"
# Makes a process again and again. While it waits, SIGTERM comes before the 1st, the 2nd ... instruction that Python executes.
# This includes instructions in the handler of an earlier signal. When the wait has no more instructions, or has not noticed the
# signal, the main thread sleeps, and another thread sends the signal.
AT_EVERY_INSTRUCTION = """
import functools, os, signal, subprocess, sys, threading, time
from pathlib import Path
from local_test.sagemaker.signals import Signals

LATE, LOST = 99, 98

def send():
    os.kill(os.getpid(), signal.SIGTERM)

def once(moment):
    signal.alarm(60)  # ends a process that waits for ever
    left, late = moment, []
    waiting = begin(Signals())

    def trace(frame, event, argument):
        nonlocal left
        frame.f_trace_opcodes = True
        if event == "opcode":
            left -= 1
            if left == 0:
                send()
        return trace

    def send_late():
        # Wait until the main thread sleeps. A fixed time would not do: on a busy machine the thread may only be slow.
        looks, before = 0, left
        while looks < 10:
            time.sleep(0.1)
            asleep = Path(f"/proc/self/task/{os.getpid()}/stat").read_text().rpartition(")")[2].split()[0] == "S"
            looks, before = looks + 1 if asleep and left == before else 0, left
        late.append(left)
        send()

    threading.Thread(target=send_late, daemon=True).start()
    sys.settrace(trace)
    if before:
        (lambda: send())()
    status = waiting()
    sys.settrace(None)
    if late and late[0] <= 0:
        return LOST
    return status if status != right else LATE if late or left > 0 else right

for moment in range(1, 10_000):
    child = os.fork()
    if child == 0:
        os._exit(once(moment))
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status != right:
        break
print(moment > 5, status)
"""


@pytest.mark.parametrize("before", [False, True], ids=["alone", "and one before"])
@pytest.mark.parametrize("begin, right", [(WAIT, 15), (COMMAND, 143)], ids=["without a command", "with a command"])
def test_a_signal_at_any_moment_ends_the_wait(begin: str, right: int, before: bool) -> None:
    program = f"begin, right, before = {begin}, {right}, {before}\n{AT_EVERY_INSTRUCTION}"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, timeout=600, check=False
    )
    assert (done.returncode, done.stdout) == (0, "True 99\n"), done.stdout + done.stderr


IN_A_THREAD = """
import functools, signal, subprocess, threading, time
from local_test.sagemaker.signals import Signals

signal.alarm(60)  # ends a process that waits for ever
waiting = begin(Signals())

def send():
    # The main thread waits by then, or will: this thread goes on until the end.
    while True:
        time.sleep(0.2)
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

threading.Thread(target=send, daemon=True).start()
print(waiting())
"""


@pytest.mark.parametrize("begin, right", [(WAIT, 15), (COMMAND, 143)], ids=["without a command", "with a command"])
def test_a_signal_that_the_kernel_gives_to_another_thread_ends_the_wait(begin: str, right: int) -> None:
    program = f"begin = {begin}\n{IN_A_THREAD}"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, timeout=600, check=False
    )
    assert (done.returncode, done.stdout) == (0, f"{right}\n"), done.stdout + done.stderr
