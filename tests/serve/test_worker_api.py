"""The messages between the front and a worker: requests, answers, settings, and files in memory."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from serve.formats import Form
from serve.worker_api import MARK, Answer, Timing, WorkerRequest, WorkerSettings, fetch, leave, lend
from tests.standin import worker_settings

FORM = Form(json=True, accept="text/csv", top_k=None)


def test_an_answer_takes_the_place_of_a_longer_body() -> None:
    with lend(b"a long body") as loan:
        assert fetch(loan.place) == b"a long body"
        leave(loan.place, "ä".encode())
        assert loan.answer() == "ä".encode()


def test_a_worker_that_comes_late_reads_and_spoils_nothing_of_another_request() -> None:
    with lend(b"first") as given_up:
        pass
    leave(given_up.place, b"late")
    assert fetch(given_up.place) == b""
    with lend(b"second") as other:
        assert other.place[0] == given_up.place[0]  # the file's number is used again
        assert fetch(given_up.place) == b""
        leave(given_up.place, b"late")
        assert other.answer() == b"second"


@pytest.mark.parametrize(
    ("request_", "facts"),
    [
        (WorkerRequest(probe=True), {"probe": True}),
        (WorkerRequest(id="7", form=FORM), {"id": "7", "form": {"json": True, "accept": "text/csv", "top_k": None}}),
        (
            WorkerRequest(id="7", headers=(("X-Name", "ä"), ("X-Name", "")), lent=("/proc/1/fd/2", 3, 4)),
            {"id": "7", "headers": [["X-Name", "ä"], ["X-Name", ""]], "lent": ["/proc/1/fd/2", 3, 4]},
        ),
    ],
    ids=["probe", "photos", "code"],
)
def test_a_request_comes_back_from_its_header_which_holds_only_what_is_not_usual(
    request_: WorkerRequest, facts: dict[str, object]
) -> None:
    header = request_.to_header()
    assert header.isascii() and json.loads(header) == facts
    assert WorkerRequest.from_header(header) == request_


def test_only_instances_and_a_models_own_code_may_have_a_large_answer() -> None:
    assert WorkerRequest(form=FORM).may_have_large_answer and WorkerRequest(id="7").may_have_large_answer
    assert not WorkerRequest(form=Form(json=False, accept="text/csv", top_k=3)).may_have_large_answer
    assert not WorkerRequest(probe=True).may_have_large_answer


def test_facts_and_text_of_an_answer_come_back_as_they_were() -> None:
    timing = Timing(decode=0.5, model=0.25, photos=2, batch=3)
    for answer in (
        Answer(200, MARK + b"\0", "text/csv", headers={"X-Name": "ä"}, timing=timing),
        Answer(422, b"", refused=True),
    ):
        assert Answer.from_bytes(answer.to_bytes()) == answer
    head = b'{"status": 422, "content_type": "application/json", "headers": {}, "refused": true, "timing": null, "lent": false}'
    assert Answer(422, b"no", refused=True).to_bytes() == b"\x93byoc" + len(head).to_bytes(4, "big") + head + b"no"
    assert not Answer.from_bytes(Answer(500, b"", last=True).to_bytes()).last


def test_an_answer_that_was_left_in_the_loan_is_read_there() -> None:
    with lend(b"a body") as loan:
        leave(loan.place, b"a large answer")
        sent = Answer(200, b"a large answer").to_bytes(lent=True)
        assert b"large" not in sent
        assert Answer.from_bytes(sent, loan) == Answer(200, b"a large answer")
        assert Answer.from_bytes(Answer(200, b"a small one").to_bytes(), loan) == Answer(200, b"a small one")


def test_what_the_model_server_says_itself_is_not_taken_for_an_answer() -> None:
    assert Answer.from_bytes(b'{"code": 507, "type": "InternalServerException"}') is None
    assert Answer.from_bytes(b"") is None


def test_a_worker_reads_the_settings_that_the_front_wrote(tmp_path: Path) -> None:
    for settings in (worker_settings(tmp_path), replace(worker_settings(tmp_path), code=None, program=None)):
        settings.write(tmp_path)
        assert WorkerSettings.read(tmp_path) == settings
