"""Serving: start, health, and one photo in many forms."""

import threading
from collections.abc import Callable
from statistics import median

from local_test.contract import bodies, images
from local_test.contract.clause import API, DOCKERFILE, GUIDE, HOSTING, LOCAL_MODE, OWN, clause
from local_test.contract.platforms import Endpoint

Seen = Callable[[str], None]
BUSY = 8  # clients at the same time


@clause("`docker run IMAGE serve` answers GET /ping with 200 on port 8080, within 8 minutes of its start", HOSTING)
def test_the_argument_serve_starts_the_server(endpoint: Endpoint, seen: Seen) -> None:
    seen(f"ready after {endpoint.ready:.1f} s; {endpoint.healthy()}")


@clause("the entry point is in exec form, so that the program gets the signals, and is not tini", HOSTING)
def test_the_entry_point_is_in_exec_form(image: str, seen: Seen) -> None:
    entry, command = images.entry(image)
    seen(f"ENTRYPOINT {entry}, CMD {command}")
    assert not images.shell_form(entry) and not images.shell_form(command), "a shell gets the signals"
    assert not entry or "tini" not in entry[0], "tini is confused by the arguments train and serve"


@clause("the default command is serve", LOCAL_MODE)
def test_the_default_command_is_serve(image: str, seen: Seen) -> None:
    entry, command = images.entry(image)
    seen(f"ENTRYPOINT {entry}, CMD {command}")
    assert (entry + command)[-1:] and (entry + command)[-1].endswith("serve"), "it does not end in serve"


@clause("the image is for linux/amd64 and holds no NVIDIA driver", DOCKERFILE)
def test_the_image_holds_no_driver(image: str, seen: Seen) -> None:
    seen(images.platform(image))
    assert images.platform(image) == "linux/amd64", "endpoints and jobs run on linux/amd64"
    found = images.drivers(image)
    assert not found, f"it holds {found[0]}"


@clause("the first 200 from /ping means that the model is loaded and warm", HOSTING)
def test_the_first_200_means_that_the_model_is_loaded(endpoint: Endpoint, photo: bytes, seen: Seen) -> None:
    first, later = endpoint.first, [endpoint.invoke(photo, "image/jpeg").seconds for _ in range(5)]
    seen(f"the first photo, sent at once, took {first.seconds:.2f} s, later ones {median(later):.2f} s")
    assert first.status == 200, first.brief()
    assert first.seconds < median(later) + 1, "the first request waited for the model"


@clause("connections are accepted within 250 ms", HOSTING)
def test_connections_are_accepted_at_once(endpoint: Endpoint, seen: Seen) -> None:
    slowest = max(endpoint.connect_seconds() for _ in range(20))
    seen(f"slowest of 20: {slowest * 1000:.0f} ms")
    assert slowest < 0.25, "over 250 ms"


@clause("/ping answers within 2 s while every worker is busy", HOSTING)
def test_ping_answers_while_the_model_is_busy(endpoint: Endpoint, photo: bytes, seen: Seen) -> None:
    large, over = bodies.enlarged(photo, 4000, 3000), threading.Event()

    def load() -> None:
        while not over.is_set():
            endpoint.invoke(large, "image/jpeg")

    clients = [threading.Thread(target=load) for _ in range(BUSY)]
    for client in clients:
        client.start()
    try:
        over.wait(1)
        pings = [endpoint.get("/ping", timeout=10) for _ in range(20) if not over.wait(0.1)]
    finally:
        over.set()
        for client in clients:
            client.join()
    seen(f"{BUSY} clients with 12-megapixel photos; slowest of 20 pings {max(ping.seconds for ping in pings):.2f} s")
    assert all(ping.status == 200 and ping.seconds < 2 for ping in pings), "not all within 2 s"


@clause("POST /invocations answers a photo within 60 s", HOSTING)
def test_a_photo_is_answered(endpoint: Endpoint, photo: bytes, seen: Seen) -> None:
    answer = endpoint.invoke(photo, "image/jpeg")
    seen(f"{answer.status} after {answer.seconds:.2f} s: {answer.text[:100]}")
    assert answer.status == 200 and answer.body and answer.seconds < 60


@clause("the usual formats: JPEG, PNG, WebP, GIF, BMP, TIFF, application/x-image, application/octet-stream", OWN)
def test_the_usual_formats_are_answered(endpoint: Endpoint, photo: bytes, seen: Seen) -> None:
    found = {name: endpoint.invoke(bodies.encoded(photo, kind), name) for name, kind in bodies.TYPES.items()}
    seen(", ".join(f"{name.rpartition('/')[2]} {answer.status}" for name, answer in found.items()))
    assert all(answer.status == 200 for answer in found.values()), "not every photo is answered"


@clause("a Content-Type may have parameters, and may be written in upper or lower case", OWN)
def test_parameters_of_a_content_type_do_not_matter(endpoint: Endpoint, photo: bytes, seen: Seen) -> None:
    types = ("image/jpeg; charset=utf-8", "image/JPEG", "IMAGE/jpeg ; x=y")
    found = {name: endpoint.invoke(photo, name) for name in types}
    seen(", ".join(f"{name} {answer.status}" for name, answer in found.items()))
    assert all(answer.status == 200 for answer in found.values()), "not every photo is answered"


@clause("each of several photos in one application/json request gets an answer", OWN)
def test_several_photos_in_one_json_request(endpoint: Endpoint, photo: bytes, seen: Seen) -> None:
    answer = endpoint.invoke(bodies.instances([photo, photo]), "application/json; charset=utf-8")
    value = answer.json
    found = value.get("predictions") if isinstance(value, dict) else value
    seen(answer.brief() if answer.status != 200 else answer.text[:120])
    assert answer.status == 200 and isinstance(found, list) and len(found) == 2, "not two answers"


@clause(
    "Accept chooses the form of the answer: text/csv or application/jsonlines; */* or no Accept gets the default", OWN
)
def test_accept_chooses_the_form(endpoint: Endpoint, photo: bytes, seen: Seen) -> None:
    wanted = {"*/*": "", "application/json": "json", "text/csv": "csv", "application/jsonlines": "jsonlines"}
    found = {accept: endpoint.invoke(photo, "image/jpeg", Accept=accept) for accept in wanted}
    seen(", ".join(f"{name} {it.status} {it.headers.get('content-type', '')}" for name, it in found.items()))
    for accept, word in wanted.items():
        answer = found[accept]
        assert answer.status == 200, f"Accept: {accept} gets {answer.status}"
        assert word in answer.headers.get("content-type", ""), f"Accept: {accept} gets another form"


@clause("a request may carry every header of InvokeEndpoint, and unknown headers", API.format("InvokeEndpoint"))
def test_headers_of_the_platform_are_no_obstacle(endpoint: Endpoint, photo: bytes, seen: Seen) -> None:
    prefix = "X_Amzn_SageMaker_"
    headers = {
        f"{prefix}{name}": "contract" for name in ("Target_Model", "Target_Variant", "Target_Container_Hostname")
    }
    headers |= {f"{prefix}Inference_Id": "i" * 64, f"{prefix}Session_Id": "NEW_SESSION", "X_Unheard_Of": "1"}
    headers |= {f"{prefix}Custom_Attributes": "trace=" + "a" * 1018, f"{prefix}Enable_Explanations": "`false`"}
    answer = endpoint.invoke(photo, "image/jpeg", **headers)
    seen(answer.brief())
    assert answer.status == 200


@clause("a body of 6,291,456 bytes, InvokeEndpoint's older limit, is answered", API.format("InvokeEndpoint"))
def test_a_body_of_6_mb_is_answered(endpoint: Endpoint, photo: bytes, seen: Seen) -> None:
    answer = endpoint.invoke(bodies.padded(photo, 6_291_456), "image/jpeg")
    seen(answer.brief())
    assert answer.status == 200


@clause("a body of 25,000,000 bytes, hosting's limit today, is answered", GUIDE.format("hosting FAQ"))
def test_a_body_of_25_mb_is_answered(endpoint: Endpoint, photo: bytes, seen: Seen) -> None:
    answer = endpoint.invoke(bodies.padded(photo, 25_000_000), "image/jpeg")
    seen(answer.brief())
    assert answer.status == 200


@clause(
    "GET /metrics on port 8080 gives Prometheus text, which EnableDetailedObservability collects",
    API.format("CreateEndpointConfig"),
)
def test_metrics_are_prometheus_text(endpoint: Endpoint, seen: Seen) -> None:
    answer = endpoint.get("/metrics")
    seen(f"{answer.status} {answer.headers.get('content-type', '')}, {len(answer.body)} bytes")
    lines = [line for line in answer.text.splitlines() if line and not line.startswith("#")]
    assert answer.status == 200 and lines and all(_sample(line) for line in lines), "no Prometheus text"


def _sample(line: str) -> bool:
    try:
        float(line.rpartition(" ")[2])
    except ValueError:
        return False
    return True


@clause("nothing but port 8080 can be reached from outside", OWN)
def test_only_the_port_of_the_contract_is_open(endpoint: Endpoint, seen: Seen) -> None:
    ports = endpoint.listening()
    seen(f"listening: {', '.join(map(str, sorted(ports)))}")
    assert ports == {8080}, "other ports are open"
