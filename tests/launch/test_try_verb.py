"""`byoc try` as a person runs it: its page for an artifact or a server, what it keeps, and how it ends."""

import json
import os
import re
import shutil
import signal
import socket
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

from launch.cli import main
from launch.try_page.timed import TimedServer
from tests.conftest import byoc
from tests.processes import left
from tests.tried import tried


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """Return the sentence with which `byoc try` refuses to start."""
    assert main(["try", *map(str, arguments)]) == 1
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.count("\n") == 1
    return printed.err


@pytest.mark.slow
def test_an_artifact_is_served_photos_are_kept_for_training_and_ctrl_c_ends_it_all(
    model: Path, tiny: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    (run / "job").mkdir(parents=True)
    (run / "job" / "model").symlink_to(model)
    kept = tmp_path / "kept"
    temporary = Path(tempfile.mkdtemp(prefix="try-"))  # tmp_path is too long for the server's sockets
    with tried(run, "--keep", kept, environment={"TMPDIR": str(temporary)}) as page:
        photos = sorted((tiny / "train").glob("*/*.jpg"))
        answer = page.post("predict", photos[0])
        assert answer["labels"][0]["name"] == photos[0].parent.name and len(answer["labels"]) == 14
        assert 0 < answer["parts"]["model"] + answer["parts"]["decode"] < answer["seconds"]
        assert max(map(max, page.post("look", photos[0], label="brick")["rows"])) == 1
        for photo in photos:
            assert page.post("keep", photo, label=photo.parent.name)["kept"].startswith(f"{photo.parent.name}/")
        family = psutil.Process(page.process.pid).children(recursive=True)
        names = [" ".join(child.cmdline()) for child in family]
        assert any("reports.try_page.activation" in name for name in names) and any(" serve" in name for name in names)
        os.killpg(page.process.pid, signal.SIGINT)
        status, output, errors = page.ended()
        assert (status, errors.splitlines()[-1]) == (130, "byoc: stopped")
        assert output == f"photos that you keep go to {kept}\nCtrl-C ends it\n"
        assert left(family) == [] and list(temporary.glob("byoc*")) == []
    shutil.rmtree(temporary)
    done = byoc("data", "check", kept)
    assert done.returncode == 0 and "training can start" in done.stdout, done.stdout + done.stderr


@pytest.mark.slow
def test_the_children_end_when_byoc_try_is_killed(model: Path) -> None:
    with tried(model) as page:
        family = psutil.Process(page.process.pid).children(recursive=True)
        page.process.kill()
        assert left(family) == []


def test_a_server_that_runs_is_tried_and_goes_on(url: str, samples: Path) -> None:
    photo = samples / "test" / "coffee" / "000.jpg"
    with tried(url) as page:
        assert page.post("predict", photo)["labels"][0]["name"] == "coffee"
        with pytest.raises(urllib.error.HTTPError) as found:
            page.post("look", photo, label="coffee")
        with found.value as answer:
            assert "start byoc try with --artifact" in json.load(answer)["message"]
        page.process.send_signal(signal.SIGTERM)
        assert page.ended() == (143, "Ctrl-C ends it\n", "byoc: stopped\n")
    urllib.request.urlopen(f"{url}/ping").close()


def test_times_are_split_only_where_no_other_client_came_in_between(url: str, samples: Path) -> None:
    photo = samples / "test" / "coffee" / "000.jpg"
    server, other = TimedServer(url), TimedServer(url)
    assert server(photo).parts and server(photo).parts
    other(photo)
    assert server(photo).parts is None
    assert server(photo).parts


@pytest.mark.slow
def test_the_port_and_the_host_are_those_that_are_named(url: str) -> None:
    with tried(url, "--host", "0.0.0.0") as page:
        assert page.process.stderr
        assert "nothing is encrypted" in page.process.stderr.readline()
        assert not page.origin.startswith("http://0.0.0.0")
        port = page.origin.rpartition(":")[2]
        urllib.request.urlopen(f"http://127.0.0.1:{port}/?token={page.token}").close()


@pytest.mark.slow
def test_the_page_is_on_the_loopback_address_alone_by_default(url: str) -> None:
    with tried(url) as page:
        (listening,) = psutil.Process(page.process.pid).net_connections("tcp")
        assert listening.laddr.ip == "127.0.0.1" and page.origin.startswith("http://127.0.0.1:")
    with tried(url) as another:
        assert another.token != page.token and len(page.token) >= 24


def test_what_cannot_be_tried_is_refused_with_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "model.tar.gz").touch()
    said = {
        ("empty",): "empty holds no model.json, also not in model/ or job/model/; name the folder of a run",
        ("model.tar.gz",): "model.tar.gz is a file; unpack the archive, and name the folder that holds model.json",
        (
            "dogs",
        ): "'dogs' is neither a folder nor an address such as http://127.0.0.1:8080; to try an endpoint of that name, add --on sag",
        ("http://127.0.0.1:9",): "no server answers at http://127.0.0.1:9 (",
        ("http://127.0.0.1:abc",): "'http://127.0.0.1:abc' is not a server's address; write it as in",
        ("empty", "--artifact", "empty"): "--artifact is for an address or an endpoint; leave it out",
        ("http://127.0.0.1:9", "--port", "65536"): "--port is 65536; it must lie between 0 and 65535",
        ("http://127.0.0.1:9", "--host", "home"): "--host is 'home'; write an address of this machine",
        ("http://127.0.0.1:9", "--host", "192.0.2.7"): "port 0 of 192.0.2.7 cannot be used: ",
    }
    for arguments, sentence in said.items():
        assert sentence in refused(capsys, *arguments), arguments


def test_a_port_that_is_taken_and_a_folder_that_is_a_file_are_named(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert re.search(rf"port {port} of 127\.0\.0\.1 cannot be used: .*in use", refused(capsys, url, "--port", port))
    (tmp_path / "file").touch()
    assert f"{tmp_path / 'file'} cannot be used: File exists" in refused(capsys, url, "--keep", tmp_path / "file")


def test_the_help_shows_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["try", "--help"])
    assert "  byoc try runs/one --open\n" in capsys.readouterr().out
