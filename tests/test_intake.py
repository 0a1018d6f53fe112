"""How many requests a server takes at a time."""

import pytest

from serve.intake import Intake, Refused
from serve.settings import read_settings


def test_a_place_in_the_queue_is_free_again_when_its_request_is_answered_and_no_other() -> None:
    intake = Intake(read_settings([], {"MMS_JOB_QUEUE_SIZE": "2"}))
    for _ in range(5):
        with intake.place(), intake.place(), pytest.raises(Refused, match="busy with 2 requests"), intake.place():
            pytest.fail("a third request got a place")
        with pytest.raises(ZeroDivisionError), intake.place():
            raise ZeroDivisionError
