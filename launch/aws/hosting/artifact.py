"""Finds the artifact that a user names as MODEL: an archive in S3, a training job, or a folder or an archive on this machine.

Artifacts on this machine are uploaded.
"""

import gzip
import hashlib
import shutil
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from botocore.exceptions import ClientError

from classifier.errors import ConfigError
from classifier.names import is_system, one_line
from classifier.progress import Progress
from launch.aws.buckets import encryption, named, split
from launch.aws.errors import AwsError, explained
from launch.aws.hosting.endpoint import described
from launch.aws.session import Session

ARCHIVE = ".tar.gz"


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """The address of a model's archive in S3.

    If the model is on this machine, `here` is its path, and it is uploaded to that address.
    """

    uri: str
    where: str  # a description for the user
    here: Path | None = None  # a folder or an archive on this machine


def find(session: Session, source: str) -> Artifact:
    """Return the artifact that `source` names.

    Raises ConfigError if `source` cannot name an artifact, and AwsError if the archive in S3, the job or the job's model does not exist.
    """
    if source.startswith("s3://"):
        return _in_s3(session, source)
    path = Path(source)
    if path.exists():
        return _here(session, path)
    if "/" in source or source.endswith(ARCHIVE):
        raise ConfigError(
            f"{source} does not exist; name a folder that holds model.json, an archive, or a training job"
        )
    return _of_job(session, source)


def upload(session: Session, artifact: Artifact) -> bool:
    """Upload an artifact from this machine to S3. Return False if S3 already has it or if it was never on this machine, and True otherwise.

    The key contains a checksum of the artifact.
    """
    if artifact.here is None or exists(session, artifact.uri):
        return False
    bucket, key = split(artifact.uri)
    with tempfile.TemporaryFile() as file:
        if artifact.here.is_dir():
            pack(artifact.here, file)
        else:
            with artifact.here.open("rb") as archive:
                shutil.copyfileobj(archive, file)
        size = file.tell()
        file.seek(0)
        with explained(artifact.uri), Progress("upload", size, "bytes") as progress:
            session.client("s3").upload_fileobj(
                file, bucket, key, ExtraArgs=encryption(session.settings), Callback=progress.advance
            )
    return True


def exists(session: Session, uri: str) -> bool:
    """Return whether an object exists in S3."""
    bucket, key = split(uri)
    with explained(uri):
        try:
            session.client("s3").head_object(Bucket=bucket, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] in ("404", "NoSuchKey"):
                return False
            raise
    return True


def archives(session: Session, uri: str, most: int = 1000) -> list[str]:
    """Return the keys of archives below a prefix, without the prefix.

    A multi-model endpoint names its models in this way.
    """
    bucket, prefix = split(uri)
    found: list[str] = []
    with explained(uri):
        for page in session.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            keys = (entry["Key"] for entry in page.get("Contents", ()))
            found += [key.removeprefix(prefix) for key in keys if key.endswith(ARCHIVE)]
            if len(found) >= most:
                break
    return found[:most]


def below(session: Session, *parts: str) -> str:
    """Return an address below the bucket and prefix of the settings; raises ConfigError if no bucket is named."""
    prefix = session.settings.prefix.strip("/")
    return "/".join([f"s3://{named(session.settings)}", *filter(None, [prefix]), *parts])


def pack(folder: Path, into: IO[bytes]) -> None:
    """Write a model's folder as a .tar.gz. The same files always give the same bytes."""
    # Compression does not make weights smaller; level 1 takes a third of the time of level 9.
    with (
        gzip.GzipFile(fileobj=into, mode="wb", mtime=0, compresslevel=1) as zipped,
        tarfile.open(fileobj=zipped, mode="w") as tar,
    ):
        for path in _files(folder):
            member = tarfile.TarInfo(path.relative_to(folder).as_posix())
            member.size = path.stat().st_size
            member.mode = 0o644
            with path.open("rb") as file:
                tar.addfile(member, file)


def _in_s3(session: Session, uri: str) -> Artifact:
    split(uri)
    if not uri.endswith(ARCHIVE):
        raise ConfigError(
            f"{uri} is not an archive; name a model{ARCHIVE}, or pass the prefix of several with --multi-model"
        )
    if not exists(session, uri):
        raise AwsError(f"there is no {uri}; correct the address, or name the training job that made it", "NoSuchKey")
    return Artifact(uri=uri, where=uri)


def _here(session: Session, path: Path) -> Artifact:
    if path.is_dir() and not (path / "model.json").is_file():
        raise ConfigError(f"{one_line(path)} holds no model.json; name the folder `model` that training wrote")
    if path.is_file() and not path.name.endswith(ARCHIVE):
        raise ConfigError(f"{one_line(path)} is neither a folder nor a {ARCHIVE}; name a model that training wrote")
    return Artifact(uri=below(session, "models", _digest(path), f"model{ARCHIVE}"), where=one_line(path), here=path)


def _files(folder: Path) -> list[Path]:
    """Return a model's files, without the files that operating systems add."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return [path for path in files if not any(is_system(part) for part in path.relative_to(folder).parts)]


def _digest(path: Path) -> str:
    """Return a checksum of a file, or of a folder's files with their names."""
    digest = hashlib.sha256()
    for file in _files(path) if path.is_dir() else [path]:
        digest.update(f"{file.relative_to(path).as_posix()}\0{file.stat().st_size}\0".encode(errors="surrogateescape"))
        with file.open("rb") as content:
            while block := content.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()[:16]


def _of_job(session: Session, name: str) -> Artifact:
    job = described(f"training job {name}", session.client("sagemaker").describe_training_job, TrainingJobName=name)
    if job is None:
        raise AwsError(
            f"{name} is neither a folder here nor a training job in {session.region}; byoc jobs lists the training jobs"
        )
    status, uri = job["TrainingJobStatus"], job.get("ModelArtifacts", {}).get("S3ModelArtifacts", "")
    if status not in ("Completed", "Stopped"):
        reason = job.get("FailureReason", "")
        raise AwsError(f"the training job {name} is {status}{f' ({reason})' if reason else ''} and has left no model")
    if not uri.endswith(ARCHIVE):
        raise AwsError(f"the training job {name} is {status} and has left no archive; deploy another job's model")
    if not exists(session, uri):
        raise AwsError(f"the training job {name} has left no model at {uri}; it was deleted, train again")
    return Artifact(uri=uri, where=f"training job {name}" + (", which was stopped" if status == "Stopped" else ""))
