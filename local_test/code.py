"""Copies a user's code, because a job changes it: script mode makes scripts executable, and pip builds packages in their folder."""

import shutil
from pathlib import Path


def copied(file: str, source: Path | None, folder: Path) -> tuple[str, Path]:
    """Copy a file, or the whole folder `source` that contains it, to `folder`. Return the file's name in `folder`, and `folder`."""
    if source:
        shutil.copytree(source, folder, dirs_exist_ok=True)
        return file, folder
    folder.mkdir(exist_ok=True)
    shutil.copy2(file, folder)
    return Path(file).name, folder
