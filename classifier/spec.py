"""The model's specification: everything needed to rebuild the model and to prepare its input, except the weights. Imports no torch."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from classifier.errors import ArtifactError

# Version 2 added the guard's photos, training's measurements with their precision, and the OpenVINO model. Artifacts of version 1 lack all
# three.
OLDEST_VERSION, FORMAT_VERSION = 1, 2
INTERPOLATIONS = ("bilinear", "bicubic")


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """The conversion of a photo to the model's input: short side to `resize` pixels, centre crop to `crop`, then (x/255 - mean) / std.

    A JPEG is decoded at 1/2, 1/4 or 1/8 of its size if its short side is then still at least `draft_margin` times `resize`.
    """

    resize: int
    crop: int
    interpolation: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    # Speed against full size at 12 megapixels: a margin of 1.0 is 4.5 to 5.9 times faster, 1.5 is 3.3 to 4.5 times faster
    # (make bench-decode).
    draft_margin: float = 1.0

    def __post_init__(self) -> None:
        if not 1 <= self.crop <= self.resize:
            raise ArtifactError(f"preprocessing crop {self.crop} must lie between 1 and resize {self.resize}")
        if self.interpolation not in INTERPOLATIONS:
            raise ArtifactError(f"interpolation {self.interpolation!r} must be one of {', '.join(INTERPOLATIONS)}")
        if self.draft_margin < 1:
            raise ArtifactError(f"draft_margin {self.draft_margin} must be at least 1")
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise ArtifactError(f"mean {self.mean} and std {self.std} must hold three numbers each, std above 0")


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """A backbone that gives `features` numbers, the head on them, and the classes in the order of the head's outputs."""

    backbone: str
    features: int
    head_hidden: tuple[int, ...]
    head_dropout: float
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    # The model divides its logits by this, both in training's evaluation and in serving.
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if len(self.classes) < 2 or len(set(self.classes)) != len(self.classes):
            raise ArtifactError(f"a model needs at least two classes with distinct names, got {len(self.classes)}")
        if self.temperature <= 0:
            raise ArtifactError(f"temperature {self.temperature} must be above 0")

    def to_json(self) -> dict[str, Any]:
        """Return the spec as plain JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: Any) -> "ModelSpec":
        """Rebuild a spec; raises ArtifactError for a missing or unknown key or a value of the wrong type."""
        fields = _checked(cls, value, "model")
        fields["preprocessing"] = Preprocessing(
            **_checked(Preprocessing, fields["preprocessing"], "model.preprocessing")
        )
        return cls(**fields)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Training's measurements on validation, and the library, device and precision of the features."""

    library: str
    device: str  # cpu or cuda
    precision: str  # fp32, bf16 or fp16
    photos: int
    accuracy: float
    log_likelihood: float  # the mean of the photos' log-likelihoods, in nats

    def to_json(self) -> dict[str, Any]:
        """Return the record as plain JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: Any) -> "Measured":
        """Rebuild a record; raises ArtifactError for a missing or unknown key or a value of the wrong type."""
        return cls(**_checked(cls, value, "measured"))


# The JSON types allowed for each annotated type; lists become tuples.
_JSON_TYPES: dict[Any, tuple[type, type | None]] = {
    str: (str, None),
    int: (int, None),
    float: (float, None),
    tuple[int, ...]: (list, int),
    tuple[str, ...]: (list, str),
    tuple[float, float, float]: (list, float),
    Preprocessing: (dict, None),
}


def _checked(cls: type, value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ArtifactError(f"{where} in model.json must be an object, got {type(value).__name__}")
    fields = {field.name: field.type for field in dataclasses.fields(cls)}
    missing, unknown = fields.keys() - value.keys(), value.keys() - fields.keys()
    if missing:
        raise ArtifactError(f"{where} in model.json lacks the key {sorted(missing)[0]!r}; save the artifact again")
    if unknown:
        raise ArtifactError(
            f"{where} in model.json has the unknown key {sorted(unknown)[0]!r}; a newer version wrote it"
        )
    return {name: _typed(value[name], type_, f"{where}.{name}") for name, type_ in fields.items()}


def _typed(value: Any, type_: Any, where: str) -> Any:
    outer, inner = _JSON_TYPES[type_]
    if not _is(value, outer) or (inner and not all(_is(item, inner) for item in value)):
        raise ArtifactError(f"{where} in model.json has the wrong type: {str(value)[:60]!r}")
    return tuple(value) if outer is list else value


def _is(value: Any, type_: type) -> bool:
    if isinstance(value, bool):
        return type_ is bool
    return isinstance(value, (int, float) if type_ is float else type_)
