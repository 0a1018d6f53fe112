"""Puts a user's code in place as sagemaker-training does: fetches and unpacks it, and lets pip install its requirements."""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from classifier.archives import is_archive, other_kind, unpack
from classifier.errors import ArchiveError, ConfigError
from train.environment import CODE_ARTIFACT

ARCHIVES = (".tar.gz", ".tgz", ".tar")
FETCHED = ".fetched"  # marks a folder that fetch() has filled; a restarted container empties it and fetches again
CONSTRAINT = "The user requested (constraint) "  # a phrase of pip's, like the next ones
BROKEN = "connection broken by "
REASON = 600  # pip's reasons are cut after this many characters; the whole failure text may have 1,024


def fetch(source: str, folder: Path) -> None:
    """Put code into a folder: from another folder, an archive, a single file or an S3 address.

    Raises ConfigError if the code cannot be fetched, and ArchiveError if its archive cannot be unpacked.
    """
    path = Path(source.removeprefix("file://"))
    if path == folder:
        return
    if (folder / FETCHED).exists():
        _empty(folder)
    if any(folder.iterdir()):
        raise ConfigError(
            f"sagemaker_submit_directory names {source!r}, but {folder} already holds {listing(folder)}, which would run in its "
            "place; leave one of them out"
        )
    if source.startswith("s3://"):
        _fetch_from_s3(source, folder)
    elif path.is_dir():
        try:
            shutil.copytree(path, folder, dirs_exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"sagemaker_submit_directory {source!r} cannot be copied to {folder} ({error})"
            ) from error
    elif path.is_file() and (path.name.endswith(ARCHIVES) or is_archive(path) or other_kind(path)):
        unpack(path, folder)
    elif path.is_file():
        shutil.copy2(path, folder)
    else:
        raise ConfigError(
            f"sagemaker_submit_directory {source!r} cannot be unpacked into {folder}, since it is not there; name a folder, a "
            ".tar.gz or an S3 address"
        )
    (folder / FETCHED).touch()


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _fetch_from_s3(source: str, folder: Path) -> None:
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError
    from sagemaker_training import files

    with tempfile.TemporaryDirectory() as scratch:
        archive = Path(scratch) / "sourcedir.tar.gz"
        try:
            files.s3_download(source, str(archive))
            unpack(archive, folder)
        except ArchiveError as error:
            raise ArchiveError(str(error).replace(str(archive), source)) from error
        except (Boto3Error, BotoCoreError, ClientError, OSError, ValueError) as error:
            raise ConfigError(
                f"sagemaker_submit_directory {source!r} cannot be fetched ({error}); correct the address of the .tar.gz, or let "
                "the job's role read it"
            ) from error


def is_package(name: str, folder: Path) -> bool:
    """Return whether `name` is a module of a package that pip must install.

    This is so if there is a setup.py, as in the toolkit, or a pyproject.toml.
    """
    if name.endswith(".sh"):
        return False
    # Beside a script of this name, a pyproject.toml may hold only the settings of a linter.
    return (folder / "setup.py").exists() or ((folder / "pyproject.toml").exists() and not (folder / name).is_file())


def check(name: str, folder: Path) -> None:
    """Raise ConfigError if the script is missing, or if its line ends prevent its start."""
    script = folder / name
    if not script.is_file():
        raise ConfigError(
            f"the script {name!r} is not in {folder}, which holds {listing(folder)}; {_remedy(name, folder)}"
        )
    if name.endswith(".ipynb"):
        raise ConfigError(
            f"{name} is a notebook, which Python does not run; save it as a script, as jupyter nbconvert --to script {name} does"
        )
    if not name.endswith(".py"):
        with script.open("rb") as file:
            if file.readline().endswith(b"\r\n"):
                raise ConfigError(
                    f"{name} has the line ends of Windows, which no shell understands; save it with those of Unix"
                )


def _remedy(name: str, folder: Path) -> str:
    """Return the remedy for a missing script: unpack the archive, name the script's folder, or correct its name."""
    held = [path for path in folder.iterdir() if path.name != FETCHED] if folder.is_dir() else []
    if len(held) == 1 and held[0].is_file():
        if kind := other_kind(held[0]):
            return f"{held[0].name} is {kind}; send the folder or a .tar.gz of it as sagemaker_submit_directory"
        if is_archive(held[0]):
            return (
                f"{held[0].name} is an archive inside the folder; name the archive itself, or send the folder or a .tar.gz of it "
                "as sagemaker_submit_directory"
            )
    script = folder / name
    if near := next((path.name for path in script.parent.glob(f"{script.stem}.*") if path.is_file()), None):
        return f"name {near}"
    if below := next((path for path in sorted(folder.glob(f"*/{script.name}")) if path.is_file()), None):
        return f"name {below.relative_to(folder)}"
    return "correct sagemaker_program or the folder that was sent"


def listing(folder: Path) -> str:
    """Return the names in a folder, for a message."""
    names = sorted(path.name for path in folder.iterdir() if path.name != FETCHED) if folder.is_dir() else []
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "") if names else "nothing"


def command(name: str, folder: Path, arguments: Sequence[str]) -> list[str]:
    """Return the command that runs a script, a module of a package, or a program, with the job's hyperparameters."""
    if is_package(name, folder):
        return [sys.executable, "-m", name.removesuffix(".py"), *arguments]
    if name.endswith(".py"):
        return [sys.executable, name, *arguments]
    # A shell starts the script, because its first line may name no interpreter.
    return ["/bin/sh", "-c", shlex.join([name if name.startswith("/") else f"./{name}", *arguments])]


def install(name: str, folder: Path) -> None:
    """Install the code's requirements; if that fails, raise ConfigError with the requirement and pip's reason."""
    requirements = (folder / "requirements.txt").exists()
    if is_package(name, folder):
        _pip([".", *(["-r", "requirements.txt"] if requirements else [])], name, folder)
        return
    check(name, folder)
    if not name.endswith(".py"):
        _make_executable(folder / name)
        if requirements:
            print(f"requirements.txt is not installed: {name} is not Python and may do that itself", flush=True)
    elif requirements:
        _pip(["-r", "requirements.txt"], name, folder)


def _make_executable(script: Path) -> None:
    if os.access(script, os.X_OK):
        return
    try:
        script.chmod(0o755)
    except OSError as error:  # a folder that is mounted read-only, or another user's file
        raise ConfigError(
            f"{script} is not executable and cannot be made so ({error.strerror}); make it executable before it is sent: "
            f"chmod +x {script.name}"
        ) from error


def _pip(what: list[str], name: str, folder: Path) -> None:
    from sagemaker_training import modules

    index = ["-i", modules._get_codeartifact_index()] if CODE_ARTIFACT.read() else []
    process = subprocess.Popen(
        # -P: a user's module must not replace one of pip's.
        [sys.executable, "-P", "-m", "pip", "install", "--disable-pip-version-check", *what, *index],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    lines = []
    assert process.stdout is not None
    for line in process.stdout:
        print(line, end="", flush=True)
        lines.append(line.strip())
    if status := process.wait():
        raise ConfigError(
            f"pip could not install what {name} needs (`pip install {' '.join(what)}` ended with status {status}): "
            f"{_reason(lines)}"
        )


def _reason(lines: Sequence[str]) -> str:
    """Return the reason of pip's failure, and the remedy, from the lines that pip printed.

    The reason combines pip's errors with the requirement, the packages whose versions the image fixes, and the cause of a missing
    connection.
    """
    errors, about, last = [], "", ""
    for line in filter(None, lines):
        last = line
        if line.startswith(("Collecting ", "Processing ")):
            about = line.split(" ", 1)[1]
        elif line.startswith("ERROR: "):
            errors.append(line.removeprefix("ERROR: "))
        elif line.startswith("error: ") and about:
            errors.append(f"{about}: {line.removeprefix('error: ')}")
    # pip's line about a constraint names the packages of the image; the error ResolutionImpossible adds nothing to it.
    held = [line.removeprefix(CONSTRAINT).partition("==") for line in lines if line.startswith(CONSTRAINT)]
    text = "; ".join(dict.fromkeys(error for error in errors if not (held and "ResolutionImpossible" in error))) or last
    if held:
        text = text[:REASON].removesuffix(" because these package versions have conflicting dependencies.")
        has = " and ".join(dict.fromkeys(f"{name} {version}" for name, _, version in held))
        return (
            f"{text}: the image has {has}, which a constraint of its pip keeps; leave {held[0][0]} out of the requirements, or "
            "change the version of the package that needs it"
        )
    if broken := [line.split(BROKEN)[1] for line in lines if BROKEN in line]:
        return (
            f"{text[:REASON]} (no connection: {broken[-1]}); if the job has no network, put the packages into the image"
        )
    return text[:REASON]
