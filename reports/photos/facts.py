"""The facts about single photos. A `jpeg` is a thumbnail in base64, empty if there is none."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Photo:
    """A photo of a split; `path` lies below the job's input/data, as training/train/pug/7.jpg does."""

    path: str
    split: str
    label: str
    jpeg: str


@dataclass(frozen=True, kw_only=True)
class Suspect:
    """A photo that looks mislabelled; `score` from 0 to 1 says how much likelier the suggestion is than the label."""

    photo: Photo
    suggestion: str
    score: float


@dataclass(frozen=True, kw_only=True)
class Suspects:
    """The photos that look mislabelled, the surest first: `count` were found among `judged` of the data set's `of` photos."""

    photos: tuple[Suspect, ...]
    count: int
    judged: int
    of: int


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two photos of different splits that are nearly the same; `cosine` is that of their features."""

    first: Photo
    second: Photo
    cosine: float


@dataclass(frozen=True, kw_only=True)
class Duplicates:
    """The most alike near-duplicates: `count` of the `compared` pairs of photos have at least the cosine `least_cosine`."""

    pairs: tuple[Pair, ...]
    count: int
    compared: int
    least_cosine: float


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The model's answer to a photo. `reasons` are some of wrong, uncertain and confused; `margin` is the lead over the second class."""

    photo: Photo
    prediction: str
    probability: float
    margin: float
    reasons: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Photos:
    """All facts in a run's records about single photos; None for a kind of record that is absent."""

    suspects: Suspects | None = None
    duplicates: Duplicates | None = None
    answers: tuple[Answer, ...] = ()
