"""Why a user's script failed: the line of its output that says so, and the remedy if it is known."""

import re
from collections.abc import Iterable

MISSING = re.compile(r"ModuleNotFoundError: No module named '(\w+)'")
CHANNEL = re.compile(r"KeyError: '(SM_CHANNEL_(\w+))'")
STARTER = "subprocess.CalledProcessError: "  # the error of a script that starts another program with check_call
GONE = ("Connection closed by peer", "Connection reset by peer")  # in the errors of gloo and NCCL
PIPS = "ERROR: "  # the beginning of pip's errors; scripts also start pip with check_call
_TRACEBACK = "Traceback (most recent call last):"


def reason_in(errors: str) -> str:
    """Return the line with the reason: the last exception's line, else the last line.

    If that exception only reports that a process ended, return the process's own line.
    """
    lines = [line.strip("\r") for line in errors.splitlines()]
    found = ""
    for start in (number for number, line in enumerate(lines) if line.endswith(_TRACEBACK)):
        # The lines of an exception group begin with blanks and |, those of a process of torchrun with [rank0].
        frame = lines[start].removesuffix(_TRACEBACK).removesuffix("Exception Group ").replace("+", "|")
        # Tracebacks of torchrun, of a script that starts programs, and of processes that lost another process are consequences, not the
        # reason.
        rest = (line.removeprefix(frame) for line in lines[start + 1 :])
        line = next((line for line in rest if line and not line.startswith((" ", "\t"))), "")
        follows = line.startswith(STARTER) or any(words in line for words in GONE)
        found = found if line.startswith("torch.distributed.elastic.") or (found and follows) else line
    if found.startswith(STARTER) and (said := next((line for line in reversed(lines) if line.startswith(PIPS)), "")):
        return f"{said.removeprefix(PIPS)} ({found})"
    return found or next((line for line in reversed(lines) if line.strip()), "")


def remedy(name: str, reason: str, channels: Iterable[str]) -> str:
    """Return a clause with the remedy for a module or a channel that a script did not find; "" for any other reason.

    `channels` are the names of the job's channels.
    """
    if found := CHANNEL.fullmatch(reason):
        return f"; {found[1]} is set if the job has a channel named {found[2].lower()}; it has {', '.join(channels) or 'no channel'}"
    found = MISSING.fullmatch(reason)
    if found is None or not name.endswith(".py"):
        return ""
    return (
        f"; send {found[1]!r} beside the script, name its package in a requirements.txt there, or build an image on top of "
        "this one that has it"
    )
