"""`--image`: the training program in its image instead of this environment."""

import itertools
import json
import os
from argparse import Namespace
from pathlib import Path

import pytest

from classifier.errors import ConfigError
from launch.container import command, training_image
from launch.training import recipe
from tests.conftest import LITE, byoc


def test_without_docker_an_image_is_refused_with_a_sentence(tiny: Path, tmp_path: Path) -> None:
    done = byoc(
        "train", "--data", tiny, "--image", "some-image", "--out", tmp_path / "out", env={"PATH": str(tmp_path)}
    )
    assert done.returncode == 1
    assert done.stderr == "byoc: --image needs Docker, which is not installed; install it or leave --image out\n"


def test_images_json_names_the_image_that_was_pushed(tmp_path: Path) -> None:
    uri = "registry.example/byoc-classifier-train@sha256:0123"
    (tmp_path / "images.json").write_text(json.dumps({"train": {"uri": uri}}))
    assert training_image(str(tmp_path / "images.json")) == uri
    assert training_image("byoc-classifier-train:cpu") == "byoc-classifier-train:cpu"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "is missing; push the images with ./build_and_push.sh"),
        ("{", "holds no training image"),
        ('{"serve": {}}', "train"),
    ],
)
def test_an_images_json_without_a_training_image_is_refused_with_a_sentence(
    tmp_path: Path, text: str | None, message: str
) -> None:
    if text is not None:
        (tmp_path / "images.json").write_text(text)
    with pytest.raises(ConfigError, match=message):
        training_image(str(tmp_path / "images.json"))


def test_the_container_has_no_network_reads_the_photos_and_writes_as_this_user(tmp_path: Path) -> None:
    base, photos, cache = tmp_path / "job", tmp_path / "photos", tmp_path / "cache"
    arguments = command(
        "the-image", base, {"training": photos, "model": tmp_path / "m"}, cache, {"OMP_NUM_THREADS": "3"}
    )
    options, inside = arguments[: arguments.index("the-image")], arguments[arguments.index("the-image") + 1 :]
    assert options[:2] == ["docker", "run"] and "--rm" in options
    pairs = list(itertools.pairwise(options))
    assert ("--network", "none") in pairs and ("--user", f"{os.getuid()}:{os.getgid()}") in pairs
    assert ("--env", "OMP_NUM_THREADS=3") in pairs and ("--label", f"byoc-classifier.job={base}") in pairs
    assert {mount for option, mount in pairs if option == "--volume"} == {
        f"{base}/input/config:/opt/ml/input/config:ro",
        f"{photos}:/opt/ml/input/data/training:ro",
        f"{tmp_path}/m:/opt/ml/input/data/model:ro",
        f"{base}/model:/opt/ml/model",
        f"{base}/output:/opt/ml/output",
        f"{cache}:/tmp/features",
    }
    assert inside == ["train", "--feature-cache", "/tmp/features"]
    # Docker would make missing folders as root.
    assert (base / "model").is_dir() and (base / "output" / "data").is_dir() and cache.is_dir()
    assert "--env" not in command("the-image", base, {}, cache, {})


@pytest.mark.docker
def test_an_image_that_is_not_there_is_refused_with_a_sentence(tiny: Path, tmp_path: Path) -> None:
    done = byoc("tune", "--data", tiny, "--image", "no-such-image:1", "--out", tmp_path / "out")
    assert done.returncode == 1
    assert done.stderr.startswith("byoc: image no-such-image:1 cannot be run (") and done.stderr.count("\n") == 1


@pytest.mark.docker
def test_training_in_the_image_writes_what_training_here_writes(tiny: Path, tmp_path: Path) -> None:
    image = os.environ.get("TRAIN_IMAGE", "byoc-classifier-train:cpu")
    cache = tmp_path / "cache"
    arguments = ("train", "--data", tiny, "--backbone", LITE, "--feature-cache", cache, "--set", "precision=fp32")
    for name, more in (("here", ()), ("image", ("--image", image))):
        done = byoc(*arguments, "--out", tmp_path / name, *more)
        assert done.returncode == 0, done.stderr
    written = []
    for base in (tmp_path / "here", tmp_path / "image"):
        paths = [*(base / "model").rglob("*"), *(base / "output").rglob("*")]
        written.append({path.relative_to(base) for path in paths if not path.name.startswith("events.out.")})
    assert written[0] == written[1] >= {Path("model/model.json"), Path("output/data/records.jsonl")}


def test_a_recipe_with_an_image_takes_docker_and_one_without_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    given: dict[str, object] = {
        "data": tmp_path,
        "pretrained": None,
        "model": None,
        "backbone": "",
        "hyperparameters": [],
    }
    given |= {"feature_cache": tmp_path, "gpus": "auto"}
    assert recipe(Namespace(**given, image=None)).image is None
    with pytest.raises(
        ConfigError, match=r"^--image needs Docker, which is not installed; install it or leave --image out$"
    ):
        recipe(Namespace(**given, image="some-image"))
