"""Requests that cannot be answered: status codes, bodies, attacks, and the server afterwards."""

import re
import socket
from collections.abc import Callable

from local_test.contract import bodies
from local_test.contract.clause import OWN, clause
from local_test.contract.client import Answer, send
from local_test.contract.platforms import Endpoint

Seen = Callable[[str], None]
SLOW = 30  # half-sent requests at the same time


def assert_refused(found: dict[str, Answer], status: int, seen: Seen) -> None:
    """Check that each answer has this status, and a JSON object as body."""
    seen(", ".join(f"{name} {answer.status}" for name, answer in found.items()))
    for name, answer in found.items():
        assert answer.status == status, f"{name} gets {answer.brief()}, not {status}"
        assert isinstance(answer.json, dict), f"{name} gets no JSON object: {answer.text[:80]!r}"


@clause("bad JSON, bad base64, a missing field, an empty body: 400 with one sentence as JSON", OWN)
def test_a_broken_request_gets_400(endpoint: Endpoint, seen: Seen) -> None:
    broken = {
        "bad JSON": b'{"instances": [',
        "bad base64": b'{"instances": [{"b64": "%%%"}]}',
        "missing field": b'{"instances": [{"photo": ""}]}',
        "no instances": b"{}",
    }
    found = {name: endpoint.invoke(body, "application/json") for name, body in broken.items()}
    assert_refused(found | {"empty body": endpoint.invoke(b"", "image/jpeg")}, 400, seen)


@clause("a body that is not a photo, is truncated, or has too many pixels: 422 with one sentence as JSON", OWN)
def test_what_is_no_photo_gets_422(endpoint: Endpoint, photo: bytes, seen: Seen) -> None:
    found = {
        "text": endpoint.invoke(b"no photo at all" * 50, "image/jpeg"),
        "truncated": endpoint.invoke(photo[: len(photo) // 2], "image/jpeg"),
        "3.6 gigapixels": endpoint.invoke(bodies.huge_png(), "image/png"),
    }
    assert_refused(found, 422, seen)


@clause("a Content-Type that is not supported: 415 with a list of the supported types", OWN)
def test_an_unsupported_content_type_gets_415(endpoint: Endpoint, photo: bytes, seen: Seen) -> None:
    found = {name: endpoint.invoke(photo, name) for name in ("application/x-tar", "text/plain", "nonsense")}
    assert_refused(found, 415, seen)
    assert all("image/jpeg" in answer.text for answer in found.values()), "the supported types are not listed"


@clause("an Accept that cannot be satisfied: 406 with a list of the possible types", OWN)
def test_an_unsatisfiable_accept_gets_406(endpoint: Endpoint, photo: bytes, seen: Seen) -> None:
    found = {name: endpoint.invoke(photo, "image/jpeg", Accept=name) for name in ("audio/mpeg", "image/png")}
    assert_refused(found, 406, seen)
    assert all("application/json" in answer.text for answer in found.values()), "the supported types are not listed"


@clause("a body over the limit: 413 with one sentence as JSON, which names the limit", OWN)
def test_a_body_over_the_limit_gets_413(endpoint: Endpoint, photo: bytes, seen: Seen) -> None:
    answer = endpoint.invoke(bodies.padded(photo, 40_000_000), "image/jpeg")
    assert_refused({"40 MB": answer}, 413, seen)
    numbers = re.findall(r"\d[\d,]*", str(answer.json.get("message", answer.text)))
    # The message may also hold its status code and the body's size; neither is the limit.
    limits = {int(number.replace(",", "")) for number in numbers} - {413, 40, 40_000_000}
    assert limits, "the limit is not named"


@clause("a numpy body with a pickled command does not run the command", OWN)
def test_a_pickled_body_runs_nothing(endpoint: Endpoint, seen: Seen) -> None:
    for name in ("application/x-npy", "application/octet-stream"):
        answer = endpoint.invoke(bodies.pickled_npy("touch /tmp/contract-ran"), name)
        seen(f"{name} {answer.status}")
        assert answer.status, f"{name} gets {answer.brief()}"
    listing = endpoint.execute("ls", "/tmp")
    assert listing.returncode == 0, f"the files in /tmp cannot be listed: {listing.stderr.strip()}"
    assert "contract-ran" not in listing.stdout.split(), "the pickled command ran inside the container"


@clause("the model server's management interface cannot be reached", OWN)
def test_the_management_interface_is_closed(endpoint: Endpoint, seen: Seen) -> None:
    # The address is a closed port of this machine, so a server that tries to load from it fails at once.
    tried = {
        "list models": endpoint.get("/models"),
        "register from a URL": endpoint.post("/models?url=http://127.0.0.1:9/contract.mar", b""),
        "scale workers": send(endpoint.place, "PUT", "/models/model?min_worker=1"),
        "describe": endpoint.get("/models/model"),
    }
    seen(", ".join(f"{name} {answer.status}" for name, answer in tried.items()))
    for name, answer in tried.items():
        assert answer.status in (404, 405), f"{name} gets {answer.brief()}"


@clause("requests that clients never finish keep no worker busy", OWN)
def test_half_sent_requests_hold_no_worker(endpoint: Endpoint, photo: bytes, seen: Seen) -> None:
    head = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: 100000\r\n\r\n"
    held = [socket.create_connection(endpoint.place, timeout=5) for _ in range(SLOW)]
    try:
        for number, connection in enumerate(held):
            connection.sendall(head + photo[:1000] if number % 2 else head[:40])
        answer, ping = endpoint.invoke(photo, "image/jpeg"), endpoint.get("/ping", timeout=10)
    finally:
        for connection in held:
            connection.close()
    seen(f"{SLOW} half-sent; a photo {answer.status} after {answer.seconds:.2f} s, /ping {ping.seconds:.2f} s")
    assert answer.status == 200 and ping.status == 200 and ping.seconds < 2


@clause("no error shows internals: no traceback, no path of a file", OWN)
def test_no_error_tells_of_the_inside(endpoint: Endpoint, seen: Seen) -> None:
    inside = re.compile(r"Traceback|File \"|\.py\b|/opt/|/tmp/|/usr/|site-packages|Exception\b")
    told = [answer for answer in endpoint.refusals if inside.search(answer.text)]
    seen(f"{len(endpoint.refusals)} refusals, {len(told)} of them show internals")
    assert endpoint.refusals, "there was no refusal to look at"
    assert not told, f"{told[0].status}: {' '.join(told[0].text.split())[:160]}"


@clause("after all these requests the server still runs and answers a photo as before", OWN)
def test_the_server_is_unharmed(endpoint: Endpoint, photo: bytes, seen: Seen) -> None:
    answer = endpoint.invoke(photo, "image/jpeg")
    seen(answer.brief())
    assert endpoint.running() and answer.status == 200
    assert answer.body == endpoint.first.body, "its answer to the same photo changed"
