"""What the page gets from whoever answers it: labels with probabilities, times, and where the model looked."""

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
    """Where the serving program says that an answer's time went, in seconds."""

    decode: float  # reading the photo
    model: float
    queue: float  # waiting for a worker


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The model's answer to one photo; `labels` are the best first. `parts` is None where the server does not say them."""

    labels: tuple[Label, ...]
    seconds: float  # from the request to the answer, network included
    parts: Parts | None = None


# Answers the photo in a file. Raises UserError with one sentence where the model refuses it or nobody answers.
Ask = Callable[[Path], Answer]


@dataclass(frozen=True, kw_only=True)
class LookRequest:
    """The question where in a photo the model looks when it judges one class."""

    photo: str  # the path of its file
    label: str


@dataclass(frozen=True, kw_only=True)
class Look:
    """Where the model looks: `rows` of numbers from 0 to 1 over the square that the model sees of a photo, top row first.

    The square lies in the middle of the upright photo and is `crop` times as wide as the photo's short side. All numbers are
    0 where nothing in the photo speaks for the class. `error` is one sentence, in place of all others.
    """

    rows: tuple[tuple[float, ...], ...] = ()
    crop: float = 1.0
    error: str = ""


def to_line(message: LookRequest | Look) -> str:
    """Return a message as one line of JSON."""
    return json.dumps(asdict(message)) + "\n"
