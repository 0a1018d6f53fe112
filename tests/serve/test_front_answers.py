"""The public port passes on requests and answers; a stand-in replaces the model server and its worker."""

import json
import re
from collections.abc import Callable

import pytest

from serve.formats import Form
from serve.worker_api import Timing, WorkerRequest
from tests import wire
from tests.front import ATTRIBUTES, INFERENCE_ID, JPEG, Served
from tests.standin import answer

pytestmark = pytest.mark.filterwarnings("ignore:It is recommended to use web.RequestKey")
FORMS = "application/json, application/json;verbose, application/jsonlines, text/csv"


def test_an_answer_is_passed_on_counted_and_logged(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    served.says(
        answer(
            200,
            b"the answer",
            content_type="text/csv",
            timing=Timing(decode=0.123456, photos=3, batch=2, model=1),
        )
    )

    def asks() -> None:
        found = served.post(b"12345", JPEG | {INFERENCE_ID: "my-id", "X-Amzn-SageMaker-Target-Model": "y" * 257})
        assert (found.status, found.body) == (200, b"the answer")
        assert (found.headers["Content-Type"], found.headers["Server"]) == ("text/csv", "byoc-classifier")
        assert served.metric('byoc_requests_total{code="200"}') == 1 and served.metric("byoc_photos_total") == 3
        assert served.metric("byoc_request_seconds_count") == 1 and 0 < served.metric("byoc_request_seconds_sum") < 60
        form = Form(json=False, accept="application/json", top_k=None)
        assert served.last_request() == WorkerRequest(id="my-id", form=form)

    served.run(asks)
    line = json.loads(capsys.readouterr().out)
    assert 0 < line.pop("seconds") < 60 and line.pop("time")
    timing = {"decode": 0.1235, "photos": 3, "batch": 2, "model": 1}
    assert line == {"request_id": "my-id", "code": 200, "target_model": "y" * 256, "bytes": 5} | timing


def test_a_refusal_is_a_sentence_and_what_the_model_server_says_itself_is_not_passed_on(served: Served) -> None:
    def asks() -> None:
        for said, status, message in (
            (answer(422, b"no photo", refused=True), 422, "no photo"),
            ((507, b"Traceback"), 507, "the model ran out of memory; send fewer or smaller photos"),
            ((500, b"Traceback"), 503, "the worker that had this request ended; send the request again"),
            ((404, b"Traceback"), 503, "the worker that had this request ended; send the request again"),
            ((0, b""), 503, "the model server did not answer; send the request again"),
        ):
            served.says(said)
            assert served.refused(JPEG) == (status, message)
        assert served.metric("byoc_photos_total") == 3  # one photo per answer that a worker gave

    served.run(asks)


@pytest.mark.parametrize(
    ("headers", "refusal"),
    [
        ({ATTRIBUTES: "x" * 1024} | JPEG, (200, "")),
        ({ATTRIBUTES: "x" * 1025} | JPEG, (400, f"{ATTRIBUTES} must be at most 1,024 visible ASCII characters")),
        ({ATTRIBUTES: "a\tb"} | JPEG, (400, f"{ATTRIBUTES} must be at most 1,024 visible ASCII characters")),
        ({"Content-Type": "image/jpeg;" + "x" * 1013}, (200, "")),
        ({"Content-Type": "image/jpeg;" + "x" * 1014}, (400, "Content-Type and Accept must be at most 1,024 characters each")),
        ({"Accept": "text/csv;" + "x" * 1015} | JPEG, (200, "")),
        ({"Accept": "text/csv;" + "x" * 1016} | JPEG, (400, "Content-Type and Accept must be at most 1,024 characters each")),
        ({"Accept": "a/" + "b" * 99} | JPEG, (406, f"Accept 'a/{'b' * 98}' cannot be satisfied; ask for one of {FORMS}")),
        ({ATTRIBUTES: "top_k=0"} | JPEG, (400, "top_k=0 in X-Amzn-SageMaker-Custom-Attributes must be a whole number from 1 to 10,000")),
    ],
    ids=lambda value: "",
)  # fmt: skip
def test_headers_that_are_too_long_or_ask_for_what_there_is_not_are_refused(
    served: Served, headers: dict[str, str], refusal: tuple[int, str]
) -> None:
    def asks() -> None:
        assert served.refused(headers) == refusal

    served.run(asks)
    assert len(served.stand_in.requests) == (1 if refusal[0] == 200 else 0)


def test_a_type_that_is_not_read_is_415_and_named(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    def asks() -> None:
        status, message = served.refused({"Content-Type": f"text/{'x' * 99}; a=b"})
        assert status == 415
        assert message.startswith(
            f"Content-Type 'text/{'x' * 95}' is not supported; send one of image/jpeg, image/png,"
        )
        assert message.endswith("application/octet-stream, application/json")

    served.run(asks)
    line = json.loads(capsys.readouterr().out)  # a body of an unsupported type is not read at all
    assert (line["code"], line["bytes"], line["target_model"]) == (415, 0, None) and "photos" not in line


def test_the_worker_learns_how_to_read_the_body_and_to_write_the_answer(started: Callable[..., Served]) -> None:
    served = started(SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT="text/csv")

    def asks() -> None:
        for headers, json_, accept in (
            ({"Content-Type": "application/json"}, True, "text/csv"),
            ({"Content-Type": "TEXT/json; a=b", "Accept": "*/*"}, True, "text/csv"),
            ({"Content-Type": "image/x-anything", "Accept": " "}, False, "text/csv"),
            ({"Content-Type": ""}, False, "text/csv"),
            ({"Accept": "application/json"}, False, "application/json"),
            ({"Accept": "*/*, application/jsonlines"}, False, "application/json"),
        ):
            assert served.post(b"x", headers).status == 200
            assert (served.last_request().form.json, served.last_request().form.accept) == (json_, accept), headers

    served.run(asks)


def test_attributes_are_echoed_with_an_answer_that_they_changed(served: Served) -> None:
    def asks() -> None:
        for said, attributes, echoed in (
            (answer(), "a=1,top_k=7", "a=1,top_k=7"),
            (answer(), "a=1", None),
            (answer(422, b"no", refused=True), "top_k=7", None),
        ):
            served.says(said)
            assert served.post(b"x", JPEG | {ATTRIBUTES: attributes}).headers.get(ATTRIBUTES) == echoed
            assert served.last_request().form.top_k == (7 if "top_k" in attributes else None)

    served.run(asks)


@pytest.mark.parametrize(
    ("given", "kept"), [("x" * 64, True), ("x" * 65, False), ("a b", False), ("~!", True), ("", False)]
)
def test_an_id_of_64_visible_characters_is_the_requests_and_another_is_replaced(
    served: Served, given: str, kept: bool
) -> None:
    served.says((500, b""))

    def asks() -> None:
        found = served.post(b"x", JPEG | {INFERENCE_ID: given}).json
        assert (found["request_id"] == given) if kept else re.fullmatch("[0-9a-f]{32}", found["request_id"])
        assert served.last_request().id == found["request_id"]

    served.run(asks)


def test_a_models_own_code_gets_all_headers_up_to_4000_characters_and_decides_the_types(served_code: Served) -> None:
    def headers(length: int) -> list[list[str]]:
        rest = [
            ["Host", "a"],
            ["Connection", "close"],
            ["Content-Length", "1"],
            ["Content-Type", "a/b"],
            ["X-Long", ""],
        ]
        rest[-1][1] = "x" * (length - len(json.dumps(rest)))
        return rest

    def sent(length: int) -> bytes:
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers(length))
        return wire.exchange(served_code.url, f"POST /invocations HTTP/1.1\r\n{lines}\r\nx".encode())

    def asks() -> None:
        served_code.says(answer(201, b"abc", content_type="a/c", headers={"X-Own": "d"}))
        (_, text), *_ = wire.raw_answers(sent(4000))
        assert text == b"abc" and [list(pair) for pair in served_code.last_request().headers] == headers(4000)
        [(status, text)] = wire.raw_answers(sent(4001))
        message = json.loads(text)["message"]
        assert (status, message) == (431, "all headers together must have at most 4,000 characters; send fewer")
        found = served_code.post(b"x", {ATTRIBUTES: "top_k=3"})
        assert (found.status, found.headers["X-Own"], found.headers["Content-Type"]) == (201, "d", "a/c")
        assert ATTRIBUTES not in found.headers

    served_code.run(asks)
