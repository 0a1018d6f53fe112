"""Packs a job's model and output in the way of SageMaker, and puts them into S3."""

import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from local_test.sagemaker.storage import S3Uri, Storage
from local_test.sagemaker.training.layout import files


def output_folder(request: dict[str, Any]) -> S3Uri:
    """Return the address of a job's archives: <S3OutputPath>/<job>/output (G23 your-algorithms-training-algo-output)."""
    return S3Uri.parse(request["OutputDataConfig"]["S3OutputPath"]).below(request["TrainingJobName"]).below("output")


def model_address(request: dict[str, Any]) -> S3Uri:
    """Return the model's address: an archive, or a folder with CompressionType NONE (API, OutputDataConfig)."""
    folder = output_folder(request)
    return folder.below("model/") if _plain(request) else folder.below("model.tar.gz")


def upload(request: dict[str, Any], storage: Storage, kind: str, folders: Sequence[Path], work: Path) -> None:
    """Put the files of all hosts' folders into S3, as KIND.tar.gz or as files below KIND/."""
    where = output_folder(request)
    if _plain(request):
        for folder in folders:
            for path in files(folder):
                storage.put(where.below(kind).below(path.relative_to(folder).as_posix()), path)
        return
    archive = work / f"{kind}.tar.gz"
    pack(folders, archive)
    storage.put(where.below(archive.name), archive)
    archive.unlink()


def pack(folders: Sequence[Path], archive: Path) -> None:
    """Pack the contents of folders into one archive; if several hosts have a file of the same name, the last one is kept (C 1.2)."""
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        for folder in folders:
            for path in sorted(folder.iterdir()):
                tar.add(path, path.name)


def _plain(request: dict[str, Any]) -> bool:
    return bool(request["OutputDataConfig"].get("CompressionType") == "NONE")
