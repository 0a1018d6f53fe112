"""The driver's own steps around training: folders, results of a run, and the arguments of each verb."""

import argparse
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from classifier.errors import ConfigError, DataError, UserError
from launch.cli import _parser, main
from launch.opt_ml import lay_out
from launch.run import command as run
from launch.samples import write_samples
from launch.training import Recipe, new_folder, read_records, result, train


def test_without_a_name_results_go_to_a_folder_named_by_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = time.strftime("%Y%m%d-%H%M%S")
    folder = new_folder(None)
    assert folder.is_dir() and folder.parent == Path("runs")
    assert before <= folder.name <= time.strftime("%Y%m%d-%H%M%S")
    assert new_folder(folder) == folder
    (folder / "file").touch()
    with pytest.raises(
        ConfigError, match=r"is not empty; name another folder with --out, results are never overwritten"
    ):
        new_folder(folder)


def test_a_job_is_laid_out_as_the_platform_does_it(tmp_path: Path) -> None:
    for name in ("photos", "weights"):
        (tmp_path / name).mkdir()
    recipe = Recipe(
        data=tmp_path / "photos",
        hyperparameters={},
        channels={"pretrained": tmp_path / "weights"},
        feature_cache=tmp_path / "cache",
    )
    lay_out(tmp_path / "job", recipe.all_channels, {"lr": "0.1"})
    config, data = tmp_path / "job" / "input" / "config", tmp_path / "job" / "input" / "data"
    assert {path.name: path.resolve() for path in data.iterdir()} == {
        "training": tmp_path / "photos",
        "pretrained": tmp_path / "weights",
    }
    assert {path.name: json.loads(path.read_text()) for path in config.iterdir()} == {
        "hyperparameters.json": {"lr": "0.1"},
        "inputdataconfig.json": {name: {"TrainingInputMode": "File"} for name in ("training", "pretrained")},
        "resourceconfig.json": {"current_host": "algo-1", "hosts": ["algo-1"], "network_interface_name": "lo"},
    }


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("exit 3", r"^training ended with status 3; .*/job/log\.txt says more$"),
        ("echo the reason > $SAGEMAKER_BASE_DIR/output/failure; exit 1", "^the reason\n$"),
    ],
)
def test_a_program_that_fails_is_reported_with_its_text_or_its_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, message: str
) -> None:
    (tmp_path / "python").write_text(f"#!/bin/sh\nmkdir $SAGEMAKER_BASE_DIR/output\n{program}\n")
    (tmp_path / "python").chmod(0o755)
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    with pytest.raises(UserError, match=message):
        train(
            tmp_path / "job",
            Recipe(data=tmp_path, hyperparameters={}, channels={}, feature_cache=tmp_path / "cache"),
            {},
        )


def test_a_program_gets_its_hyperparameters_threads_and_cache_and_a_quiet_one_prints_into_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    lines = [{"kind": "result", "split": split, "accuracy": share} for split, share in (("test", 0.5), ("x", 1.0))]
    (tmp_path / "records.jsonl").write_text("".join(json.dumps(line) + "\n" for line in [{"kind": "job"}, *lines]))
    (tmp_path / "python").write_text(
        f'#!/bin/sh\necho "threads $OMP_NUM_THREADS: $@"\nmkdir -p $SAGEMAKER_BASE_DIR/output/data\n'
        f"cp {tmp_path}/records.jsonl $SAGEMAKER_BASE_DIR/output/data\n"
    )
    (tmp_path / "python").chmod(0o755)
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setenv("OMP_NUM_THREADS", "unset")
    recipe = Recipe(
        data=tmp_path, hyperparameters={"lr": "0.1", "epochs": "3"}, channels={}, feature_cache=tmp_path / "cache"
    )
    said = f"-P -m train --feature-cache {tmp_path}/cache\n"
    records = train(tmp_path / "loud", recipe, {"lr": "0.2"})
    assert capfd.readouterr().out == f"threads unset: {said}" and not (tmp_path / "loud" / "log.txt").read_text()
    train(tmp_path / "quiet", recipe, {}, threads=3, quiet=True)
    assert capfd.readouterr().out == "" and (tmp_path / "quiet" / "log.txt").read_text() == f"threads 3: {said}"
    given = tmp_path / "loud" / "input" / "config" / "hyperparameters.json"
    assert json.loads(given.read_text()) == {"lr": "0.2", "epochs": "3"}
    assert result(records, "x")["accuracy"] == 1.0 and result(records, "test")["accuracy"] == 0.5
    assert read_records(tmp_path / "loud") == records == [{"kind": "job"}, *lines]


def test_without_scikit_image_the_samples_name_the_other_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="scikit-image, which is not installed; run make setup, or pass --data DIR"):
        write_samples(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "call", "values"),
    [
        ("run --data d", "launch.run", {"trials": 8, "port": 0, "keep_serving": False, "backbone": None, "out": None}),
        ("run --data d --keep-serving --port 9", "launch.run", {"keep_serving": True, "port": 9}),
        ("data check d", "launch.check", {"json": False, "data": Path("d")}),
        ("data check d --json", "launch.check", {"json": True}),
        ("data sample d", "launch.samples", {"data": Path("d")}),
        ("train --data d", "launch.training", {"image": None, "gpus": "auto", "hyperparameters": [], "model": None}),
        ("train --data d --set a=1 --set b=2", "launch.training", {"hyperparameters": ["a=1", "b=2"]}),
        (
            "tune --data d",
            "launch.tune",
            {"trials": 8, "gpus": "auto", "feature_cache": Path("/c/byoc-classifier/features")},
        ),
        ("serve d", "launch.server", {"port": 8080, "model": Path("d")}),
        ("predict a b", "launch.predict", {"url": None, "files": [Path("a"), Path("b")]}),
    ],
)
def test_a_verb_has_these_defaults(
    monkeypatch: pytest.MonkeyPatch, arguments: str, call: str, values: dict[str, object]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/c")
    options = vars(_parser().parse_args(arguments.split()))
    assert options["call"] == call and values.items() <= options.items()


@pytest.mark.parametrize(
    "arguments", ["", "data", "tune", "train", "data check", "serve", "predict", "train --data d --gpus two", "walk"]
)
def test_a_verb_or_a_value_that_is_missing_or_unknown_is_a_usage_error(
    capsys: pytest.CaptureFixture[str], arguments: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        _parser().parse_args(arguments.split())
    assert ended.value.code == 2 and capsys.readouterr().err.startswith("usage: byoc")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["report", ""], "an argument"),
        (["report", "runs/one", "--endpoint", ""], "--endpoint"),
        (["predict", "a.jpg", "--endpoint="], "--endpoint"),
        (["train", "--data", "", "--out", "o"], "--data"),
        (["logs", ""], "an argument"),
    ],
)
def test_an_empty_argument_is_refused_because_a_variable_may_not_be_set(
    capsys: pytest.CaptureFixture[str], arguments: list[str], named: str
) -> None:
    assert main(arguments) == 1
    assert capsys.readouterr().err.startswith(f"byoc: {named} is empty; give it a value, or leave it out")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("predict a.jpg --url http://127.0.0.1:9 --endpoint dogs", "--url is the address of a server"),
        ("predict a.jpg --endpoint dogs --on process", "but this is --on process"),
        ("predict a.jpg --target-model m.tar.gz", "--target-model and --timeout are for an endpoint"),
        ("predict a.jpg --timeout 3", "--target-model and --timeout are for an endpoint"),
        ("try runs/one --endpoint dogs --on process", "but this is --on process"),
        ("try runs/one --timeout 3", "--target-model and --timeout are for an endpoint"),
        ("report http://127.0.0.1:9", "write byoc report --endpoint http://127.0.0.1:9"),
        ("endpoints --history", "--history is of one endpoint"),
        ("jobs --leftovers --name dogs", "leave --name out"),
        ("jobs --name dogs,cats", "--name is 'dogs,cats'"),
    ],
)
def test_an_option_that_would_have_no_effect_is_refused(
    capsys: pytest.CaptureFixture[str], arguments: str, said: str
) -> None:
    assert main(arguments.split()) == 1
    printed = capsys.readouterr()
    assert said in printed.err and not printed.out


def test_the_help_of_every_verb_shows_an_example() -> None:
    verbs = list(_verbs(_parser()))
    assert len(verbs) > 25
    assert [verb.prog for verb in verbs if f"examples:\n  {verb.prog}" not in verb.format_help()] == []


def _verbs(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Yield the parsers of the verbs without subcommands. `byoc emulate` is left out, because a program of its own prints its help."""
    (below,) = [one.choices for one in parser._actions if isinstance(one, argparse._SubParsersAction)] or [{}]
    for name, verb in below.items():
        if name != "emulate":
            yield from _verbs(verb)
    if not below:
        yield parser


def test_what_would_make_training_fail_ends_the_main_job_before_anything_runs(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(tiny / "train" / "coffee")
    options = _parser().parse_args(["run", "--data", str(tiny), "--out", str(tmp_path / "out")])
    with pytest.raises(DataError, match="holds only the class 'brick'; training needs at least two classes") as raised:
        run(options)
    assert f"training would fail: {raised.value}" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()
