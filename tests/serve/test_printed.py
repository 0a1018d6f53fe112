"""What a model's own code prints: it reaches the log, and no line of it stops the worker."""

import subprocess
import sys
from pathlib import Path

from serve.printed import LONGEST
from tests import wire
from tests.ports import free_port
from tests.server import artifact_with, serve, started, until, wait_for

# Prints the body as scripts do that log a request; with a long body that is one long line.
PRINTS = """
import logging, os, sys
logger = logging.getLogger(__name__)
logger.addHandler(logging.StreamHandler(sys.stdout))
logger.setLevel(logging.DEBUG)
def model_fn(model_dir):
    return 0
def transform_fn(model, body, content_type, accept):
    print("[PID] of this worker:", os.getpid())
    print("[METRICS]all", "fine", "\\udce9")
    logger.info(f"Request body: {body}")
    if body.startswith(b"wrong"):
        raise ValueError(f"unsupported body {body}")
    return {"bytes": len(body)}
"""
# Longer than the worker's pipes and buffers hold together, so that a worker whose lines are not read would wait.
MANY = 400


def test_no_line_that_the_code_prints_stops_its_worker_or_is_lost(tmp_path: Path) -> None:
    model = artifact_with(tmp_path / "model", code_inference=PRINTS)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    told = {"ALLOW_MODEL_CODE": "true", "SAGEMAKER_MODEL_SERVER_WORKERS": "1", "SAGEMAKER_MODEL_SERVER_TIMEOUT": "20"}
    with started(model, port, tmp_path, **told) as process:
        wait_for(process, url)
        before = wire.metric(url, "byoc_worker_restarts_total")
        for body in (b"\xff" * 2_000_000, *[b"\xff" * 1000] * MANY):
            answer = wire.post(url, body)
            assert (answer.status, answer.json) == (200, {"bytes": len(body)})
        assert wire.post(url, b"wrong" * 400_000).status == 500
        assert wire.post(url, b"next").status == 200
        assert wire.metric(url, "byoc_worker_restarts_total") == before
        log = tmp_path / "log.txt"
        until("the log has the last line", lambda: "Request body: b'next'" in log.read_text())
    text = log.read_text()  # the server's own lines are in it too, so a line of the code may follow one of these
    assert text.count(" [PID] of this worker: ") == text.count(" [METRICS]all fine \\udce9\n") == MANY + 3
    assert max(map(len, text.splitlines())) < LONGEST + 1000
    # Each is printed twice, by the code's handler and by the model server's.
    assert text.count("... (7,991,825 more characters)\n") == 2
    assert "ValueError: unsupported body b'wrongwrong" in text


def test_what_is_not_long_is_printed_unchanged() -> None:
    code = (
        "from serve.printed import make_readable\nmake_readable()\nimport sys\n"
        f"print('x' * {LONGEST}, end='')\nprint('\\nnaïve', file=sys.stderr)\nprint('\\n\\n [PID] 5')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.decode() == "x" * LONGEST + "\n\n [PID] 5\n"
    assert done.stderr.decode() == "\nnaïve\n"


def test_only_the_codes_own_traceback_says_why_it_cannot_be_loaded(tmp_path: Path) -> None:
    model = artifact_with(tmp_path / "model", code_inference="def model_fn(d):\n    raise RuntimeError('no weights')")
    done = serve(model, "--port", str(free_port()), ALLOW_MODEL_CODE="true", SAGEMAKER_MODEL_SERVER_WORKERS="1")
    assert done.returncode == 1 and done.stderr.count("Traceback (most recent call last)") == 1
    assert "in model_fn\n    raise RuntimeError('no weights')" in done.stderr
    assert "mms/" not in done.stderr


def test_the_log_does_not_claim_a_self_test_of_a_models_own_code(tmp_path: Path) -> None:
    model = artifact_with(tmp_path / "model", code_inference="def model_fn(d): return 0")
    port = free_port()
    with started(model, port, tmp_path, ALLOW_MODEL_CODE="true", SAGEMAKER_MODEL_SERVER_WORKERS="1") as process:
        wait_for(process, f"http://127.0.0.1:{port}")
        log = tmp_path / "log.txt"
        until("the server is ready", lambda: "ready: " in log.read_text())
    assert "ready: the model's code is loaded" in log.read_text() and "self-test" not in log.read_text()
