"""The answers that the page shows: labels with probabilities, times, and where the model looked."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Label:
    """One class and the probability that the model gives it."""

    name: str
    probability: float


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The parts of an answer's time that the serving program reports, in seconds."""

    decode: float  # reading the photo
    model: float
    queue: float  # waiting for a worker


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The model's answer to one photo, the most probable label first. `parts` is None if the server does not report its times."""

    labels: tuple[Label, ...]
    seconds: float  # from the request to the answer, network included
    parts: Parts | None = None


# A function that returns the answer to the photo in a file. It raises UserError if the model refuses the photo or no server answers.
Ask = Callable[[Path], Answer]


@dataclass(frozen=True, kw_only=True)
class LookRequest:
    """A request for the activation map of one class in a photo."""

    photo: str  # path of the file
    label: str


@dataclass(frozen=True, kw_only=True)
class Look:
    """An activation map: `rows` of numbers from 0 to 1 over the square part of a photo that the model sees, top row first.

    The square is in the middle of the upright photo. Its side is `crop` times the photo's short side. All numbers are 0 if the photo
    holds no evidence of the class. If `error`, one sentence, is not empty, there is no map.
    """

    rows: tuple[tuple[float, ...], ...] = ()
    crop: float = 1.0
    error: str = ""


def to_line(message: LookRequest | Look) -> str:
    """Return a message as one line of JSON."""
    return json.dumps(asdict(message)) + "\n"
