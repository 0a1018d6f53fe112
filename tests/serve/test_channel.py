"""Files in memory between the front and a worker."""

from serve.channel import MARK, fetch, leave, lend, unwrapped, wrapped


def test_an_answer_takes_the_place_of_a_longer_body() -> None:
    with lend(b"a long body") as loan:
        assert fetch(loan.place) == b"a long body"
        leave(loan.place, "ä")
        assert loan.answer() == "ä".encode()


def test_a_worker_that_comes_late_reads_and_spoils_nothing_of_another_request() -> None:
    with lend(b"first") as given_up:
        pass
    leave(given_up.place, b"late")
    assert fetch(given_up.place) == b""
    with lend(b"second") as other:
        assert other.place[0] == given_up.place[0]  # the number is used again
        assert fetch(given_up.place) == b""
        leave(given_up.place, b"late")
        assert other.answer() == b"second"


def test_facts_and_text_of_an_answer_come_back_as_they_were() -> None:
    facts = {"status": 200, "headers": {"X-Name": "ä"}}
    assert unwrapped(wrapped(facts, MARK + b"\0")) == (facts, MARK + b"\0")
    assert unwrapped(wrapped({}, b"")) == ({}, b"")


def test_what_the_model_server_says_itself_is_not_taken_for_an_answer() -> None:
    assert unwrapped(b'{"code": 507, "type": "InternalServerException"}') is None
    assert unwrapped(b"") is None
