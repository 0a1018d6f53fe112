"""The serving program over HTTP: its answers, its errors, its health and metrics, and its end."""

import contextlib
import http.client
import json
import shutil
import signal
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest
from PIL import Image

from tests.conftest import byoc
from tests.gate import Gate
from tests.ports import free_port
from tests.processes import left
from tests.recordio import write_records
from tests.server import post, serve, started, until, wait_for, workers
from tests.wire import ask


def test_ping_is_200_once_a_worker_is_ready(url: str) -> None:
    with urllib.request.urlopen(f"{url}/ping") as answer:
        assert answer.status == 200 and answer.read() == b""


def test_a_jpeg_gets_labels_and_probabilities_best_first(url: str, photo: bytes) -> None:
    status, answer = post(url, photo)
    assert status == 200
    probabilities = [item["probability"] for item in answer["predictions"]]
    assert answer["predictions"][0]["label"] == "coffee"
    assert (
        len(probabilities) == 5
        and probabilities == sorted(probabilities, reverse=True)
        and sum(probabilities) <= 1 + 1e-6
    )


def test_a_png_is_answered_too(url: str, samples: Path, tmp_path: Path) -> None:
    Image.open(samples / "test" / "coffee" / "000.jpg").save(tmp_path / "photo.png")
    status, answer = post(url, (tmp_path / "photo.png").read_bytes(), "image/png")
    assert status == 200 and answer["predictions"][0]["label"] == "coffee"


@pytest.mark.parametrize(
    ("form", "content_type"),
    [
        ("webp", "image/webp"),
        ("gif", "image/gif"),
        ("bmp", "image/bmp"),
        ("tiff", "image/tiff"),
        ("png", "application/x-image"),
        ("webp", "application/octet-stream"),
    ],
)
def test_every_usual_format_is_answered(url: str, samples: Path, tmp_path: Path, form: str, content_type: str) -> None:
    image = Image.open(samples / "test" / "coffee" / "000.jpg").convert("RGB")
    # The first frame of an animation is used.
    frames = {"save_all": True, "append_images": [Image.new("RGB", image.size)]} if form == "gif" else {}
    image.save(tmp_path / f"photo.{form}", **frames)
    status, answer = post(url, (tmp_path / f"photo.{form}").read_bytes(), content_type)
    assert status == 200 and answer["predictions"][0]["label"] == "coffee"


def test_parameters_and_case_of_the_content_type_do_not_matter(url: str, photo: bytes) -> None:
    assert post(url, photo, "image/JPEG; charset=utf-8")[0] == 200


@pytest.mark.parametrize(
    ("body", "content_type", "status", "message"),
    [
        (b"hello", "image/jpeg", 422, "the body is not a usable photo: not an image"),
        (b"", "image/jpeg", 400, "the body is empty"),
        (
            b"a,b",
            "text/csv",
            415,
            "Content-Type 'text/csv' is not supported; send one of image/jpeg, image/png, image/webp",
        ),
        (b"x" * (25 * 1024 * 1024 + 1), "image/jpeg", 413, "over the limit of 26,214,400 bytes"),
    ],
)
def test_a_wrong_request_gets_a_sentence_as_json(
    url: str, body: bytes, content_type: str, status: int, message: str
) -> None:
    got, answer = post(url, body, content_type)
    assert (
        got == status and answer["code"] == status and message in answer["message"] and len(answer["request_id"]) == 32
    )


def test_a_truncated_photo_is_the_clients_mistake(url: str, photo: bytes) -> None:
    status, answer = post(url, photo[: len(photo) // 2])
    assert status == 422 and "damaged" in answer["message"]


def test_a_decompression_bomb_is_refused(url: str, tmp_path: Path) -> None:
    Image.new("1", (20_000, 20_000)).save(tmp_path / "bomb.png")
    status, answer = post(url, (tmp_path / "bomb.png").read_bytes(), "image/png")
    assert status == 422 and "20000 x 20000" in answer["message"]


def test_the_callers_id_is_the_request_id(url: str) -> None:
    headers = {"X-Amzn-SageMaker-Inference-Id": "my-id"}
    assert post(url, b"", headers=headers)[1]["request_id"] == "my-id"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/models", 404),
        ("GET", "/invocations", 405),
        ("POST", "/models", 404),
        ("POST", "/models/model/invoke", 404),
        ("POST", "/predictions/m", 404),
    ],
)
def test_other_routes_are_closed(url: str, method: str, path: str, status: int) -> None:
    with contextlib.closing(http.client.HTTPConnection(url.removeprefix("http://"))) as connection:
        connection.request(method, path)
        answer = connection.getresponse()
        assert answer.status == status and json.loads(answer.read())["code"] == status


def test_a_bad_body_does_not_spoil_the_next_answers(url: str, photo: bytes) -> None:
    statuses = [post(url, body)[0] for body in (b"x", photo, photo[:100], photo)]
    assert statuses == [422, 200, 422, 200]


# --- tests that end the server, each with its own server


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ping_says_503_until_ready_and_a_signal_leaves_nothing_behind(
    model: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, number: signal.Signals
) -> None:
    port, gate, codes = free_port(), Gate(tmp_path_factory.mktemp("gate")), []
    url = f"http://127.0.0.1:{port}"

    def open_port() -> bool:
        with contextlib.suppress(OSError):
            codes.append(ask(url, "GET", "/ping").status)
        return bool(codes)

    with started(model, port, tmp_path, **gate.variables) as process:
        until("the port is open", open_port)
        gate.open()
        codes += wait_for(process, url)
        assert set(codes[:-1]) == {503}
        family = psutil.Process(process.pid).children(recursive=True)
        assert len(family) >= 3  # Java, the workers' parent, a worker
        process.send_signal(number)
        assert process.wait(300) == 0
        assert not left(family)
    assert [path.name for path in tmp_path.iterdir()] == ["log.txt"]


@pytest.mark.slow
def test_a_dead_worker_is_replaced_and_a_dead_model_server_ends_the_program(
    model: Path, photo: bytes, tmp_path: Path
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with started(model, port, tmp_path) as process:
        wait_for(process, url)
        java = psutil.Process(process.pid).children()[0]
        found = workers(process.pid)
        for worker in found:
            worker.kill()
        assert found and not left(found)
        wait_for(process, url)
        assert post(url, photo)[0] == 200
        java.kill()
        assert process.wait(300) == 1
    assert "the model server was ended by SIGKILL" in (tmp_path / "log.txt").read_text()


@pytest.mark.slow
def test_a_front_that_is_killed_takes_the_model_server_with_it(model: Path, tmp_path: Path) -> None:
    port = free_port()
    with started(model, port, tmp_path) as process:
        wait_for(process, f"http://127.0.0.1:{port}")
        family = psutil.Process(process.pid).children(recursive=True)
        assert len(family) >= 3  # Java, the workers' parent, a worker
        process.kill()
        process.wait()
        assert not left(family)


def test_a_missing_model_ends_the_program_with_one_sentence(tmp_path: Path) -> None:
    done = serve(tmp_path / "absent", "--port", str(free_port()))
    assert done.returncode == 1 and "model.json is missing" in done.stderr


@pytest.mark.slow
def test_a_model_that_fails_its_selftest_ends_the_program(torch_model: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    from classifier import artifact

    broken = Path(shutil.copytree(torch_model, tmp_path / "model"))
    weights = load_file(broken / "model.safetensors")
    weights["head.0.bias"] = weights["head.0.bias"].flip(0) + 1
    save_file(weights, broken / "model.safetensors")
    document = json.loads((broken / "model.json").read_text())
    document["files"]["model.safetensors"] = artifact._fingerprint(broken / "model.safetensors")
    (broken / "model.json").write_text(json.dumps(document))
    done = serve(broken, "--port", str(free_port()))
    assert done.returncode == 1 and "fails its self-test" in done.stderr


def test_a_port_in_use_ends_the_program_with_one_sentence(model: Path, url: str) -> None:
    port = url.rpartition(":")[2]
    done = serve(model, "--port", port)
    assert done.returncode == 1
    assert done.stderr.strip() == f"serving failed: port {port} on 127.0.0.1 is in use; choose another with --port"


def test_byoc_predict_prints_a_line_a_file_and_fails_when_one_did(url: str, samples: Path, tmp_path: Path) -> None:
    good = samples / "test" / "coffee" / "000.jpg"
    done = byoc("predict", "--url", url, good)
    assert done.returncode == 0 and done.stdout.startswith(f"{good}: coffee ")
    (tmp_path / "text.jpg").write_text("text")
    done = byoc("predict", "--url", url, tmp_path / "text.jpg", tmp_path / "absent.jpg", good)
    assert done.returncode == 1 and "coffee" in done.stdout
    assert (
        "422 the body is not a usable photo: not an image" in done.stderr
        and "absent.jpg: cannot be read" in done.stderr
    )


def test_byoc_predict_names_the_built_in_algorithms_files(url: str, tmp_path: Path) -> None:
    write_records(tmp_path / "a.rec", [(b"photo", 0)])
    (tmp_path / "output").write_text('{"source-ref": "s3://bucket/1.jpg", "class": 0}\n')
    done = byoc("predict", "--url", url, tmp_path / "a.rec", tmp_path / "output")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "a RecordIO file of many photos, not an image; training reads it, a request is one photo" in done.stderr
    assert "an augmented manifest, not an image; training reads it, a request is one of the photos" in done.stderr


def test_byoc_predict_says_when_no_server_answers(samples: Path) -> None:
    done = byoc("predict", "--url", f"http://127.0.0.1:{free_port()}", samples / "test" / "coffee" / "000.jpg")
    assert done.returncode == 1 and "no server answers at" in done.stderr
