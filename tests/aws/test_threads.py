"""Work on many files at a time: which files are still finished after one raised an error."""

import threading
from pathlib import Path

import pytest

from launch.aws.account.files import File
from launch.aws.account.threads import THREADS, each


def files(count: int) -> list[File]:
    return [File(path=Path(f"{number}.jpg"), key=f"{number}.jpg", size=0) for number in range(count)]


def test_an_error_is_raised_when_the_files_that_were_begun_are_done_with() -> None:
    begun, done, failing, all_begun = [], [], [], threading.Barrier(THREADS)

    def work(file: File) -> None:
        begun.append(file)
        if file.key == "0.jpg":
            failing.append(threading.current_thread())
        all_begun.wait(60)
        if file.key == "0.jpg":
            raise OSError("the first is refused")
        failing[0].join(60)  # when the thread has ended, its error has been noticed
        done.append(file)

    with pytest.raises(OSError, match="the first is refused"):
        for _ in each("send", work, files(4 * THREADS)):
            pass
    assert len(begun) == THREADS
    assert len(done) == THREADS - 1
    assert not [thread for thread in threading.enumerate() if "(run)" in thread.name]
