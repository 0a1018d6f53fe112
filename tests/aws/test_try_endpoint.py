"""`byoc try NAME --on sagemaker`: the page's photos go to an endpoint, and only the process of byoc has the account's keys."""

import os
from pathlib import Path

import pytest

from classifier.errors import PhotoError
from launch.aws.hosting import endpoint
from launch.aws.hosting.invocation import Target
from launch.try_page.sagemaker import Endpoint
from launch.try_page.timed import ALL
from tests.aws.hosted import Hosted, emulator, hosted, photo  # noqa: F401
from tests.tried import tried

pytestmark = pytest.mark.slow  # each test starts an endpoint of the local SageMaker


@pytest.mark.parametrize("named", [("dogs", "--on", "sagemaker"), ("--endpoint", "dogs")], ids=" ".join)
def test_an_endpoint_answers_the_photos_of_the_page(hosted: Hosted, photo: Path, named: tuple[str, ...]) -> None:
    if not endpoint.find(hosted.session, "dogs"):
        hosted.deploy("dogs", "first")
    with tried(*named) as page:
        answer = page.post("predict", photo)
        assert answer["labels"] == [{"name": "first", "probability": 0.75}]
        assert answer["parts"] is None and answer["seconds"] > 0
        secrets = {os.environ["AWS_SECRET_ACCESS_KEY"], os.environ["AWS_ACCESS_KEY_ID"]}
        assert not any(secret in str(answer) + page.address for secret in secrets)


def test_what_an_endpoint_refuses_and_an_endpoint_that_is_absent_are_sentences(hosted: Hosted, photo: Path) -> None:
    hosted.deploy("refusing", "first")
    photo.write_bytes(b"no photo")
    found = Endpoint(hosted.session, Target(name="refusing", top_k=ALL))
    with pytest.raises(PhotoError, match=r"^not an image$"):
        found(photo)
    with pytest.raises(Exception, match="absent"):
        Endpoint(hosted.session, Target(name="absent", top_k=ALL))(photo)


def test_without_one_name_there_is_nothing_to_try(hosted: Hosted) -> None:
    for arguments in (["--on", "sagemaker"], ["dogs", "--endpoint", "cats"]):
        hosted.byoc("try", *arguments, status=1)
        assert "name one endpoint, as in byoc try dogs --on sagemaker" in hosted.errors


@pytest.mark.parametrize("name", ["two words", "http://127.0.0.1:8080"])
def test_a_name_that_no_endpoint_can_have_is_refused_before_anything_is_sent(
    hosted: Hosted, photo: Path, name: str
) -> None:
    for verb in (["try", name, "--on", "sagemaker"], ["predict", str(photo), "--endpoint", name]):
        hosted.byoc(*verb, status=1)
        assert f"{name!r} cannot be the name of an endpoint" in hosted.errors


def test_no_page_opens_for_an_endpoint_that_does_not_exist(hosted: Hosted) -> None:
    hosted.byoc("try", "absent", "--on", "sagemaker", status=1)
    assert "there is no endpoint absent in us-east-1" in hosted.errors
