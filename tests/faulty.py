"""A model whose code does what the body of a request orders (tests/code/faulty.py), and requests to it."""

from tests.conftest import ROOT
from tests.server import ask

CODE = ROOT / "tests" / "code" / "faulty.py"


def answer_to(url: str, text: str) -> tuple[int, str]:
    """Send a text to the model and return the status and the text of its answer."""
    status, _, answer = ask(url, text.encode(), Content_Type="text/x", Accept="text/y")
    return status, answer
