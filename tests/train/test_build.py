"""The start of training: from the whole artifact in the channel `model`, or from its backbone alone."""

import json
import re
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from classifier import artifact
from classifier.backbones import build_backbone
from classifier.errors import ArtifactError, ConfigError, UserError
from classifier.models import Classifier, build_head
from classifier.spec import ModelSpec
from tests.conftest import LITE, Run, byoc, run_training
from train.build import _load, build_start
from train.config import Config
from train.contract import Job
from train.places import Places


def continued(base: Path, photos: Path, channel: Path, **hyperparameters: str) -> Run:
    """Continue the training of an earlier artifact for a short time; the rate is so low that nothing is learnt."""
    return run_training(base, {"training": photos, "model": channel}, {"lr": "1e-7", "epochs": "1"} | hyperparameters)


@pytest.fixture(scope="module")
def archive(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The artifact in SageMaker's form: model.tar.gz in a folder."""
    folder = tmp_path_factory.mktemp("archive")
    with tarfile.open(folder / "model.tar.gz", "w:gz") as tar:
        for path in sorted(model.iterdir()):
            tar.add(path, path.name)
    return folder


@pytest.mark.slow
def test_for_the_same_classes_training_goes_on_with_the_whole_model(
    samples: Path, model: Path, archive: Path, tmp_path: Path
) -> None:
    run = continued(tmp_path / "opt-ml", samples, archive, precision="fp32")
    assert run.status == 0, run.errors
    assert "with weights from the channel 'model', backbone and head" in run.output
    before, after = (load_file(folder / "model.safetensors") for folder in (model, run.base / "model"))
    torch.testing.assert_close(after, before, atol=1e-4, rtol=0)
    assert run.record("epoch", stage="head")["train_accuracy"] > 0.95


@pytest.mark.slow
def test_for_other_classes_the_backbone_alone_is_kept_and_that_is_said(tiny: Path, model: Path, tmp_path: Path) -> None:
    run = continued(tmp_path / "opt-ml", tiny, model)
    assert run.status == 0, run.errors
    assert "the channel 'model', its backbone only: it knows 14 classes, the photos have 2" in run.output
    before, after = (load_file(folder / "model.safetensors") for folder in (model, run.base / "model"))
    assert torch.equal(before["backbone.conv_stem.weight"], after["backbone.conv_stem.weight"])
    assert after["head.0.weight"].shape == (2, 1280)


@pytest.mark.slow
def test_the_backbone_of_the_artifact_need_not_be_given_and_another_is_refused(
    tiny: Path, model: Path, tmp_path: Path
) -> None:
    base = tmp_path / "without"
    config = base / "input" / "config"
    run = continued(base, tiny, model)
    given = json.loads((config / "hyperparameters.json").read_text())
    given.pop("backbone")
    (config / "hyperparameters.json").write_text(json.dumps(given))
    from train.train import main

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAGEMAKER_BASE_DIR", str(base))
        assert main([]) == 0
    assert json.loads((base / "model" / "model.json").read_text())["model"]["backbone"] == LITE
    run = continued(tmp_path / "other", tiny, model, backbone="resnet18")
    assert run.status == 1
    assert run.failure.startswith(f"hyperparameter backbone is resnet18, but the channel 'model' holds a {LITE}")


def test_a_damaged_archive_and_one_that_reaches_outside_are_refused(tiny: Path, archive: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(archive, damaged)
    whole = (damaged / "model.tar.gz").read_bytes()
    (damaged / "model.tar.gz").write_bytes(whole[: len(whole) // 2])
    run = continued(tmp_path / "a", tiny, damaged)
    assert run.status == 1 and "model.tar.gz cannot be unpacked" in run.failure and "Traceback" not in run.errors
    outside = tmp_path / "outside"
    outside.mkdir()
    with tarfile.open(outside / "model.tar.gz", "w:gz") as tar:
        tar.add(archive / "model.tar.gz", "../../escaped")
    run = continued(tmp_path / "b", tiny, outside)
    assert run.status == 1 and "cannot be unpacked" in run.failure


@pytest.mark.parametrize("name", ["model.tar.gz", "model.tgz", "model.tar"])
def test_the_archive_of_another_tar_is_read_and_hidden_files_are_not(model: Path, tmp_path: Path, name: str) -> None:
    channel = tmp_path / "channel"
    channel.mkdir()
    with tarfile.open(channel / name, "w" if name.endswith(".tar") else "w:gz") as tar:
        tar.add(model, "./")
    (channel / "._model.tar.gz").write_bytes(b"of macOS")
    (tmp_path / "scratch").mkdir()
    _, spec = _load(channel, tmp_path / "scratch")
    assert spec.backbone == LITE


def test_an_archive_of_something_else_or_of_a_damaged_model_is_named_by_its_own_path(
    model: Path, tmp_path: Path
) -> None:
    channel, scratch = tmp_path / "channel", tmp_path / "scratch"
    for folder in (channel, scratch):
        folder.mkdir()
    with tarfile.open(channel / "model.tar.gz", "w:gz") as tar:
        tar.add(model, "model")
    deeper = r"channel/model\.tar\.gz holds the artifact one folder too deep, in model/; pack what is in that folder"
    with pytest.raises(ArtifactError, match=deeper):
        _load(channel, scratch)
    shutil.rmtree(scratch)
    with tarfile.open(channel / "model.tar.gz", "w:gz") as tar:
        tar.add(model / "model.safetensors", "else.bin")
    with pytest.raises(ArtifactError, match=r"channel/model\.tar\.gz holds else.bin, but not model\.json"):
        _load(channel, scratch)
    shutil.rmtree(scratch)
    shutil.copytree(model, tmp_path / "copy")
    (tmp_path / "copy" / "model.safetensors").write_bytes(b"damaged")
    with tarfile.open(channel / "model.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "copy", ".")
    with pytest.raises(ArtifactError, match=r"channel/model\.tar\.gz/model\.safetensors does not match its checksum"):
        _load(channel, scratch)


@pytest.mark.parametrize("name", ["MODEL.TAR.GZ", "model", "job-1.artifact"])
def test_an_archive_is_known_by_its_bytes_whatever_it_is_called(archive: Path, tmp_path: Path, name: str) -> None:
    channel = tmp_path / "channel"
    channel.mkdir()
    shutil.copy(archive / "model.tar.gz", channel / name)
    (channel / "notes.txt").write_text("of the job")
    assert _load(channel, tmp_path / "scratch")[1].backbone == LITE


def test_of_the_two_archives_that_a_job_leaves_the_model_is_taken(archive: Path, tmp_path: Path) -> None:
    channel = tmp_path / "channel"
    shutil.copytree(archive, channel)
    with tarfile.open(channel / "output.tar.gz", "w:gz") as tar:
        tar.add(__file__, "metrics.json")
    assert _load(channel, tmp_path / "scratch")[1].backbone == LITE
    (channel / "model.tar.gz").rename(channel / "first.tar.gz")
    with pytest.raises(ArtifactError, match=r"holds 2 archives \(first\.tar\.gz, output\.tar\.gz\); leave one"):
        _load(channel, tmp_path / "scratch2")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "model.tar.bz2",
            "model.tar.bz2 cannot be unpacked: it is a bzip2 file, not a tar.gz; make another with tar -czf",
        ),
        ("model.tar.xz", "model.tar.xz cannot be unpacked: it is an xz file"),
        ("model.zip", "model.zip cannot be unpacked: it is a zip file"),
        ("", "holds nothing, but neither model.json nor model.tar.gz; give the artifact of a job of this program"),
        ("model.safetensors", "holds model.safetensors, but neither model.json nor model.tar.gz; give"),
        (
            "job-1/output/model.tar.gz",
            "job-1/output/model.tar.gz is further down: name its folder, job-1/output, as the",
        ),
        (
            "model/model.json",
            "holds model, but neither model.json nor model.tar.gz; model/model.json is further down",
        ),
    ],
)
def test_the_refusal_of_a_channel_without_a_model_says_what_it_holds(tmp_path: Path, name: str, message: str) -> None:
    channel = tmp_path / "channel"
    channel.mkdir()
    packers = {".bz2": "w:bz2", ".xz": "w:xz"}
    if name:
        path = channel / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".zip":
            with zipfile.ZipFile(path, "w") as packed:
                packed.write(__file__, "model.json")
        else:
            with tarfile.open(path, packers.get(path.suffix, "w")) as tar:  # type: ignore[call-overload]
                tar.add(__file__, "model.json")
        if path.suffix == ".safetensors":
            path.write_bytes(b"weights")
    with pytest.raises(UserError, match=re.escape(message)):
        _load(channel, tmp_path / "scratch")


def earlier_artifact(folder: Path) -> tuple[Classifier, torch.Tensor]:
    """Write an artifact of two classes, at temperature 3, and return its model and the pixels of its self-test."""
    backbone, features, preprocessing = build_backbone("timm/test_efficientnet")
    spec = ModelSpec(
        backbone="timm/test_efficientnet",
        features=features,
        head_hidden=(5,),
        head_dropout=0.5,
        classes=("cat", "dog"),
        preprocessing=preprocessing,
        temperature=3.0,
    )
    earlier = Classifier(backbone, build_head(features, (5,), 0.5, 2), preprocessing, 3.0).eval()
    pixels = torch.randint(0, 256, (2, 160, 160, 3), dtype=torch.uint8)
    artifact.save(folder, earlier, spec, pixels, {})
    return earlier, pixels


@pytest.mark.parametrize("classes", [("cat", "dog"), ("cat", "owl")])
def test_training_goes_on_at_temperature_1_with_the_settings_of_the_job(
    tmp_path: Path, classes: tuple[str, str]
) -> None:
    earlier, pixels = earlier_artifact(tmp_path / "model")
    job = Job(base=tmp_path, hyperparameters={}, channels={"model": tmp_path / "model"}, places=Places(None, tmp_path))
    start = build_start(job, Config(dropout=0.25, hidden=(7,)), classes)
    assert start.model.temperature == start.spec.temperature == 1
    assert start.spec.head_dropout == 0.25 and start.spec.classes == classes
    # A kept head has the artifact's width; a new head has the configured one.
    kept = classes == ("cat", "dog")
    assert start.spec.head_hidden == start.config.hidden == ((5,) if kept else (7,))
    with torch.inference_mode():
        assert torch.equal(start.model.features(pixels), earlier.features(pixels))
        if kept:
            torch.testing.assert_close(start.model(pixels), 3 * earlier(pixels))


@pytest.mark.slow
def test_byoc_trains_an_artifact_on(tiny: Path, model: Path, tmp_path: Path) -> None:
    done = byoc("train", "--data", tiny, "--model", model, "--set", "epochs=1", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert f"{LITE} with weights from the channel 'model', its backbone only" in done.stdout


def test_another_width_of_the_head_than_the_one_that_is_kept_is_refused(tmp_path: Path) -> None:
    earlier_artifact(tmp_path / "model")
    for hidden, classes, refused in (("7", "cat dog", True), ("5", "cat dog", False), ("7", "cat owl", False)):
        job = Job(
            base=tmp_path,
            hyperparameters={"hidden": hidden},
            channels={"model": tmp_path / "model"},
            places=Places(None, tmp_path),
        )
        config = Config(hidden=(int(hidden),))
        if refused:
            message = r"^hyperparameter hidden is \(7,\), but the head in the channel 'model' has \(5,\); leave it out$"
            with pytest.raises(ConfigError, match=message):
                build_start(job, config, classes.split())
        else:
            assert build_start(job, config, classes.split()).spec.head_hidden == (int(hidden),)
