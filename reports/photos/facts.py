"""The facts about single photos. A `jpeg` is a thumbnail in base64, empty if there is none."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Photo:
    """A photo of a split. `path` is relative to the job's input/data, for example training/train/pug/7.jpg."""

    path: str
    split: str
    label: str
    jpeg: str


@dataclass(frozen=True, kw_only=True)
class Suspect:
    """A photo that looks mislabelled. `score`, from 0 to 1, is how much likelier the suggested class is than the label."""

    photo: Photo
    suggestion: str
    score: float


@dataclass(frozen=True, kw_only=True)
class Suspects:
    """The photos that look mislabelled, the highest score first. Training judged `judged` of `of` photos and found `count`."""

    photos: tuple[Suspect, ...]
    count: int
    judged: int
    of: int


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two photos of different splits that are nearly the same. `cosine` is the cosine similarity of their features."""

    first: Photo
    second: Photo
    cosine: float


@dataclass(frozen=True, kw_only=True)
class Duplicates:
    """The most similar near-duplicates. `count` of the `compared` pairs of photos have a cosine of `least_cosine` or more."""

    pairs: tuple[Pair, ...]
    count: int
    compared: int
    least_cosine: float


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The model's answer to a photo. `margin` is the lead over the second class. `reasons` may hold "wrong", "uncertain" and "confused"."""

    photo: Photo
    prediction: str
    probability: float
    margin: float
    reasons: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Photos:
    """All facts in a run's records about single photos. A field is None if the run has no such record."""

    suspects: Suspects | None = None
    duplicates: Duplicates | None = None
    answers: tuple[Answer, ...] = ()
