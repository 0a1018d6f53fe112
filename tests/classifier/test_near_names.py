"""A misspelt name of a variable is reported; a name of the user's own is not."""

import pytest

from classifier.near_names import near_names

KNOWN = ("BYOC_BACKEND", "BYOC_BATCH_SIZE", "BYOC_MEMORY_MB", "BYOC_REGION", "BYOC_IMAGES_SERVE", "SAGEMAKER_BATCH")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("BYOC_BACKND", "BYOC_BACKEND"),
        ("BYOC_BACKENDS", "BYOC_BACKEND"),
        ("BYOC_BATCHSIZE", "BYOC_BATCH_SIZE"),
        ("BYOC_MEMORY", "BYOC_MEMORY_MB"),
        ("BYOC_REGOIN", "BYOC_REGION"),
        ("BYOC_IMAGE_SERVE", "BYOC_IMAGES_SERVE"),
    ],
)
def test_the_sentence_on_a_misspelt_name_holds_the_right_name(name: str, meant: str) -> None:
    assert near_names([name], KNOWN) == [f"the environment variable {name} has no effect; did you mean {meant}?"]


@pytest.mark.parametrize(
    "name", [*KNOWN, "BYOC_TEAM", "BYOC_HOME", "BYOC_SERVE_PORT", "MY_BYOC_BACKND", "SAGEMAKER_BATCHES", "PATH"]
)
def test_no_sentence_is_about_a_known_name_or_a_name_of_the_users_own(name: str) -> None:
    assert near_names([name], KNOWN) == []
