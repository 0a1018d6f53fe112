"""Work on many files at a time: what is still going on when an error is raised."""

import threading
import time
from pathlib import Path

import pytest

from launch.aws.account.files import File
from launch.aws.account.threads import THREADS, each


def files(count: int) -> list[File]:
    return [File(path=Path(f"{number}.jpg"), key=f"{number}.jpg", size=0) for number in range(count)]


def test_an_error_is_raised_when_the_files_that_were_begun_are_done_with() -> None:
    begun, done, all_begun = [], [], threading.Barrier(THREADS)

    def work(file: File) -> None:
        begun.append(file)
        all_begun.wait(10)
        if file.key == "0.jpg":
            raise OSError("the first is refused")
        time.sleep(0.2)
        done.append(file)

    with pytest.raises(OSError, match="the first is refused"):
        for _ in each("send", work, files(4 * THREADS)):
            pass
    assert len(begun) == THREADS
    assert len(done) == THREADS - 1
    assert not [thread for thread in threading.enumerate() if "(run)" in thread.name]
