"""The values that a search may try: ranges from options, and a warm start compared with its parents."""

from argparse import Namespace
from typing import Any

import pytest

from classifier.errors import ConfigError
from launch.aws.jobs import ranges, warm_start
from launch.aws.requests.tuning import tuning_job
from launch.aws.specification import Channel, Identity, Machines, Range, Training, Tuning


def asked(*wanted: str, choices: tuple[str, ...] = (), strategy: str = "Bayesian", **fixed: str) -> tuple[Range, ...]:
    options = Namespace(ranges=list(wanted), choices=list(choices), strategy=strategy)
    return ranges.ranges(options, {name.replace("_", "-"): value for name, value in fixed.items()})


def test_the_space_of_the_original_work_is_the_default() -> None:
    assert asked() == (
        Range(name="lr", low="0.001", high="0.1", scale="Logarithmic"),
        Range(name="batch-size", values=("64", "128")),
        Range(name="epochs", values=("2", "5")),
    )


def test_what_is_fixed_is_not_varied() -> None:
    assert [one.name for one in asked(lr="0.01", epochs="3")] == ["batch-size"]
    with pytest.raises(ConfigError, match="all have fixed values"):
        asked(lr="0.01", epochs="3", batch_size="64")


def test_hyperband_gives_epochs_itself() -> None:
    assert [one.name for one in asked(strategy="Hyperband")] == ["lr", "batch-size"]


def test_ranges_have_types_and_scales() -> None:
    found = asked("lr=0.001:0.1:log", "epochs=2:10", "momentum=0.5:0.99:reverse-log", choices=("optimizer=adam,sgd",))
    assert found == (
        Range(name="lr", low="0.001", high="0.1", scale="Logarithmic"),
        Range(name="epochs", low="2", high="10", whole=True),
        Range(name="momentum", low="0.5", high="0.99", scale="ReverseLogarithmic"),
        Range(name="optimizer", values=("adam", "sgd")),
    )


def test_values_that_hold_commas_stand_between_bars() -> None:
    assert asked(choices=("hidden=512|512,256",)) == (Range(name="hidden", values=("512", "512,256")),)


def test_names_of_other_programs_and_underscores_become_ours() -> None:
    assert [one.name for one in asked("learning_rate=0.001:0.1", choices=("batch_size=32,64",))] == ["lr", "batch-size"]


@pytest.mark.parametrize(
    "wanted, choices, fixed, text",
    [
        (("lr=0.1",), (), {}, "write NAME=LOW:HIGH"),
        (("lr=0.1:0.01",), (), {}, "0.1 is not below 0.01"),
        (("lr=0.1:99",), (), {}, "must lie between"),
        (("lr=a:b",), (), {}, "'a'"),
        (("lr=0.1:0.2:steep",), (), {}, "steep is not a scale"),
        (("rate=0.1:0.2",), (), {}, "no hyperparameter rate"),
        (("optimizer=1:2",), (), {}, "optimizer is not a number"),
        (("momentum=0:0.9:log",), (), {}, "numbers above 0"),
        (("epochs=1:9:reverse-log",), (), {}, "does not take whole numbers"),
        ((), ("batch-size=64",), {}, "two values or more"),
        ((), ("batch-size=64,64",), {}, "twice"),
        ((), ("optimizer=adam,lion",), {}, "lion"),
        (("lr=0.1:0.2",), ("lr=0.1,0.2",), {}, "lr is varied twice"),
        (("lr=0.1:0.2",), (), {"lr": "0.1"}, "--set gives it a value"),
    ],
)
def test_a_range_that_cannot_be_used_is_reported(
    wanted: tuple[str, ...], choices: tuple[str, ...], fixed: dict[str, str], text: str
) -> None:
    with pytest.raises(ConfigError, match=text):
        asked(*wanted, choices=choices, **fixed)


def test_all_problems_come_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        asked("lr=0.1", choices=("batch-size=64",))
    assert len(str(caught.value).splitlines()) == 2


def test_a_grid_has_a_size_and_takes_values_alone() -> None:
    assert ranges.combinations((Range(name="a", values=("1", "2")), Range(name="b", values=("1", "2", "3")))) == 6
    with pytest.raises(ConfigError, match="write --choice lr=A,B instead"):
        ranges.combinations(asked())


def search(ranges: tuple[Range, ...] = (Range(name="lr", low="0.1", high="0.2"),), **changes: Any) -> Tuning:
    training = {
        "name": "search",
        "image": "image:1",
        "identity": Identity(role="arn:aws:iam::123456789012:role/r"),
        "machines": Machines(types=("ml.m5.large",)),
        "channels": (Channel(name="training", uri="s3://b/photos/"),),
        "output": "s3://b/out",
        "hyperparameters": {"epochs": "2"},
    }
    return Tuning(
        training=Training(**{**training, **{key: changes.pop(key) for key in list(changes) if key in training}}),
        ranges=ranges,
        **changes,
    )


def parent(tuning: Tuning, status: str = "Completed") -> dict[str, Any]:
    """Return Describe's answer about an earlier search: its request, its status, and the members that AWS adds."""
    answer = {**tuning_job(tuning), "HyperParameterTuningJobStatus": status}
    answer["TrainingJobDefinition"]["StaticHyperParameters"]["_tuning_objective_metric"] = tuning.objective
    return answer


def test_the_same_image_photos_and_space_are_identical_and_others_are_transferred() -> None:
    assert warm_start.check(search(), {"old": parent(search())}) == "IdenticalDataAndAlgorithm"
    other = parent(search(image="image:2"))
    assert warm_start.check(search(), {"old": parent(search()), "other": other}) == "TransferLearning"
    photos = parent(search(channels=(Channel(name="training", uri="s3://b/others/"),)))
    assert warm_start.check(search(), {"old": photos}) == "TransferLearning"


MORE = {f"n{number}": str(number) for number in range(6)}


@pytest.mark.parametrize(
    "wanted, earlier, text",
    [
        (search(), parent(search(), "InProgress"), "wait for its end, or stop it with byoc stop old"),
        (
            search(),
            parent(search(objective="validation:loss", maximize=False)),
            "the parent's objective is validation:loss",
        ),
        (search(), parent(search(hyperparameters={})), "the numbers must be equal .epochs."),
        (search((Range(name="lr", values=("1", "2")),)), parent(search()), "was a range of numbers, and is a choice"),
        (
            search(hyperparameters=MORE),
            parent(search(hyperparameters={name: "9" for name in MORE})),
            "12 changes to hyperparameters that are not varied; at most 10",
        ),
        (search(strategy="Grid"), parent(search()), "use Bayesian or Random"),
    ],
)
def test_a_warm_start_that_aws_would_refuse_is_reported_before(
    wanted: Tuning, earlier: dict[str, Any], text: str
) -> None:
    with pytest.raises(ConfigError, match=text):
        warm_start.check(wanted, {"old": earlier})
