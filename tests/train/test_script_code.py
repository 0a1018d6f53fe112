"""Script mode: the sources of a user's code, and the packages that are installed for it."""

import http.server
import os
import re
import shutil
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from classifier.errors import ArchiveError, ConfigError
from tests.script_jobs import OFFLINE, archived, failure, lay_out, run, sent
from train.script import staging

trainenv = pytest.mark.trainenv


def emptied(folder: Path) -> None:
    """Empty a folder, including bytecode that Python may have kept in it."""
    shutil.rmtree(folder)
    folder.mkdir()


@trainenv
@pytest.mark.parametrize("name", ["sourcedir.tar.gz", "sourcedir"])
def test_an_archive_is_unpacked_but_not_outside_its_folder(base: Path, tmp_path: Path, name: str) -> None:
    code = lay_out(base, "train.py", "import helper; print('from the archive')")
    (code / "helper.py").write_text("")
    channel = base / "input" / "data" / "code"
    channel.mkdir()
    archive = archived(channel / name, code / "train.py", code / "helper.py")
    sent(base, sagemaker_submit_directory=str(archive))
    status, output, errors = run(base)
    assert status == 0 and "from the archive" in output, errors
    emptied(base / "code")
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(code / "train.py", "../outside.py")
    status, _, _ = run(base)
    assert status == 1 and "cannot be unpacked: '../outside.py' leads out" in failure(base)
    assert not (base / "outside.py").exists()


class Bucket(http.server.BaseHTTPRequestHandler):
    """The part of Amazon S3 that serves the download of one object, on the loopback interface."""

    content = b""

    def do_HEAD(self) -> None:
        found = self.path == "/bucket/job/source/sourcedir.tar.gz"
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(self.content) if found else 0))
        self.send_header("ETag", '"1"')
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(self.content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def s3() -> Iterator[dict[str, str]]:
    """Yield the environment variables that direct the AWS SDK to our bucket."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Bucket)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    yield {
        "AWS_ACCESS_KEY_ID": "fake",
        "AWS_SECRET_ACCESS_KEY": "fake",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL_S3": url,
    }
    server.shutdown()
    server.server_close()


@pytest.mark.slow
@trainenv
def test_a_container_that_starts_again_fetches_the_code_again(base: Path) -> None:
    code = lay_out(base, "train.py", "print('first')")
    (code / "gone.py").write_text("")
    assert "first" in run(base)[1]
    (code / "gone.py").unlink()
    (code / "train.py").write_text("import os; print('second', sorted(os.listdir()))")
    status, output, errors = run(base)
    assert status == 0 and "second ['.fetched', 'train.py']" in output, errors


@pytest.mark.slow
@trainenv
def test_code_is_fetched_from_s3_and_an_address_that_leads_nowhere_is_named(
    base: Path, tmp_path: Path, s3: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code = lay_out(base, "train.py", "print('from S3')")
    monkeypatch.setattr(Bucket, "content", archived(tmp_path / "a.tar.gz", code / "train.py").read_bytes())
    sent(base, sagemaker_submit_directory="s3://bucket/job/source/sourcedir.tar.gz")
    status, output, errors = run(base, **s3)
    assert status == 0 and "from S3" in output, errors
    (base / "code" / "train.py").unlink()
    monkeypatch.setattr(Bucket, "content", Bucket.content[:-20])
    assert run(base, **s3)[0] == 1
    assert failure(base).startswith(
        "s3://bucket/job/source/sourcedir.tar.gz cannot be unpacked: it is damaged or cut off"
    )
    sent(base, sagemaker_submit_directory="s3://bucket/absent.tar.gz")
    assert run(base, **s3)[0] == 1
    assert failure(base).startswith(
        "sagemaker_submit_directory 's3://bucket/absent.tar.gz' cannot be fetched (An error"
    )
    assert "Traceback" not in failure(base)


@pytest.mark.slow
@trainenv
def test_code_that_is_not_there_and_a_script_that_is_not_in_it_are_named(base: Path) -> None:
    code = lay_out(base, "train.py", "print('never')")
    sent(base, sagemaker_program="trian.py")
    assert run(base)[0] == 1
    assert failure(base).startswith(f"the script 'trian.py' is not in {base}/code, which holds train.py; correct")
    sent(base, sagemaker_program="train", sagemaker_submit_directory=None)
    assert run(base)[0] == 1
    assert failure(base).endswith("which holds train.py; name train.py")
    emptied(code)
    emptied(base / "code")
    code.rmdir()
    sent(base, sagemaker_submit_directory=str(code))
    assert run(base)[0] == 1
    assert failure(base).startswith(
        f"sagemaker_submit_directory '{code}' cannot be unpacked into {base}/code, since it is"
    )


@trainenv
@pytest.mark.parametrize(
    ("requirements", "reason"),
    [
        ("absent-package-of-a-test>=2\n", "the requirement absent-package-of-a-test>=2 (from versions: none)"),
        ("numpy\nnot a requirement\n", "Invalid requirement: 'not a requirement'"),
        ("-r more.txt\n", "Could not open requirements file: [Errno 2] No such file or directory: "),
        ("./broken\n", "metadata-generation-failed"),
    ],
)
def test_a_requirement_that_cannot_be_installed_is_named_with_pips_reason(
    base: Path, requirements: str, reason: str
) -> None:
    code = lay_out(base, "train.py", "print('never')")
    (code / "requirements.txt").write_text(requirements)
    (code / "broken").mkdir()
    (code / "broken" / "setup.py").write_text("raise SystemExit('broken on purpose')")
    status, output, _ = run(base, **OFFLINE)
    assert status == 1 and failure(base).startswith("pip could not install what train.py needs (`pip"), output
    assert reason in failure(base).splitlines()[0] and "never" not in output
    assert "broken" in failure(base) or "broken" not in requirements


@trainenv
def test_a_requirement_that_the_image_holds_fast_is_named_with_the_constraint(base: Path, tmp_path: Path) -> None:
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("pytest==7.0.0\n")
    code = lay_out(base, "train.py", "print('never')")
    (code / "more.txt").write_text("pytest==6.2.5\n")
    for requirements in ("pytest==6.2.5\n", "-r more.txt\n"):
        shutil.rmtree(base / "code", ignore_errors=True)
        shutil.rmtree(base / "output", ignore_errors=True)
        (code / "requirements.txt").write_text(requirements)
        status, output, _ = run(base, PIP_CONSTRAINT=str(constraints), **OFFLINE)
        reason = "Cannot install pytest==6.2.5: the image has pytest 7.0.0, which a constraint of its pip keeps; leave pytest out"
        assert status == 1 and reason in failure(base).splitlines()[0], output
        assert "network" not in failure(base)


@trainenv
def test_the_network_is_named_only_where_pip_had_no_connection(base: Path) -> None:
    code = lay_out(base, "train.py", "print('never')")
    (code / "requirements.txt").write_text("absent-package-of-a-test\n")
    for environment, expected in (
        (OFFLINE, False),
        ({"PIP_INDEX_URL": "http://127.0.0.1:1/", "PIP_RETRIES": "1"}, True),
    ):
        shutil.rmtree(base / "code", ignore_errors=True)
        shutil.rmtree(base / "output", ignore_errors=True)
        status, output, _ = run(base, PIP_EXTRA_INDEX_URL="", PIP_CONFIG_FILE=os.devnull, **environment)
        assert status == 1 and "absent-package-of-a-test" in failure(base), output
        assert ("if the job has no network, put the packages into the image" in failure(base)) is expected


@trainenv
@pytest.mark.parametrize("metadata", ["setup.py", "pyproject.toml"])
def test_a_package_is_given_to_pip_and_its_module_runs(base: Path, tmp_path: Path, metadata: str) -> None:
    code = lay_out(base, "README", "")
    (code / "brought").mkdir()
    (code / "brought" / "__init__.py").write_text("")
    (code / "brought" / "fit.py").write_text("import sys; print('module', __name__, sys.argv[1:])")
    setup = "from setuptools import setup; setup(name='brought', version='1', packages=['brought'])"
    (code / metadata).write_text(setup if metadata == "setup.py" else "[project]\nname = 'brought'\nversion = '1'\n")
    sent(base, sagemaker_program="brought.fit", epochs=2)
    status, output, errors = run(base, PIP_TARGET=str(tmp_path / "site"), **OFFLINE)
    assert status == 0, errors
    assert "module __main__ ['--epochs', '2']" in output and (tmp_path / "site" / "brought-1.dist-info").is_dir()


@trainenv
def test_a_linters_settings_do_not_make_a_script_a_package(base: Path) -> None:
    code = lay_out(base, "train.py", "print('as a script')")
    (code / "pyproject.toml").write_text("[tool.ruff]\n")
    status, output, errors = run(base)
    assert status == 0 and "as a script" in output, errors


def test_only_a_program_that_is_not_executable_is_made_so(tmp_path: Path) -> None:
    for name, before, after in (("a.sh", 0o644, 0o755), ("b.sh", 0o555, 0o555), ("c", 0o700, 0o700)):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(before)
        staging.install(name, tmp_path)
        assert (tmp_path / name).stat().st_mode & 0o777 == after


def test_a_notebook_named_as_the_script_is_told_how_to_become_one(tmp_path: Path) -> None:
    (tmp_path / "train.ipynb").write_text('{"cells": []}')
    with pytest.raises(ConfigError, match=r"train\.ipynb is a notebook, .* jupyter nbconvert --to script train\.ipynb"):
        staging.install("train.ipynb", tmp_path)


def test_a_program_that_cannot_be_made_executable_is_named_with_the_remedy() -> None:
    with pytest.raises(ConfigError, match=r"/cmdline is not executable and cannot be made so .*: chmod \+x cmdline$"):
        staging.install("cmdline", Path("/proc/self"))  # even root may not change its mode


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("code.zip", "code.zip is a zip file; send the folder or a .tar.gz of it as sagemaker_submit_directory"),
        ("train.zip", "train.zip is a zip file; send the folder"),
        ("code.tar.gz", "code.tar.gz is an archive inside the folder; name the archive itself, or send the folder"),
        ("my/train.py", "name my/train.py"),
        ("notes.txt", "correct sagemaker_program or the folder that was sent"),
    ],
)
def test_a_folder_that_hides_the_script_is_reported_with_the_remedy(tmp_path: Path, name: str, remedy: str) -> None:
    code, file = tmp_path / "code", tmp_path / "code" / name
    file.parent.mkdir(parents=True)
    file.write_text("")
    if name.endswith(".zip"):
        with zipfile.ZipFile(file, "w") as packed:
            packed.writestr("train.py", "")
    elif name.endswith(".gz"):
        archived(file, Path(__file__))
    with pytest.raises(ConfigError, match=rf"the script 'train\.py' is not in .*; {re.escape(remedy)}"):
        staging.check("train.py", code)


def test_a_zip_file_as_the_code_is_refused_whatever_it_is_called(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    for name in ("code.zip", "sourcedir"):
        with zipfile.ZipFile(tmp_path / name, "w") as packed:
            packed.writestr("train.py", "")
        with pytest.raises(ArchiveError, match=f"{name} cannot be unpacked: it is a zip file, not a tar.gz; make"):
            staging.fetch(str(tmp_path / name), tmp_path / "code")


@pytest.mark.parametrize(
    ("name", "begins", "kind"),
    [
        ("code.tar.zst", b"\x28\xb5\x2f\xfd", "a zstd file"),
        ("code.7z", b"7z\xbc\xaf\x27\x1c", "a 7z file"),
        ("code.tar.xz", b"\xfd7zXZ\0", "an xz file"),
    ],
)
def test_an_archive_of_another_kind_is_named_as_the_code_and_inside_its_folder(
    tmp_path: Path, name: str, begins: bytes, kind: str
) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / name).write_bytes(begins + bytes(99))
    with pytest.raises(ArchiveError, match=f"{name} cannot be unpacked: it is {kind}, not a tar.gz; make"):
        staging.fetch(str(tmp_path / name), tmp_path / "code")
    (tmp_path / name).rename(tmp_path / "code" / name)
    with pytest.raises(ConfigError, match=f"{name} is {kind}; send the folder or a .tar.gz of it"):
        staging.check("train.py", tmp_path / "code")
