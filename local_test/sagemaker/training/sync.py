"""Keeps folders of a running job in S3: checkpoints, and what TensorBoard and Debugger write (C 1.2)."""

import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from local_test.sagemaker.machine import Mount
from local_test.sagemaker.storage import S3Uri, Storage, copy_below
from local_test.sagemaker.training.layout import CHECKPOINTS, OUTPUT, HostFolder, files, local_path

STEP = 0.5  # seconds between two checks of the folders


class Sync:
    """A folder of each host and its copy in S3. New and changed files are copied to S3, and deleted files are deleted there too."""

    def __init__(self, where: S3Uri, folders: list[Path], storage: Storage) -> None:
        self._where = where
        self._folders = folders
        self._storage = storage
        self._known: dict[Path, tuple[int, int]] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"sync {where}", daemon=True)

    def restore(self) -> None:
        """Copy the files in S3 to all hosts before they start; files that come to S3 later are not copied (C 1.2)."""
        prefix = self._where.key and self._where.key.rstrip("/") + "/"
        for entry in self._storage.objects(S3Uri(self._where.bucket, prefix)):
            name = entry.key[len(prefix) :]
            for folder in self._folders if name and not name.endswith("/") else []:
                path = copy_below(entry.path, folder, name)
                self._known[path] = _state(path)

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """Bring S3 up to date and stop."""
        self._ended.set()
        if self._thread.ident:
            self._thread.join()
        self._look()

    def _run(self) -> None:
        while not self._ended.wait(STEP):
            with suppress(OSError):  # for instance a full disk: the next round tries again, and the last round raises
                self._look()

    def _look(self) -> None:
        for folder in self._folders:
            there = {path: state for path in files(folder) if (state := _state(path))}
            known = {path: state for path, state in self._known.items() if path.is_relative_to(folder)}
            for path in there.keys() - known.keys() | {
                path for path in there.keys() & known.keys() if there[path] != known[path]
            }:
                if self._put(path, folder):
                    self._known[path] = there[path]
            for path in known.keys() - there.keys():
                self._storage.delete(self._where.below(path.relative_to(folder).as_posix()))
                del self._known[path]

    def _put(self, path: Path, folder: Path) -> bool:
        """Return whether a file was copied. A file that no longer exists, or that only a container's root may read, is not
        copied; this user becomes the owner of such files when the container has ended.
        """
        try:
            self._storage.put(self._where.below(path.relative_to(folder).as_posix()), path)
        except (FileNotFoundError, PermissionError):
            return False
        return True


def syncs(request: Mapping[str, Any], hosts: list[HostFolder], storage: Storage) -> list[Sync]:
    """Return the folders that are kept in S3 while a job runs; checkpoints are also restored."""
    found = []
    if checkpoints := request.get("CheckpointConfig"):
        sync = Sync(S3Uri.parse(checkpoints["S3Uri"]), [host.checkpoints for host in hosts], storage)
        sync.restore()
        found.append(sync)
    # Below the job's name, in the folders where the SDK looks (V2 estimator.py, latest_job_tensorboard_artifacts_path).
    for member, name in (("TensorBoardOutputConfig", "tensorboard"), ("DebugHookConfig", "tensors")):
        config = request.get(member)
        if config and local_path(config, OUTPUT / name).is_relative_to(OUTPUT):
            place = local_path(config, OUTPUT / name).relative_to(OUTPUT)
            target = {"tensorboard": "tensorboard-output", "tensors": "debug-output"}[name]
            where = S3Uri.parse(config["S3OutputPath"]).below(request["TrainingJobName"]).below(target)
            folders = [host.output / place for host in hosts]
            for folder in folders:
                folder.mkdir(parents=True, exist_ok=True)
                folder.chmod(0o777)
            found.append(Sync(where, folders, storage))
    return found


def checkpoint_mount(request: Mapping[str, Any], host: HostFolder) -> list[Mount]:
    config = request.get("CheckpointConfig")
    return [Mount(host.checkpoints, local_path(config, CHECKPOINTS))] if config else []


def _state(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except FileNotFoundError:
        return (0, 0)
    return found.st_mtime_ns, found.st_size
