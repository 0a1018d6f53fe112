"""Names that byoc makes always match the API's pattern."""

from datetime import datetime, timedelta

import pytest

from launch.aws import model, names
from launch.aws.words import compiled

NOW = datetime(2026, 11, 27, 9, 5, 1, 23_456)
STEMS = [
    "dogs",
    "",
    "-",
    "my dogs",
    "a_b.c",
    "dogs--of--mine-",
    "hünde",
    "犬",
    "x" * 80,
    "byoc@sha256:0a0a",
    "-" * 70 + "a",
]
KINDS = [("TrainingJobName", 63), ("HyperParameterTuningJobName", 32), ("ModelName", 63), ("EndpointConfigName", 63)]


@pytest.mark.parametrize("stem", STEMS)
@pytest.mark.parametrize("kind, longest", KINDS)
def test_a_name_is_legal_whatever_it_is_made_of(kind: str, longest: int, stem: str) -> None:
    shape = model.service().shape_for(kind)
    assert shape.metadata["max"] == longest
    name = names.job(stem, NOW, longest)
    assert compiled(shape.metadata["pattern"]).fullmatch(name) and len(name) <= longest, name


def test_a_name_holds_its_stem_and_the_time_to_a_millisecond() -> None:
    assert names.job("my dogs", NOW) == "my-dogs-261127-090501-023"
    assert names.job("", NOW) == "byoc-261127-090501-023"


def test_two_runs_that_start_one_after_the_other_have_names_of_their_own() -> None:
    made = {names.job("dogs", NOW + timedelta(milliseconds=number), 32) for number in range(1000)}
    assert len(made) == 1000


def test_names_sort_by_their_time() -> None:
    times = [NOW + timedelta(days=number * 17, seconds=number) for number in range(50)]
    assert [names.job("dogs", time) for time in times] == sorted(names.job("dogs", time) for time in times)


@pytest.mark.parametrize("stem", STEMS)
def test_an_endpoints_name_is_legal_and_stays(stem: str) -> None:
    shape = model.service().shape_for("EndpointName")
    assert compiled(shape.metadata["pattern"]).fullmatch(names.endpoint(stem)) and len(names.endpoint(stem)) <= 63
    assert names.endpoint(names.endpoint(stem)) == names.endpoint(stem)
