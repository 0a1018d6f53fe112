"""Works on many files at the same time, and shows the progress."""

import threading
from collections.abc import Callable, Iterator, Sequence
from queue import SimpleQueue
from typing import TypeVar

from classifier.progress import Progress
from launch.aws.account.files import File

# Enough for 800 requests/s at 20 ms each, which is more than Python can sign; more threads slow each other down.
THREADS = 16
Result = TypeVar("Result")


def each(label: str, work: Callable[[File], Result], files: Sequence[File]) -> Iterator[tuple[File, Result]]:
    """Run `work` on files in several threads, and yield each result as it comes.

    After an error or an interrupt, no further file is started. An error is raised once the files that were started are finished; an
    interrupt does not wait for them.
    """
    # Trap: leaving a ThreadPoolExecutor after Ctrl-C may never return (launch/check.py), so no thread is joined after an interrupt.
    done: SimpleQueue[tuple[File, Result | None, BaseException | None]] = SimpleQueue()
    rest, lock, ended = iter(files), threading.Lock(), threading.Event()

    def run() -> None:
        while not ended.is_set():
            with lock:
                file = next(rest, None)
            if file is None:
                return
            try:
                done.put((file, work(file), None))
            except BaseException as error:
                ended.set()
                done.put((file, None, error))

    threads = [threading.Thread(target=run, daemon=True) for _ in range(min(THREADS, len(files)))]
    for thread in threads:
        thread.start()
    try:
        with Progress(label, len(files), "photos") as progress:
            for _ in files:
                file, result, error = done.get()
                if error is not None:
                    for thread in threads:
                        thread.join()
                    raise error
                progress.advance()
                yield file, result  # type: ignore[misc]  # the result is None only after an error
    finally:
        ended.set()
