"""A model's specification: the values that model.json may hold, and the error messages for other values."""

import json
from typing import Any

import pytest

from classifier.errors import ArtifactError
from classifier.spec import ModelSpec, Preprocessing

IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
PREPROCESSING = {"resize": 256, "crop": 224, "interpolation": "bicubic", "draft_margin": 1.5, **IMAGENET}
DOCUMENT = {
    "backbone": "timm/resnet18",
    "features": 512,
    "head_hidden": [64, 32],
    "head_dropout": 0,
    "classes": ["cat", "dog"],
    "preprocessing": PREPROCESSING,
    "temperature": 1.25,
}


def changed(name: str, value: Any) -> dict[str, Any]:
    """Return the document with one value replaced; `name` may also be a field of the preprocessing."""
    if name in PREPROCESSING:
        return DOCUMENT | {"preprocessing": PREPROCESSING | {name: value}}
    return DOCUMENT | {name: value}


def test_a_document_becomes_a_spec_and_the_spec_the_same_document() -> None:
    spec = ModelSpec.from_json(json.loads(json.dumps(DOCUMENT)))
    assert spec.head_hidden == (64, 32) and spec.classes == ("cat", "dog") and spec.temperature == 1.25
    assert spec.preprocessing.mean == (0.485, 0.456, 0.406) and spec.preprocessing.draft_margin == 1.5
    assert json.loads(json.dumps(spec.to_json())) == DOCUMENT


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("crop", 1),
        ("crop", 256),
        ("draft_margin", 1),
        ("std", [1e-9, 1, 1]),
        ("temperature", 1e-9),
        ("head_hidden", []),
    ],
)
def test_a_value_at_its_limit_is_allowed(name: str, value: Any) -> None:
    assert isinstance(ModelSpec.from_json(changed(name, value)), ModelSpec)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("crop", 0, "preprocessing crop 0 must lie between 1 and resize 256"),
        ("crop", 257, "preprocessing crop 257 must lie between 1 and resize 256"),
        ("interpolation", "lanczos", "interpolation 'lanczos' must be one of bilinear, bicubic"),
        ("draft_margin", 0.99, "draft_margin 0.99 must be at least 1"),
        ("mean", [0.5, 0.5], r"mean \(0.5, 0.5\) and std \(.*\) must hold three numbers each, std above 0"),
        ("std", [0.5, 0.5, 0.5, 0.5], "must hold three numbers each, std above 0"),
        ("std", [0.5, 0, 0.5], "must hold three numbers each, std above 0"),
        ("classes", ["cat"], "a model needs at least two classes with distinct names, got 1"),
        ("classes", ["cat", "dog", "cat"], "a model needs at least two classes with distinct names, got 3"),
        ("temperature", 0, "temperature 0 must be above 0"),
        ("temperature", -1.0, "temperature -1.0 must be above 0"),
        ("temperature", True, "model.temperature in model.json has the wrong type: 'True'"),
        ("features", 512.0, "model.features in model.json has the wrong type: '512.0'"),
        ("features", True, "model.features in model.json has the wrong type: 'True'"),
        ("backbone", 18, "model.backbone in model.json has the wrong type: '18'"),
        ("head_hidden", 64, "model.head_hidden in model.json has the wrong type: '64'"),
        ("head_hidden", [64, "32"], "model.head_hidden in model.json has the wrong type"),
        ("classes", "cd", "model.classes in model.json has the wrong type: 'cd'"),
        ("mean", [0.5, None, 0.5], "model.preprocessing.mean in model.json has the wrong type"),
        ("resize", "256", "model.preprocessing.resize in model.json has the wrong type: '256'"),
        ("preprocessing", [], "model.preprocessing in model.json has the wrong type"),
        ("backbone", ["x" * 99], r"wrong type: \"\['x{58}\"$"),
        ("colour", "grey", "model in model.json has the unknown key 'colour'; a newer version wrote it"),
    ],
)
def test_a_wrong_value_is_refused_with_a_sentence(name: str, value: Any, message: str) -> None:
    with pytest.raises(ArtifactError, match=message):
        ModelSpec.from_json(changed(name, value))


@pytest.mark.parametrize("name", DOCUMENT)
def test_a_missing_key_is_named(name: str) -> None:
    document = {key: value for key, value in DOCUMENT.items() if key != name}
    with pytest.raises(ArtifactError, match=f"model in model.json lacks the key '{name}'; save the artifact again"):
        ModelSpec.from_json(document)


def test_of_several_keys_the_first_by_name_is_named() -> None:
    with pytest.raises(ArtifactError, match=r"model\.preprocessing in model\.json lacks the key 'crop'"):
        ModelSpec.from_json(DOCUMENT | {"preprocessing": IMAGENET})
    with pytest.raises(ArtifactError, match="has the unknown key 'a'"):
        ModelSpec.from_json(DOCUMENT | {"b": 1, "a": 2})


@pytest.mark.parametrize(("value", "kind"), [([], "list"), (None, "NoneType"), ("model", "str")])
def test_a_document_that_is_not_an_object_is_refused(value: Any, kind: str) -> None:
    with pytest.raises(ArtifactError, match=f"model in model.json must be an object, got {kind}"):
        ModelSpec.from_json(value)


def test_a_photo_is_drafted_to_its_size_and_probabilities_stay_unchanged_by_default() -> None:
    preprocessing = Preprocessing(resize=8, crop=8, interpolation="bilinear", mean=(0.5,) * 3, std=(0.5,) * 3)
    spec = ModelSpec(
        backbone="any", features=1, head_hidden=(), head_dropout=0.0, classes=("a", "b"), preprocessing=preprocessing
    )
    assert preprocessing.draft_margin == 1.0 and spec.temperature == 1.0
