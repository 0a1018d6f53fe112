"""Files in memory between the front and a worker."""

from serve.channel import fetch, leave, lend


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
