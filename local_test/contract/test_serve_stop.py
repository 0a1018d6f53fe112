"""Serving that ends: SIGTERM with requests in flight, and processes that die."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

from local_test.contract import bodies
from local_test.contract.clause import GUIDE, HOSTING, clause
from local_test.contract.client import Answer
from local_test.contract.platforms import Endpoint, Platform

Seen = Callable[[str], None]
LIMIT = 30  # seconds between SIGTERM and SIGKILL
FLYING = 16  # requests with 12-megapixel photos


@clause("SIGTERM ends the server before SIGKILL follows after 30 s; requests in flight are answered", HOSTING)
def test_sigterm_drains_the_server(platform: Platform, model: Path, photo: bytes, seen: Seen) -> None:
    large, answers = bodies.enlarged(photo, 4000, 3000), list[tuple[Answer, float]]()
    answered = threading.Event()

    def ask(endpoint: Endpoint) -> None:
        answer = endpoint.invoke_directly(large, "image/jpeg")
        answers.append((answer, time.monotonic()))
        answered.set()

    with platform.endpoint(model) as endpoint:
        endpoint.wait_ready()
        clients = [threading.Thread(target=ask, args=(endpoint,)) for _ in range(FLYING)]
        for client in clients:
            client.start()
        answered.wait(60)  # by now the other requests have reached the server, or are on their way
        asked = time.monotonic()
        end = endpoint.stop(LIMIT)
        for client in clients:
            client.join()
    # A request that was refused because the server had already closed its port was not in flight.
    flying = [answer for answer, answered_at in answers if answered_at > asked and answer.taken]
    codes = [answer.status for answer in flying]
    counts = ", ".join(f"{codes.count(code)} of {code or 'no answer'}" for code in sorted(set(codes)))
    seen(f"{end.how} after {end.seconds:.1f} s; {len(codes)} in flight: {counts}")
    assert not end.killed, "SIGKILL ended it"
    assert codes, "no request was in flight"
    lost = [answer.text for answer in flying if answer.status not in (200, 503)]
    assert not lost, f"requests in flight were lost: {lost[0][:120]}"


@clause(
    "when the server's processes die, the server recovers, or the container ends with a status other than 0",
    GUIDE.format("build-multi-model-build-container"),
)
def test_a_dead_server_is_not_kept(platform: Platform, model: Path, photo: bytes, seen: Seen) -> None:
    with platform.endpoint(model) as endpoint:
        endpoint.wait_ready()
        endpoint.kill_all_but_the_first_process()
        status = endpoint.wait(LIMIT)
        if status is not None:
            seen(f"exit status {status}; {endpoint.last_line()[:120]}")
            assert status, "exit status 0"
            return
        answer = endpoint.invoke(photo, "image/jpeg")
        seen(f"the container runs on; a photo {answer.brief()}")
        assert answer.status == 200, "the container runs on without a server"
